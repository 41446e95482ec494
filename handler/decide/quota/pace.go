package quota

import (
	"context"
	"hash/fnv"
	"time"
)

const (
	// firstPause and longestPause bound the wait between tries of a write.
	firstPause   = 20 * time.Millisecond
	longestPause = 640 * time.Millisecond
	// longestGap is the most that a process waits between its writes of a row;
	// below shortestGap it does not wait.
	longestGap  = time.Second
	shortestGap = 10 * time.Millisecond
)

// pace keeps the writers of a row out of each other's way: each conflict makes a
// process write more rarely, and more with each write, each success a little more
// often. So about one write in nine meets another, however many instances there
// are and however far away storage is.
type pace struct {
	gap  time.Duration
	next time.Time // local: not before it is the next write
}

// met counts how often others were faster than the write of an id.
func (p *pace) met(conflicts int, now time.Time, id string) {
	p.gap -= p.gap / 20
	for range conflicts {
		p.gap = min(max(p.gap, shortestGap)*3/2, longestGap)
	}
	if p.gap < shortestGap {
		p.gap = 0
	}
	p.next = now.Add(p.gap/2 + random(id, p.gap))
}

// pause waits before the next try, at random lest instances meet again.
func pause(ctx context.Context, try int, id string) error {
	sleep(ctx, random(id, min(firstPause<<(try-1), longestPause)))
	return ctx.Err()
}

// random is less than most. The randomness is the id's.
func random(id string, most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	h := fnv.New32a()
	h.Write([]byte(id))
	return time.Duration(h.Sum32()) % most
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

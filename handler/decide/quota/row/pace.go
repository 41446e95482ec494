package row

import (
	"context"
	"hash/fnv"
	"sync"
	"time"
)

const (
	// firstPause and longestPause bound the wait between tries of a write.
	firstPause   = 20 * time.Millisecond
	longestPause = longestGap
	// longestGap is the most that a process waits between its writes of a row;
	// below shortestGap it does not wait.
	longestGap  = 3 * time.Second
	shortestGap = 10 * time.Millisecond
)

// pace keeps the writers of rows out of each other's way: each conflict makes a
// process write more rarely, each success a little more often. So about one write
// in fourteen meets another, however many instances there are and however far away
// storage is. A process has one for all rows of a ledger, which are alike.
type pace struct {
	mu   sync.Mutex
	gap  time.Duration
	next time.Time // local: not before it is the next write that may wait
}

// met counts how often others were faster than the write of an id.
func (p *pace) met(conflicts int, now time.Time, id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gap -= p.gap / 20
	for range conflicts {
		p.gap = min(2*max(p.gap, shortestGap), longestGap)
	}
	if p.gap < shortestGap {
		p.gap = 0
	}
	p.next = now.Add(p.gap/2 + random(id, p.gap))
}

// wait is the time until the next write that may wait.
func (p *pace) wait(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next.Sub(now)
}

// between is the gap between writes. At 0 nobody else seems to write, so that the
// last snapshot is likely still true.
func (p *pace) between() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gap
}

// waitBeforeTry waits before the next try, at random lest instances meet again. After ten
// tries the longest pause has been reached, and doubling on would overflow.
func waitBeforeTry(ctx context.Context, gap time.Duration, try int, id string) error {
	sleep(ctx, random(id, max(gap, min(firstPause<<min(try-1, 10), longestPause))))
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

package quota

import (
	"slices"
	"strings"
	"time"
)

const (
	// CallersKept is how many callers' use a row remembers; of more, those that
	// used least are forgotten.
	CallersKept = 256
	// capBucket and capBuckets are the time over which a caller's use counts: one
	// more than an hour has, so that no hour holds more than a cap, however it is
	// aligned.
	capBucket  = 5 * time.Minute
	capBuckets = 13
)

// use is what each caller used, in a ring of buckets.
type use struct {
	At      int64            `json:"at,omitempty"`      // the newest bucket, counted since 1970
	Callers map[string][]int `json:"callers,omitempty"` // capBuckets each, at their number modulo capBuckets
}

func bucketOf(at instant) int64 { return int64(at) / capBucket.Milliseconds() }

func (u use) clone() use {
	all := make(map[string][]int, len(u.Callers))
	for name, counts := range u.Callers {
		all[name] = slices.Clone(counts)
	}
	u.Callers = all
	return u
}

// turn empties the buckets that have left by a time.
func (u *use) turn(at instant) {
	now := bucketOf(at)
	for b := max(u.At+1, now-capBuckets+1); b <= now; b++ {
		for _, counts := range u.Callers {
			counts[b%capBuckets] = 0
		}
	}
	u.At = max(u.At, now)
	for name, counts := range u.Callers {
		if sum(counts) == 0 {
			delete(u.Callers, name)
		}
	}
}

// whole is the caller of which one is a part, if it is.
func whole(caller string) (name string, part bool) {
	name, _, part = strings.Cut(caller, "/")
	return name, part
}

func (u *use) book(caller string, cost int) {
	if caller == "" {
		return
	}
	if name, part := whole(caller); part {
		u.book(name, cost)
	}
	counts := u.Callers[caller]
	if counts == nil {
		u.forgetLeast()
		counts = make([]int, capBuckets)
		u.Callers[caller] = counts
	}
	counts[u.At%capBuckets] += cost
}

func (u *use) forgetLeast() {
	if len(u.Callers) < CallersKept {
		return
	}
	least, name := 0, ""
	for n, counts := range u.Callers {
		if s := sum(counts); name == "" || s < least || s == least && n < name {
			least, name = s, n
		}
	}
	delete(u.Callers, name)
}

// of is what a caller used in the last hour, and up to a bucket more.
func (u *use) of(caller string) int { return sum(u.Callers[caller]) }

// room is the earliest time at which a caller may use cost more, if at most limit
// may count. A cost beyond it goes when nothing counts.
func (u *use) room(caller string, limit, cost int) instant {
	over := u.of(caller) + cost - max(limit, cost)
	if over <= 0 {
		return 0
	}
	counts := u.Callers[caller]
	for b := u.At - capBuckets + 1; ; b++ {
		if over -= counts[b%capBuckets]; over <= 0 || b == u.At {
			return instant((b + capBuckets) * capBucket.Milliseconds())
		}
	}
}

// forecast says when a caller's nth token from now is within limit: what leaves
// is taken at once, and leaves again a round later.
func (u *use) forecast(caller string, limit, n int) instant {
	over := u.of(caller) + n - max(limit, 1)
	if over <= 0 {
		return 0
	}
	round := max(1, min(u.of(caller), limit))
	rounds := (over - 1) / max(1, limit)
	over -= rounds * max(1, limit)
	if u.of(caller) == 0 { // the first round goes now
		return instant((u.At + capBuckets*int64(rounds+1)) * capBucket.Milliseconds())
	}
	return u.room(caller, u.of(caller), min(over, round)) + instant(capBuckets*int64(rounds)*capBucket.Milliseconds())
}

func sum(counts []int) (total int) {
	for _, n := range counts {
		total += n
	}
	return total
}

// percent is a part of n, at least 1 of what is not nothing.
func percent(n, p int) int { return max(min(n, 1), n*p/100) }

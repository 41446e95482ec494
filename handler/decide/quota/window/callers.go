package window

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
type CallerUsage struct {
	At      int64            `json:"at,omitempty"`      // the newest bucket, counted since 1970
	Callers map[string][]int `json:"callers,omitempty"` // capBuckets each, at their number modulo capBuckets
}

func bucketOf(at Instant) int64 { return int64(at) / capBucket.Milliseconds() }

func (u CallerUsage) clone() CallerUsage {
	all := make(map[string][]int, len(u.Callers))
	for name, counts := range u.Callers {
		all[name] = slices.Clone(counts)
	}
	u.Callers = all
	return u
}

// turn empties the buckets that have left by a time.
func (u *CallerUsage) expire(at Instant) {
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

func (u *CallerUsage) add(caller string, cost int) {
	if caller == "" {
		return
	}
	if name, part := whole(caller); part {
		u.add(name, cost)
	}
	counts := u.Callers[caller]
	if counts == nil {
		u.forgetLeast()
		counts = make([]int, capBuckets)
		u.Callers[caller] = counts
	}
	counts[u.At%capBuckets] += cost
}

func (u *CallerUsage) forgetLeast() {
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
func (u *CallerUsage) used(caller string) int { return sum(u.Callers[caller]) }

// room is the earliest time at which a caller may use cost more, if at most limit
// may count. A cost beyond it goes when nothing counts.
func (u *CallerUsage) fits(caller string, limit, cost int) Instant {
	over := u.used(caller) + cost - max(limit, cost)
	if over <= 0 {
		return 0
	}
	counts := u.Callers[caller]
	for b := u.At - capBuckets + 1; ; b++ {
		if over -= counts[b%capBuckets]; over <= 0 || b == u.At {
			return Instant((b + capBuckets) * capBucket.Milliseconds())
		}
	}
}

// forecast says when a caller's nth token from now is within limit: what leaves
// is taken at once, and leaves again a round later.
func (u *CallerUsage) forecast(caller string, limit, n int) Instant {
	over := u.used(caller) + n - max(limit, 1)
	if over <= 0 {
		return 0
	}
	round := max(1, min(u.used(caller), limit))
	rounds := (over - 1) / max(1, limit)
	over -= rounds * max(1, limit)
	if u.used(caller) == 0 { // the first round goes now
		return Instant((u.At + capBuckets*int64(rounds+1)) * capBucket.Milliseconds())
	}
	return u.fits(caller, u.used(caller), min(over, round)) + Instant(capBuckets*int64(rounds)*capBucket.Milliseconds())
}

// add counts what another row counted.
func (u *CallerUsage) merge(o CallerUsage) {
	newest := Instant(max(u.At, o.At) * capBucket.Milliseconds())
	o = o.clone()
	o.expire(newest)
	u.expire(newest)
	for caller, counts := range o.Callers {
		if u.Callers[caller] == nil {
			u.forgetLeast()
			u.Callers[caller] = make([]int, capBuckets)
		}
		for i, n := range counts {
			u.Callers[caller][i] += n
		}
	}
}

// part is what one of several shards has of u.
func (u CallerUsage) part(shard, shards int) CallerUsage {
	u = u.clone()
	for _, counts := range u.Callers {
		for i, n := range counts {
			counts[i] = n*(shard+1)/shards - n*shard/shards
		}
	}
	return u
}

func sum(counts []int) (total int) {
	for _, n := range counts {
		total += n
	}
	return total
}

// percent is a part of n, at least 1 of what is not nothing.
func percent(n, p int) int { return max(min(n, 1), n*p/100) }

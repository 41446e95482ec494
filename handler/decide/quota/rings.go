package quota

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// The buckets of the rings. Those of the hour are made of whole ones of the
// minute, and all begin at whole seconds, which Date can show.
const (
	minuteBucket = time.Second
	hourBucket   = 30 * time.Second
)

// ring counts tokens in buckets of time, one more of them than the window needs:
// whatever is booked in a bucket counts until a whole window after its end.
type ring struct {
	Newest int64 `json:"newest,omitempty"` // number of the newest bucket since 1970
	Counts []int `json:"counts"`           // each at its number modulo their number
	bucket time.Duration
	total  int
}

// buckets is how many a window needs, and one.
func (w window) buckets(bucket time.Duration) int {
	return int((w.width+bucket-1)/bucket) + 1
}

// start is when bucket b begins.
func (r *ring) start(b int64) instant { return instant(b * r.bucket.Milliseconds()) }

// leaves is when what was booked in bucket b no longer counts.
func (r *ring) leaves(b int64) instant { return r.start(b + int64(len(r.Counts))) }

func (r *ring) count(b int64) int { return r.Counts[b%int64(len(r.Counts))] }

// oldest is the first bucket that counts as of the newest.
func (r *ring) oldest() int64 { return max(0, r.Newest-int64(len(r.Counts))+1) }

func (r *ring) turn(at instant) {
	now := int64(at) / r.bucket.Milliseconds()
	for b := max(r.Newest+1, now-int64(len(r.Counts))+1); b <= now; b++ {
		i := b % int64(len(r.Counts))
		r.total -= r.Counts[i]
		r.Counts[i] = 0
	}
	r.Newest = max(r.Newest, now)
}

// book must follow a turn.
func (r *ring) book(cost int) {
	r.Counts[r.Newest%int64(len(r.Counts))] += cost
	r.total += cost
}

func (r *ring) room(limit, cost int) instant {
	over := r.total + cost - max(limit, cost)
	if over <= 0 {
		return 0
	}
	for b := r.oldest(); ; b++ {
		if over -= r.count(b); over <= 0 || b == r.Newest {
			return r.leaves(b)
		}
	}
}

func (r *ring) free(limit int, at instant) int {
	for b := r.oldest(); b <= r.Newest; b++ {
		if r.leaves(b) > at {
			limit -= r.count(b)
		}
	}
	return max(0, limit)
}

func (r *ring) next(at instant) instant {
	for b := r.oldest(); b <= r.Newest; b++ {
		if r.count(b) > 0 && r.leaves(b) > at {
			return r.leaves(b)
		}
	}
	return 0
}

func (r *ring) clone() ring {
	c := *r
	c.Counts = slices.Clone(r.Counts)
	return c
}

// rings is the tally of large limits.
type rings struct {
	Last   instant `json:"last,omitempty"`
	Minute ring    `json:"minute"`
	Hour   ring    `json:"hour"`
}

func newRings() *rings {
	minute, hour := Limits{}.minute(), Limits{}.hour()
	return &rings{
		Minute: ring{Counts: make([]int, minute.buckets(minuteBucket)), bucket: minuteBucket},
		Hour:   ring{Counts: make([]int, hour.buckets(hourBucket)), bucket: hourBucket},
	}
}

func (r *rings) own() tally { return r.clone() }

func (r *rings) clone() *rings { return &rings{r.Last, r.Minute.clone(), r.Hour.clone()} }

func (r *rings) last() instant { return r.Last }

func (r *rings) room(l Limits, cost int) instant {
	return max(r.Minute.room(l.PerMinute, cost), r.Hour.room(l.PerHour, cost))
}

func (r *rings) free(l Limits, at instant) (minute, hour int) {
	return r.Minute.free(l.PerMinute, at), r.Hour.free(l.PerHour, at)
}

func (r *rings) next(at instant) (minute, hour instant) { return r.Minute.next(at), r.Hour.next(at) }

func (r *rings) book(at instant, cost int) tally {
	r.turn(at)
	r.Minute.book(cost)
	r.Hour.book(cost)
	return r
}

func (r *rings) turn(at instant) {
	r.Last = at
	r.Minute.turn(at)
	r.Hour.turn(at)
}

// forecast books ahead, bucket by bucket of the minute.
func (r *rings) forecast(l Limits, from instant) func(int) instant {
	ahead, at, gone := r.clone(), max(from, r.Last), []lot(nil) // tokens gone by a time, in all
	wide := func(g *ring) time.Duration { return time.Duration(len(g.Counts)) * g.bucket }
	return func(n int) instant {
		whole, long := l.rounds(n, wide(&r.Hour), wide(&r.Minute))
		n -= whole
		total := 0
		if len(gone) > 0 {
			total = gone[len(gone)-1].tokens
		}
		for total < n {
			ahead.turn(at)
			if free := min(l.PerMinute-ahead.Minute.total, l.PerHour-ahead.Hour.total); free > 0 {
				ahead.book(at, free)
				total += free
				gone = append(gone, lot{at, total})
			}
			at = ahead.Minute.start(ahead.Minute.Newest + 1)
		}
		i, _ := slices.BinarySearchFunc(gone, n, func(g lot, n int) int { return g.tokens - n })
		return gone[i].at.add(long)
	}
}

// lots are at the end of their buckets, as if booked later than they were. What
// the minute still knows in small buckets, it says for the hour too.
func (r *rings) lots() (all []lot) {
	add := func(end instant, tokens int) {
		if tokens > 0 {
			all = append(all, lot{min(end-1, r.Last), tokens})
		}
	}
	per := int64(hourBucket / minuteBucket)
	for b := r.Hour.oldest(); b <= r.Hour.Newest; b++ {
		rest := r.Hour.count(b)
		first, last := max(b*per, r.Minute.oldest()), min((b+1)*per-1, r.Minute.Newest)
		for m := first; m <= last; m++ {
			rest -= r.Minute.count(m)
		}
		// The rest came before those of the minute, but may be moved to later.
		end := r.Hour.start(b + 1)
		if first <= last {
			end = min(end, r.Minute.start(first))
		}
		add(end, rest)
		for m := first; m <= last; m++ {
			add(r.Minute.start(m+1), r.Minute.count(m))
		}
	}
	return all
}

func (r *rings) encode(values map[string]any) error {
	text, err := json.Marshal(r)
	values["rings"] = text
	return err
}

func decodeRings(text []byte) (*rings, error) {
	var r rings
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return nil, fmt.Errorf("quota ledger is corrupt: rings: %w", err)
	}
	empty := newRings()
	for _, part := range []struct{ r, empty *ring }{{&r.Minute, &empty.Minute}, {&r.Hour, &empty.Hour}} {
		part.r.bucket = part.empty.bucket
		part.r.total = sum(part.r.Counts)
		if len(part.r.Counts) != len(part.empty.Counts) || part.r.Newest < 0 || slices.ContainsFunc(part.r.Counts, func(n int) bool { return n < 0 }) {
			return nil, fmt.Errorf("quota ledger is corrupt: a ring of %d buckets, the newest %d", len(part.r.Counts), part.r.Newest)
		}
		if int64(r.Last)/part.r.bucket.Milliseconds() != part.r.Newest {
			return nil, fmt.Errorf("quota ledger is corrupt: the last booking is at %d, the newest bucket %d", r.Last, part.r.Newest)
		}
	}
	return &r, nil
}

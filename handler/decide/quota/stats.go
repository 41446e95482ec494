package quota

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
)

// counters are of this process.
type counters struct {
	reads, writes, conflicts, booked, refused, joined, taken, backoffs atomic.Int64
}

// Stats are what this process did, and what it last saw.
type Stats struct {
	// Reads and Writes of rows, and Conflicts: writes that others overtook or whose
	// answer was an error.
	Reads, Writes, Conflicts int64
	// Booked are the direct calls that got a grant, Refused those that were over
	// quota, Joined those that went to wait, Taken those that waited and were served.
	Booked, Refused, Joined, Taken int64
	// Backoffs are the 429s that were told.
	Backoffs int64
	// Waiting are the messages that wait for room.
	Waiting int
	// Drain is how long that will probably take, 0 if nothing waits.
	Drain time.Duration
	// Lost is the part of the limits, of 1,000, that others seem to use.
	Lost int
}

// Stats asks storage for nothing.
func (l *Ledger) Stats() Stats {
	c := &l.stats
	st := Stats{
		Reads: c.reads.Load(), Writes: c.writes.Load(), Conflicts: c.conflicts.Load(),
		Booked: c.booked.Load(), Refused: c.refused.Load(), Joined: c.joined.Load(), Taken: c.taken.Load(),
		Backoffs: c.backoffs.Load(),
	}
	for _, s := range l.known().shards {
		s.mu.Lock()
		seen := s.seen
		s.mu.Unlock()
		if seen == nil {
			continue
		}
		p := l.newPage(s.number, seen, l.now())
		waiting, tokens := p.queue()
		st.Waiting += waiting
		st.Lost = max(st.Lost, p.health.lost(p.now))
		if tokens > 0 {
			from := max(p.now, p.health.BackoffUntil)
			st.Drain = max(st.Drain, p.usage.forecast(p.limitsFor(Bulk, p.at), from)(tokens).sub(p.now))
		}
	}
	return st
}

// queue is what waits for room at a row.
func (p *page) queue() (messages, tokens int) {
	for _, d := range p.desks {
		for _, n := range d.Lines {
			if demand := n.demand(p.now); demand > 0 {
				tokens += demand
				messages += min(n.Waiting, demand)
			}
		}
	}
	return messages, tokens
}

// Usage is what a caller may know of the quota. Times are storage's.
type Usage struct {
	Limits     Limits
	Share, Cap int // percent, 0 none
	Used       int // tokens in the last hour, and up to 5 min more
	// RemainingMinute and RemainingHour are what may be booked now, by anybody.
	RemainingMinute, RemainingHour int
	// WaitingOwn and WaitingAll are messages that wait for room, HeldOwn and HeldAll those
	// that wait for reasons of their own, such as their caller's pause.
	WaitingOwn, WaitingAll int
	HeldOwn, HeldAll       int
	// Next is when the limits next have room, were nobody waiting.
	Next time.Time
	// Expected is when a message that came now would probably go.
	Expected time.Time
	// Pause, if not nil, says that nothing goes.
	Pause *problem.Pause
}

// Usage reads the rows anew. c is a message that might come. Errors are
// problem.Unavailable.
func (l *Ledger) Usage(ctx context.Context, c Call) (Usage, error) {
	if err := l.check(c); err != nil {
		return Usage{}, err
	}
	u := Usage{Limits: l.limits, Share: c.Share, Cap: c.Cap}
	y, err := l.current(ctx)
	if err != nil {
		return Usage{}, err
	}
	for i := range y.shards {
		a := l.at(ctx, i, func(p *page) answer {
			return answer{usage: p.report(c)}
		})
		if a.err != nil {
			return Usage{}, a.err
		}
		u.add(a.usage)
	}
	return u, nil
}

// report is what one shard knows.
func (p *page) report(c Call) Usage {
	u := Usage{Used: p.use.of(c.Caller), Pause: p.pause}
	u.RemainingMinute, u.RemainingHour = p.usage.free(p.limitsFor(c.Class, p.at), p.at)
	u.WaitingAll, _ = p.queue()
	for _, d := range p.desks {
		for _, n := range d.Lines {
			u.HeldAll += n.Held
			if name, _ := whole(n.Caller); name != c.Caller {
				continue
			}
			u.HeldOwn += n.Held
			if n.demand(p.at) > 0 {
				u.WaitingOwn += n.Waiting - n.Held
			}
		}
	}
	next := max(p.room(c), p.at)
	expected := next
	if p.before(c) {
		expected = max(next, p.expected(c, p.waiting(c.Class, c.Caller)+c.Cost, 0))
	}
	u.Next, u.Expected = next.time(), expected.time()
	return u
}

// add counts what another shard knows.
func (u *Usage) add(o Usage) {
	u.Used += o.Used
	if u.Pause == nil {
		u.Pause = o.Pause
	}
	u.RemainingMinute, u.RemainingHour = u.RemainingMinute+o.RemainingMinute, u.RemainingHour+o.RemainingHour
	u.WaitingOwn, u.WaitingAll = u.WaitingOwn+o.WaitingOwn, u.WaitingAll+o.WaitingAll
	u.HeldOwn, u.HeldAll = u.HeldOwn+o.HeldOwn, u.HeldAll+o.HeldAll
	if u.Next.IsZero() || o.Next.Before(u.Next) {
		u.Next = o.Next
	}
	if u.Expected.IsZero() || o.Expected.Before(u.Expected) {
		u.Expected = o.Expected
	}
}

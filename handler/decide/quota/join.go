package quota

import (
	"context"
	"slices"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
)

// Position is where a message waits. Its times are storage's.
type Position struct {
	Shard int
	// At is when it joined, or when it is due: its order in its line, to the
	// microsecond.
	At time.Time
	// Ticket is what a pump knows it by, once it is in the table.
	Ticket int64
	// Expected is when it will probably go.
	Expected time.Time
	// Wake, if not zero, is when a tick for Shard must be seen, and whoever joined
	// must send it: the ledger counts on it.
	Wake time.Time
}

// ReserveOrJoin takes the tokens of c or, where there is no room or others wait
// before it, lets it join its line. If it is expected to go only after latest
// (zero: no bound) it does neither and is OverQuota, and TooManyQueued if as many of its
// caller wait as may. Other errors are Book's; with Unavailable, it may be counted as
// waiting. Place is nil if there is a Grant.
func (l *Ledger) ReserveOrJoin(ctx context.Context, c Call, latest time.Time) (Grant, *Position, error) {
	if err := l.check(c); err != nil {
		return Grant{}, nil, err
	}
	a := l.direct(ctx, c, func(p *page) answer {
		if a := p.book(c); a.err == nil {
			return a
		}
		return l.join(p, c, 0, latest)
	})
	if a.place != nil {
		l.stats.joined.Add(1)
		return Grant{}, a.place, nil
	}
	g, err := l.granted(ctx, a)
	return g, nil, err
}

// Join lets c join its line without a look at the room: after an attempt that
// failed, or to wait for a time of storage's clock first (due, else zero). Errors
// are BookOrJoin's.
func (l *Ledger) Join(ctx context.Context, c Call, due, latest time.Time) (Position, error) {
	if err := l.check(c); err != nil {
		return Position{}, err
	}
	var at instant
	if !due.IsZero() {
		at = max(1, instantOf(due))
	}
	a := l.patiently(ctx, l.shardNow(), func(p *page) answer { return l.join(p, c, at, latest) })
	if a.err != nil {
		l.stats.refuse(a.err)
		return Position{}, a.err
	}
	l.stats.joined.Add(1)
	return *a.place, nil
}

// Return counts c again at its old shard: it was taken and did not go, or took longer
// than JoinGrace on its way into the table. It is held until a time, when it is to be
// looked at; zero if it needs nothing but room. ticket is a new one, that the table has
// already; 0 for one that is given out here. At and Expected of its Place are not set.
// Errors are Book's, and then it may be counted or not.
func (l *Ledger) Return(ctx context.Context, shard int, name Line, c Call, ticket int64, until time.Time) (Position, error) {
	if err := l.check(c); err != nil {
		return Position{}, err
	}
	a := l.at(ctx, shard, func(p *page) answer { return p.restore(p.desk(shard), name, c, ticket, until) })
	if a.err != nil {
		return Position{}, a.err
	}
	return *a.place, nil
}

func (p *page) restore(d *desk, name Line, c Call, ticket int64, until time.Time) answer {
	p.dirty = true
	n := d.line(name)
	n.Waiting, n.Cost = n.Waiting+1, n.Cost+c.Cost
	n.has(c)
	due, held := p.at, !until.IsZero()
	switch {
	case held:
		due = max(instantOf(until), p.at)
		n.Held, n.HeldCost, n.Look = n.Held+1, n.HeldCost+c.Cost, sooner(n.Look, due.wholeSecond())
	case name.Later:
		n.Due = min(max(n.Due, 1), p.at)
	}
	place := &Position{Shard: d.Shard, Ticket: d.counted(coming{ticket, name.Class, name.Caller, name.Later, p.at, due, held, false})}
	place.Wake = p.wake(d, p.goes(d, *n)).time()
	return answer{place: place}
}

// Leave says that the message with a ticket has left its line without being taken.
// What is lost of it, the pump finds out.
func (l *Ledger) Leave(ctx context.Context, shard int, name Line, ticket int64) error {
	return l.patiently(ctx, shard, func(p *page) answer {
		d := p.desk(shard)
		d.arrived(ticket)
		if o := d.find(name); o != nil {
			o.take(1, -1)
			if o.Waiting == 0 {
				o.Due, o.Look = 0, 0
			}
			d.forgetEmpty()
			p.dirty = true
		}
		return answer{}
	}).err
}

// join puts c at the end of its line, unless as many of its caller wait as may.
func (l *Ledger) join(p *page, c Call, due instant, latest time.Time) answer {
	if err := l.crowd(p, c); err != nil {
		return answer{err: err}
	}
	return p.join(c, p.shard, due, latest)
}

// join puts c at the end of its line. due 0: it waits for room only.
func (p *page) join(c Call, shard int, due instant, latest time.Time) answer {
	if p.pause != nil && p.pause.Refuse {
		return answer{err: p.paused()}
	}
	d := p.desk(shard)
	name := Line{c.Class, c.Caller, due > 0}
	if d.find(name) == nil && len(d.Lines) >= LinesKept {
		return answer{err: p.refuse(p.at.add(time.Minute))}
	}
	expected := p.expected(c, p.waiting(c.Class, c.Caller)+c.Cost, due)
	if !latest.IsZero() && expected > instantOf(latest) {
		return answer{err: p.refuse(expected)}
	}
	n := d.line(name)
	n.Waiting, n.Cost = n.Waiting+1, n.Cost+c.Cost
	n.has(c)
	held, until := due == 0 && p.health.senderRoom(c.Sender) > p.at, due
	if held {
		until = p.health.senderRoom(c.Sender).wholeSecond()
		n.Held, n.HeldCost, n.Look = n.Held+1, n.HeldCost+c.Cost, sooner(n.Look, until)
	}
	switch {
	case p.at > n.Joined:
		n.Joined, n.Nth = p.at, 0
	default:
		n.Nth++
	}
	place := &Position{Shard: shard, At: n.Joined.time().Add(time.Duration(n.Nth) * time.Microsecond), Expected: expected.time()}
	if due > 0 {
		place.At = due.time()
		if n.Due == 0 || due < n.Due {
			n.Due = due
		}
	}
	place.Ticket = d.counted(coming{0, name.Class, name.Caller, name.Later, p.at, until, held, false})
	place.Wake = p.wake(d, max(p.room(c), due)).time()
	p.dirty = true
	return answer{place: place}
}

// wake sets when the next tick must come, so that what joined goes at a time. It
// is 0 if a pump is there or a tick on its way.
func (p *page) wake(d *desk, goes instant) instant {
	goes = max(goes, p.at)
	switch {
	case d.seated(p.at):
		d.Fresh = true
		return 0
	case d.awaits(goes, p.at):
		return 0
	}
	d.TickAt = goes
	return d.TickAt
}

// Busy says, without asking storage, whether c would have to wait now, so far as
// this process knows.
func (l *Ledger) Busy(c Call) bool {
	return !slices.ContainsFunc(l.known().shards, func(s *shard) bool { return !l.full(s, c, readingLife) })
}

// refuse counts a refusal.
func (c *counters) refuse(err error) {
	if isOverQuota(err) || problem.Is(err, problem.TooManyQueued) {
		c.refused.Add(1)
	}
}

func isOverQuota(err error) bool { return problem.Is(err, problem.OverQuota) }

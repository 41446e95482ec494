package quota

import (
	"context"
	"errors"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota/row"
	"github.com/posthorn/posthorn/handler/decide/quota/window"
	"github.com/posthorn/posthorn/handler/problem"
)

// outcome is a grant or a queue position, and tokens beyond the call's for this process to
// use soon.
type outcome struct {
	grant    Grant
	position *Position
	ahead    *batch
}

// plan is what a call asks of a draft.
type plan func(*window.Draft) (outcome, error)

func reserve(c Call) plan {
	return func(d *window.Draft) (o outcome, err error) {
		o.grant, err = d.Reserve(c)
		return o, err
	}
}

// Reserve takes the tokens of c, all or none. It answers a problem otherwise: Paused,
// OverQuota, whose RetryAfter is when c is expected to fit behind those who wait,
// and exact if nobody does and nobody else reserves; InvalidMessage if it never
// fits; Unavailable if the ledger could not be read or written, or ctx ended.
// With Unavailable, tokens may be spent.
func (l *Ledger) Reserve(ctx context.Context, c Call) (Grant, error) {
	if err := l.check(c); err != nil {
		return Grant{}, err
	}
	o, err := l.direct(ctx, c, reserve(c))
	return l.granted(ctx, o.grant, err)
}

// ReserveAgain takes tokens of a shard for a call whose grant grew too old before it
// was used; that one stays spent. It asks for no turn: the call had it.
func (l *Ledger) ReserveAgain(ctx context.Context, shard int, c Call) (Grant, error) {
	if err := l.check(c); err != nil {
		return Grant{}, err
	}
	g, err := row.Apply(ctx, l.rows, shard, row.Change[Grant]{
		Do:      func(d *window.Draft) (Grant, error) { return d.ReserveAgain(c) },
		Untaken: func(g Grant) { l.untaken(ctx, g) },
	})
	return l.granted(ctx, g, err)
}

// granted is g, if it can still be used.
func (l *Ledger) granted(ctx context.Context, g Grant, err error) (Grant, error) {
	if err != nil {
		return Grant{}, l.refuse(err)
	}
	if !g.Live(l.now()) {
		l.untaken(ctx, g)
		return Grant{}, problem.Wrap(problem.Unavailable, "The sending quota could not be reserved, so nothing was sent. Try again.",
			errors.New("the reservation was answered too late, its tokens are burnt"))
	}
	l.reserved.Add(1)
	return g, nil
}

// ReserveOrJoin takes the tokens of c or, where there is no room or others wait
// before it, lets it join its line. If it is expected to go only after latest
// (zero: no bound) it does neither and is OverQuota, and TooManyQueued if as many of its
// caller wait as may. Other errors are Reserve's; with Unavailable, it may be counted as
// waiting. The Position is nil if there is a Grant.
func (l *Ledger) ReserveOrJoin(ctx context.Context, c Call, latest time.Time) (Grant, *Position, error) {
	if err := l.check(c); err != nil {
		return Grant{}, nil, err
	}
	o, err := l.direct(ctx, c, func(d *window.Draft) (outcome, error) {
		if g, err := d.Reserve(c); err == nil {
			return outcome{grant: g}, nil
		}
		p, err := d.Join(c, l.waitingElsewhere(d, c), time.Time{}, latest)
		return outcome{position: &p}, err
	})
	if err == nil && o.position != nil {
		l.joined.Add(1)
		return Grant{}, o.position, nil
	}
	g, err := l.granted(ctx, o.grant, err)
	return g, nil, err
}

// Join lets c join its line without a look at the room: after an attempt that
// failed, or to wait for a time of storage's clock first (due, else zero). Errors
// are ReserveOrJoin's.
func (l *Ledger) Join(ctx context.Context, c Call, due, latest time.Time) (Position, error) {
	if err := l.check(c); err != nil {
		return Position{}, err
	}
	p, err := row.Apply(ctx, l.rows, l.shardNow(), row.Change[Position]{
		Do:      func(d *window.Draft) (Position, error) { return d.Join(c, l.waitingElsewhere(d, c), due, latest) },
		MayWait: true,
	})
	if err != nil {
		return Position{}, l.refuse(err)
	}
	l.joined.Add(1)
	return p, nil
}

// Return counts c again at its old shard: it was taken and did not go, or took longer
// than JoinGrace on its way into the table. It is held until a time, when it is to be
// looked at; zero if it needs nothing but room. ticket is a new one, that the table has
// already; 0 for one that is given out here. At and Expected of its Position are not set.
// Errors are Reserve's, and then it may be counted or not.
func (l *Ledger) Return(ctx context.Context, shard int, name Line, c Call, ticket int64, until time.Time) (Position, error) {
	if err := l.check(c); err != nil {
		return Position{}, err
	}
	return row.Apply(ctx, l.rows, shard, row.Change[Position]{
		Do: func(d *window.Draft) (Position, error) { return d.Return(shard, name, c, ticket, until), nil },
	})
}

// Leave says that the message with a ticket has left its line without being taken.
// If this is lost, the dispatcher finds it out.
func (l *Ledger) Leave(ctx context.Context, shard int, name Line, ticket int64) error {
	return l.change(ctx, shard, true, func(d *window.Draft) error {
		d.Leave(shard, name, ticket)
		return nil
	})
}

// Crowded is TooManyQueued if as many messages of c's caller wait as may. It asks storage
// only where memory says so: what others have done meanwhile, ReserveOrJoin and Join find
// out. Other errors are Reserve's.
func (l *Ledger) Crowded(ctx context.Context, c Call) error {
	if c.MostWaiting == 0 || l.waitingElsewhere(nil, c) < c.MostWaiting {
		return nil
	}
	return l.change(ctx, l.shardNow(), true, func(d *window.Draft) error { return d.TooMany(c, l.waitingElsewhere(d, c)) })
}

// waitingElsewhere is how many messages of c's caller were last seen to wait at all rows,
// except the row of d, if d is not nil.
func (l *Ledger) waitingElsewhere(d *window.Draft, c Call) (messages int) {
	for seen := range l.rows.Seen() {
		if d == nil || seen.Shard != d.Shard {
			messages += seen.Messages(c.Caller)
		}
	}
	return messages
}

// Busy says, without asking storage, whether c would have to wait now, so far as
// this process knows.
func (l *Ledger) Busy(c Call) bool {
	for shard := range l.rows.Layout().Shards {
		if !l.full(shard, c, window.ReadingLife) {
			return false
		}
	}
	return true
}

// Plenty says, without asking storage, whether c can go now and its tokens would not be
// missed if it did not, so far as this process knows: they are prefetched, or half of the
// limits is free without them.
func (l *Ledger) Plenty(c Call) bool {
	if l.prefetched.has(c, l.now()) {
		return true
	}
	for seen := range l.rows.Seen() { // the rows are alike
		if seen.Plenty(c) {
			return true
		}
	}
	return false
}

// GiveBack lets another call like c use a grant with which no call was made and which nobody
// awaits, if this process prefetches tokens. It asks storage for nothing.
func (l *Ledger) GiveBack(c Call, g Grant) {
	if l.limits.PerHour >= prefetchFrom && g.Live(l.now()) {
		l.prefetched.put(outcome{ahead: &batch{keyOf(c), g, c.Cost}})
	}
}

// change applies do, which answers nothing but an error.
func (l *Ledger) change(ctx context.Context, shard int, mayWait bool, do func(*window.Draft) error) error {
	_, err := row.Apply(ctx, l.rows, shard, row.Change[struct{}]{
		Do:      func(d *window.Draft) (struct{}, error) { return struct{}{}, do(d) },
		MayWait: mayWait,
	})
	return err
}

package quota

import (
	"context"
	"errors"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota/row"
	"github.com/posthorn/posthorn/handler/decide/quota/window"
)

// Shards is how many there are, those that only have old lines included.
func (l *Ledger) Shards() int { return l.rows.Layout().Homes }

// Open takes the lease of a shard for a dispatcher, for LeaseLife, if something is to be
// done there. A busy one has messages of these lines in its hands, and keeps the lease
// that it has: another would take them for waiting. An error is Unavailable, and then it
// may have the lease.
func (l *Ledger) Open(ctx context.Context, shard int, dispatcher string, busy bool) (Opening, error) {
	return row.Apply(ctx, l.rows, shard, row.Change[Opening]{
		Do: func(d *window.Draft) (Opening, error) { return d.Open(shard, dispatcher, busy), nil },
	})
}

// Take reserves for as many wants as fit: by class, then by guaranteed share, then for the
// caller that used least of its weight. No caller goes beyond its cap, and within a line the
// order holds. Take renews the lease, counts the granted calls as gone, and corrects the
// counts of lines that the dispatcher has read whole. grants[i] are for the first of
// wants[i].Calls. next is when more may go, zero if nothing waits. An error is ErrLeaseTaken
// if another dispatcher has the lease, else Unavailable; then tokens may be spent.
func (l *Ledger) Take(ctx context.Context, shard int, dispatcher string, wants []Want) (grants [][]Grant, next time.Time, err error) {
	for _, w := range wants {
		for _, c := range w.Calls {
			if c.Cost < 1 {
				return nil, time.Time{}, l.check(c)
			}
		}
	}
	type taken struct {
		grants [][]Grant
		next   time.Time
	}
	t, err := row.Apply(ctx, l.rows, shard, row.Change[taken]{
		Do: func(d *window.Draft) (t taken, err error) {
			t.grants, t.next, err = d.Take(shard, dispatcher, wants)
			return t, err
		},
		Untaken: func(t taken) {
			for _, grants := range t.grants {
				l.untaken(ctx, grants...)
			}
		},
	})
	for _, g := range t.grants {
		l.taken.Add(int64(len(g)))
	}
	return t.grants, t.next, err
}

// Rest gives the lease back, and counts on the wake-up message for at, which the dispatcher
// then sends; at zero: nothing waits. It is ErrJoined, and the lease is kept, if somebody
// joined who may go sooner; ErrLeaseTaken if another dispatcher has it.
func (l *Ledger) Rest(ctx context.Context, shard int, dispatcher string, at time.Time) error {
	return l.change(ctx, shard, false, func(d *window.Draft) error { return d.Rest(shard, dispatcher, at) })
}

// Overdue lists the shards that need a wake-up message now: messages wait, no dispatcher has
// the lease, and no such message is on its way. found are the lines that the watchdog saw in
// the table, nil if it did not look. The ledger learns lines that it does not know, and
// forgets lines that are not in the table.
func (l *Ledger) Overdue(ctx context.Context, found map[int][]LineView) (shards []int, err error) {
	l.rows.Reconsider()
	for shard := range l.Shards() {
		overdue, failed := row.Apply(ctx, l.rows, shard, row.Change[bool]{
			Do: func(d *window.Draft) (bool, error) { return d.Overdue(shard, found != nil, found[shard]), nil },
		})
		err = errors.Join(err, failed)
		if overdue {
			shards = append(shards, shard)
		}
	}
	return shards, err
}

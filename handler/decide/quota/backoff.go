package quota

import (
	"context"
	"errors"
	"hash/fnv"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota/row"
	"github.com/posthorn/posthorn/handler/decide/quota/window"
)

// Backoff closes the ledger for wait, for every instance, after ACS answered the
// call of g with 429: it had no room although the ledger has. 0 means that ACS did
// not say how long, and a minute is taken; otherwise 1 s to 2 h. After it one call
// goes, the probe, and when ACS took it the rest follows over a minute. If that was
// another sender's, and g's sender is refused again, only that sender waits from then on.
// It never shortens an earlier one, so repeating it is safe. An error is
// problem.Unavailable: the ledger may then be open still.
func (l *Ledger) Backoff(ctx context.Context, wait time.Duration, g Grant) error {
	heard := l.now()
	l.backoffs.Add(1)
	senderOnly, err := row.Apply(ctx, l.rows, g.Shard(), row.Change[bool]{
		Do: func(d *window.Draft) (bool, error) { return d.BackOff(g, heard, wait), nil },
	})
	if err != nil {
		return err
	}
	return l.elsewhere(ctx, g.Shard(), func(d *window.Draft) { d.BackOffToo(g, heard, wait, senderOnly) })
}

// Failing says that ACS could not be reached, or not serve the call of g, which was for
// a message that has this name. When several different messages have failed in a row, it
// closes the ledger for 2 s, and each time that the probe after it fails for twice as
// long, to a minute. Errors are Backoff's.
func (l *Ledger) Failing(ctx context.Context, g Grant, message string) error {
	heard := l.now()
	h := fnv.New32a()
	h.Write([]byte(message))
	closed, err := row.Apply(ctx, l.rows, g.Shard(), row.Change[bool]{
		Do: func(d *window.Draft) (bool, error) { return d.Fail(g, heard, max(h.Sum32(), 1)), nil },
	})
	if err != nil || !closed {
		return err
	}
	return l.elsewhere(ctx, g.Shard(), func(d *window.Draft) { d.CloseToo(heard) })
}

// Well says that ACS took the call of g. It asks storage only if others wait for that, or
// some have failed before it. Errors are Backoff's; without it, another probe goes
// after a while.
func (l *Ledger) Well(ctx context.Context, g Grant) error {
	if !g.Awaited() && !l.someFailed(g.Shard()) {
		return nil
	}
	refused, err := row.Apply(ctx, l.rows, g.Shard(), row.Change[uint32]{
		Do: func(d *window.Draft) (uint32, error) { return d.Succeed(g), nil },
	})
	if err != nil || refused == 0 {
		return err
	}
	return l.elsewhere(ctx, g.Shard(), func(d *window.Draft) { d.PassToo(refused) })
}

// someFailed says whether messages have failed, so far as this process knows.
func (l *Ledger) someFailed(shard int) bool {
	shard %= l.rows.Layout().Shards
	for seen := range l.rows.Seen() {
		if seen.Shard == shard {
			return seen.SomeFailed()
		}
	}
	return false
}

// Unused says that the call of g was not and will not be made: if it was the probe,
// another may go at once. The holder of a Grant makes its call or says this. Errors are
// Backoff's; without it, another probe goes after a while.
func (l *Ledger) Unused(ctx context.Context, g Grant) error {
	if !g.Awaited() {
		return nil
	}
	return l.change(ctx, g.Shard(), false, func(d *window.Draft) error {
		d.Unuse(g)
		return nil
	})
}

// untaken is Unused for grants that nobody was there to take. It does not wait.
func (l *Ledger) untaken(ctx context.Context, grants ...Grant) {
	for _, g := range grants {
		if g.Awaited() {
			go func() { _ = l.Unused(context.WithoutCancel(ctx), g) }() // else a while passes
		}
	}
}

// elsewhere changes all rows but the one of a shard, and burns prefetched tokens.
func (l *Ledger) elsewhere(ctx context.Context, shard int, change func(*window.Draft)) error {
	l.prefetched.drop()
	var failed error
	for i := 1; i < l.rows.Layout().Shards; i++ {
		failed = errors.Join(failed, l.change(ctx, shard+i, false, func(d *window.Draft) error {
			change(d)
			return nil
		}))
	}
	return failed
}

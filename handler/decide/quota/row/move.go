package row

import (
	"context"
	"errors"
	"fmt"

	"github.com/posthorn/posthorn/handler/decide/quota/window"
)

// move brings the ledger from one layout into the next, or finishes what others
// began of it; any number may do so at once. First the old rows are closed, the
// first row first: it decides what the next layout is. A closed row never changes
// again but for where it leads, so all who go on compute the same new rows; the
// first of these is written last, and says that all are there.
func (r *Rows) move(ctx context.Context, from, to Layout) (Layout, error) {
	old := make([]window.State, from.Shards)
	for i := range old {
		closed, err := r.close(ctx, from, i, to)
		if err != nil {
			return Layout{}, err
		}
		if old[i] = closed.State; i == 0 {
			to = *closed.next
		}
	}
	if to.Generation != from.Generation+1 {
		return to, nil // the row of the ledger's name leads further
	}
	all := window.Merge(old)
	for _, q := range all.Queues {
		to.Homes = max(to.Homes, q.Shard+1)
	}
	for i := to.Shards - 1; i >= 0; i-- {
		if err := r.insert(ctx, to.row(r.name, i), content{State: all.Part(i, to.Shards), layout: to}); err != nil {
			return Layout{}, err
		}
	}
	if from.Generation > 0 {
		if err := r.lead(ctx, to); err != nil {
			return Layout{}, err
		}
	}
	return to, nil
}

// close makes sure that nothing is reserved in a row any more.
func (r *Rows) close(ctx context.Context, y Layout, shard int, to Layout) (snapshot, error) {
	return r.rewrite(ctx, y.row(r.name, shard), y, func(c *content) bool {
		if c.next != nil {
			return false
		}
		c.layout, c.next = y, &to
		return true
	})
}

// lead lets the row of the ledger's name lead to a layout.
func (r *Rows) lead(ctx context.Context, to Layout) error {
	_, err := r.rewrite(ctx, r.name, Layout{}, func(c *content) bool {
		if c.next == nil || c.next.Generation >= to.Generation {
			return false
		}
		c.next = &to
		return true
	})
	return err
}

// rewrite changes a row until it needs no more of it, and returns what is there.
func (r *Rows) rewrite(ctx context.Context, name string, y Layout, change func(*content) bool) (snapshot, error) {
	var failed error
	for try, failures := 1, 0; failures < tries; try++ {
		seen, err := r.lookAt(ctx, name, y)
		if err != nil {
			return snapshot{}, errors.Join(err, failed)
		}
		c := seen.clone()
		if !change(&c) {
			return seen, nil
		}
		failed = r.write(ctx, &row{name: name}, &seen, c)
		if !overtaken(failed) {
			failures++
		}
		if err := waitBeforeTry(ctx, 0, try, r.newID()); err != nil {
			return snapshot{}, errors.Join(err, failed)
		}
	}
	return snapshot{}, fmt.Errorf("quota ledger: its row %s could not be changed: %w", name, failed)
}

package mem

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/limits"
)

// Table is a table in memory. It is safe for concurrent use.
type Table struct {
	now  func() time.Time
	plan Plan

	mu     sync.Mutex
	writes int // makes ETags, which never come again
	rows   sorted[row]
	series *passing // of one of a Series
	packed []byte   // memory for put
}

// place orders rows by partition, then by row: keys have no character as low as
// the one between them.
func place(partition, row string) string { return partition + "\x00" + row }

// NewTable returns an empty table whose service has the clock now.
func NewTable(now func() time.Time, plan Plan) *Table {
	return &Table{now: now, plan: plan}
}

// Insert is as in store/table.
func (t *Table) Insert(ctx context.Context, e store.Entity) (store.Receipt, error) {
	if err := limits.Entity(e); err != nil {
		return store.Receipt{}, err
	}
	return t.call(ctx, Insert, e.Partition, e.Row, func(r *store.Receipt) error {
		if err := t.series.make(t.now()); err != nil {
			return err
		}
		at := place(e.Partition, e.Row)
		if _, found := t.rows.get(at); found {
			return store.ErrExists
		}
		r.ETag = t.put(at, e)
		return nil
	})
}

// Get is as in store/table.
func (t *Table) Get(ctx context.Context, partition, row string) (e store.Entity, r store.Receipt, err error) {
	if err := limits.Keys(partition, row); err != nil {
		return e, r, err
	}
	r, err = t.call(ctx, Get, partition, row, func(r *store.Receipt) error {
		at := place(partition, row)
		found, ok := t.rows.get(at)
		if !ok {
			return store.ErrMissing
		}
		e = found.entity(at)
		r.ETag = e.ETag
		return nil
	})
	if err != nil {
		return store.Entity{}, r, err
	}
	return e, r, nil
}

// Replace is as in store/table.
func (t *Table) Replace(ctx context.Context, e store.Entity) (store.Receipt, error) {
	if err := limits.Entity(e); err != nil {
		return store.Receipt{}, err
	}
	return t.call(ctx, Replace, e.Partition, e.Row, func(r *store.Receipt) error {
		at := place(e.Partition, e.Row)
		if err := t.match(at, e.ETag); err != nil {
			return err
		}
		r.ETag = t.put(at, e)
		return nil
	})
}

// Delete is as in store/table.
func (t *Table) Delete(ctx context.Context, partition, row string, etag store.ETag) error {
	if err := limits.Keys(partition, row); err != nil {
		return err
	}
	_, err := t.call(ctx, Delete, partition, row, func(*store.Receipt) error {
		at := place(partition, row)
		if err := t.match(at, etag); err != nil {
			return err
		}
		t.rows.remove(at)
		return nil
	})
	return err
}

// Transact is as in store/table.
func (t *Table) Transact(ctx context.Context, actions ...store.Action) (store.Receipt, error) {
	if err := limits.Transaction(actions); err != nil {
		return store.Receipt{}, err
	}
	first := actions[0].Entity
	return t.call(ctx, Transact, first.Partition, first.Row, func(*store.Receipt) error {
		if actions[0].Verb == store.InsertRow {
			if err := t.series.make(t.now()); err != nil {
				return err
			}
		}
		for _, a := range actions {
			if err := t.allows(a); err != nil {
				return err
			}
		}
		for _, a := range actions {
			at := place(a.Entity.Partition, a.Entity.Row)
			if a.Verb == store.DeleteRow {
				t.rows.remove(at)
			} else {
				t.put(at, a.Entity)
			}
		}
		return nil
	})
}

func (t *Table) allows(a store.Action) error {
	at := place(a.Entity.Partition, a.Entity.Row)
	if a.Verb != store.InsertRow {
		return t.match(at, a.Entity.ETag)
	}
	if _, found := t.rows.get(at); found {
		return store.ErrExists
	}
	return nil
}

// List is as in store/table.
func (t *Table) List(ctx context.Context, partition string) ([]store.Entity, error) {
	if err := limits.Keys(partition, "all"); err != nil {
		return nil, err
	}
	all := place(partition, "")
	return t.list(ctx, store.Key{Partition: partition}, math.MaxInt, func(at string) bool { return strings.HasPrefix(at, all) })
}

// ListRows is as in store/table.
func (t *Table) ListRows(ctx context.Context, partition, after, before string, n int) ([]store.Entity, error) {
	if err := limits.Rows(partition, after, before); err != nil {
		return nil, err
	}
	end := place(partition, before)
	return t.list(ctx, store.Key{Partition: partition, Row: after}, n, func(at string) bool { return at < end })
}

// ListBefore is as in store/table.
func (t *Table) ListBefore(ctx context.Context, after store.Key, partition string, n int) ([]store.Entity, error) {
	if err := limits.Range(after, partition); err != nil {
		return nil, err
	}
	end := place(partition, "")
	return t.list(ctx, after, n, func(at string) bool { return at < end })
}

// list gives at most n rows after a key, as long as within says so of their places.
func (t *Table) list(ctx context.Context, after store.Key, n int, within func(at string) bool) (rows []store.Entity, err error) {
	start := place(after.Partition, after.Row)
	_, err = t.call(ctx, List, after.Partition, after.Row, func(*store.Receipt) error {
		rows = nil
		for at, found := range t.rows.from(start) {
			if !within(at) || len(rows) == n {
				break
			}
			if at > start {
				rows = append(rows, found.entity(at))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// call runs act under the lock and gives its answer the time, as table.Table does.
func (t *Table) call(ctx context.Context, op Op, partition, row string, act func(*store.Receipt) error) (r store.Receipt, err error) {
	err = t.plan.run(ctx, op, partition+"/"+row, func() error {
		t.mu.Lock()
		defer t.mu.Unlock()
		r = store.Receipt{Time: t.now().UTC().Truncate(time.Second)}
		return act(&r)
	})
	if errors.Is(err, store.ErrUnavailable) {
		return store.Receipt{}, err
	}
	return r, err
}

func (t *Table) match(at string, etag store.ETag) error {
	found, ok := t.rows.get(at)
	switch {
	case !ok:
		return store.ErrMissing
	case etag != "" && etag != found.etag():
		return store.ErrChanged
	}
	return nil
}

func (t *Table) put(at string, e store.Entity) store.ETag {
	t.writes++
	t.packed = pack(t.packed[:0], e.Values)
	r := row{write: t.writes, values: string(t.packed)}
	t.rows.set(at, r)
	return r.etag()
}

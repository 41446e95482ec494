package mem

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
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
	rows   map[tableKey]store.Entity
}

type tableKey store.Key

func (k tableKey) String() string { return k.Partition + "/" + k.Row }

func keyOf(e store.Entity) tableKey { return tableKey{e.Partition, e.Row} }

func compareKeys(a, b tableKey) int {
	return cmp.Or(strings.Compare(a.Partition, b.Partition), strings.Compare(a.Row, b.Row))
}

// NewTable returns an empty table whose service has the clock now.
func NewTable(now func() time.Time, plan Plan) *Table {
	return &Table{now: now, plan: plan, rows: map[tableKey]store.Entity{}}
}

// Insert is as in store/table.
func (t *Table) Insert(ctx context.Context, e store.Entity) (store.Receipt, error) {
	if err := limits.Entity(e); err != nil {
		return store.Receipt{}, err
	}
	key := keyOf(e)
	return t.call(ctx, Insert, key, func(r *store.Receipt) error {
		if _, found := t.rows[key]; found {
			return store.ErrExists
		}
		r.ETag = t.put(key, e)
		return nil
	})
}

// Get is as in store/table.
func (t *Table) Get(ctx context.Context, partition, row string) (e store.Entity, r store.Receipt, err error) {
	if err := limits.Keys(partition, row); err != nil {
		return e, r, err
	}
	key := tableKey{partition, row}
	r, err = t.call(ctx, Get, key, func(r *store.Receipt) error {
		found, ok := t.rows[key]
		if !ok {
			return store.ErrMissing
		}
		e = clone(found)
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
	key := keyOf(e)
	return t.call(ctx, Replace, key, func(r *store.Receipt) error {
		if err := t.match(key, e.ETag); err != nil {
			return err
		}
		r.ETag = t.put(key, e)
		return nil
	})
}

// Delete is as in store/table.
func (t *Table) Delete(ctx context.Context, partition, row string, etag store.ETag) error {
	if err := limits.Keys(partition, row); err != nil {
		return err
	}
	key := tableKey{partition, row}
	_, err := t.call(ctx, Delete, key, func(*store.Receipt) error {
		if err := t.match(key, etag); err != nil {
			return err
		}
		delete(t.rows, key)
		return nil
	})
	return err
}

// List is as in store/table.
func (t *Table) List(ctx context.Context, partition string) (rows []store.Entity, err error) {
	if err := limits.Keys(partition, "all"); err != nil {
		return nil, err
	}
	_, err = t.call(ctx, List, tableKey{Partition: partition}, func(*store.Receipt) error {
		rows = nil
		for key, e := range t.rows {
			if key.Partition == partition {
				rows = append(rows, clone(e))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b store.Entity) int { return strings.Compare(a.Row, b.Row) })
	return rows, nil
}

// ListBefore is as in store/table.
func (t *Table) ListBefore(ctx context.Context, after store.Key, partition string, n int) (rows []store.Entity, err error) {
	if err := limits.Range(after, partition); err != nil {
		return nil, err
	}
	_, err = t.call(ctx, List, tableKey(after), func(*store.Receipt) error {
		rows = nil
		for key, e := range t.rows {
			if key.Partition < partition && compareKeys(key, tableKey(after)) > 0 {
				rows = append(rows, clone(e))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b store.Entity) int { return compareKeys(keyOf(a), keyOf(b)) })
	return rows[:min(n, len(rows))], nil
}

// call runs act under the lock and gives its answer the time, as table.Table does.
func (t *Table) call(ctx context.Context, op Op, key tableKey, act func(*store.Receipt) error) (r store.Receipt, err error) {
	err = t.plan.run(ctx, op, key.String(), func() error {
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

func (t *Table) match(key tableKey, etag store.ETag) error {
	found, ok := t.rows[key]
	switch {
	case !ok:
		return store.ErrMissing
	case etag != "" && etag != found.ETag:
		return store.ErrChanged
	}
	return nil
}

func (t *Table) put(key tableKey, e store.Entity) store.ETag {
	t.writes++
	e = clone(e)
	e.ETag = store.ETag(fmt.Sprintf(`W/"%d"`, t.writes))
	t.rows[key] = e
	return e.ETag
}

// clone makes a copy that shares nothing and has what a service would give back:
// times in UTC and in its unit of 100 ns, bytes that are never nil.
func clone(e store.Entity) store.Entity {
	values := make(map[string]any, len(e.Values))
	for name, v := range e.Values {
		switch v := v.(type) {
		case []byte:
			values[name] = append([]byte{}, v...)
		case time.Time:
			values[name] = v.UTC().Truncate(100 * time.Nanosecond)
		default:
			values[name] = v
		}
	}
	e.Values = values
	return e
}

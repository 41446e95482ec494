// Package usage notes on what day a key was last used, so that its operator can tell which
// keys nobody needs any more.
//
// In: the name of a caller or a hook, and which of its keys has just proved it. Out: a row a
// key in the table where callers or hooks are kept, with a day. A row is written at most
// once a day and instance, beside the request and never before its answer; where that fails
// the day may be missing, and nothing else is. It knows no key, and nothing of a request.
package usage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/store"
)

const (
	partition = "used"
	valueDay  = "day"
	// writeTime bounds one note.
	writeTime = 5 * time.Second
	// again is when a note that failed is tried once more.
	again = time.Hour
)

// Key is one key of a caller or a hook. Generation 0 stands for what has none: a token of
// Entra ID, a secret that a sender dictates, a form.
type Key struct {
	Name       string
	Generation int64
}

// row is no other key's: a name has no underscore.
func (k Key) row() string { return k.Name + "_" + strconv.FormatInt(k.Generation, 10) }

// Table is where days are kept. See package store for the errors. Each call may be repeated.
type Table interface {
	Get(ctx context.Context, partition, row string) (store.Entity, store.Receipt, error)
	Insert(ctx context.Context, e store.Entity) (store.Receipt, error)
	Replace(ctx context.Context, e store.Entity) (store.Receipt, error)
	List(ctx context.Context, partition string) ([]store.Entity, error)
}

// Days notes the days of one table. It is safe for concurrent use; a nil one notes nothing.
type Days struct {
	table Table
	now   func() time.Time
	log   *slog.Logger

	mu   sync.Mutex
	next map[Key]time.Time // when a key may be noted again
}

// New notes days in t. now is a local clock.
func New(t Table, now func() time.Time, log *slog.Logger) *Days {
	return &Days{table: t, now: now, log: log, next: map[Key]time.Time{}}
}

// Note says that a key has just been used. It waits for nothing.
func (d *Days) Note(ctx context.Context, k Key) {
	if d == nil {
		return
	}
	now := d.now()
	today := now.UTC().Truncate(24 * time.Hour)
	if !d.due(k, now, today.Add(24*time.Hour)) {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
		defer cancel()
		if err := d.write(ctx, k, today); err != nil {
			d.log.WarnContext(ctx, "last use of a key not noted, will retry", "name", k.Name, "generation", k.Generation, "error", err)
			d.mu.Lock()
			defer d.mu.Unlock()
			d.next[k] = now.Add(again)
		}
	}()
}

// due says whether a key may be noted now, and that it may be again at next.
func (d *Days) due(k Key, now, next time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	due := !now.Before(d.next[k])
	if due {
		d.next[k] = next
	}
	return due
}

// write keeps a day unless a later one, or another instance's note, is there.
func (d *Days) write(ctx context.Context, k Key, today time.Time) error {
	e, _, err := d.table.Get(ctx, partition, k.row())
	put := d.table.Replace
	switch last, _ := e.Values[valueDay].(time.Time); {
	case errors.Is(err, store.ErrMissing):
		put, e = d.table.Insert, store.Entity{Partition: partition, Row: k.row()}
	case err != nil:
		return err
	case !last.Before(today):
		return nil
	}
	e.Values = map[string]any{valueDay: today}
	if _, err = put(ctx, e); errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrChanged) {
		return nil
	}
	return err
}

// Last is the day, at midnight UTC, on which each key was last used, freshly read. A key
// that is not in it was never used.
func (d *Days) Last(ctx context.Context) (map[Key]time.Time, error) {
	if d == nil {
		return nil, nil
	}
	rows, err := d.table.List(ctx, partition)
	if err != nil {
		return nil, fmt.Errorf("list last uses: %w", err)
	}
	last := make(map[Key]time.Time, len(rows))
	for _, row := range rows {
		name, generation, _ := strings.Cut(row.Row, "_")
		n, err := strconv.ParseInt(generation, 10, 64)
		day, ok := row.Values[valueDay].(time.Time)
		if err == nil && ok {
			last[Key{name, n}] = day
		}
	}
	return last, nil
}

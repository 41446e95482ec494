package keyring

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
	usedPartition = "used"
	valueDay      = "day"
	// writeTime bounds one note.
	writeTime = 5 * time.Second
	// again is when a note that failed is tried once more.
	again = time.Hour
)

// KeyID names one key of a caller or a hook. Generation 0 stands for what has none: a token of
// Entra ID, a secret that a sender dictates, a form.
type KeyID struct {
	Name       string
	Generation int64
}

// row is no other key's: a name has no underscore.
func (k KeyID) row() string { return k.Name + "_" + strconv.FormatInt(k.Generation, 10) }

// lastUses notes on what day a key was last used, in a row a key, so that the operator sees which
// keys are unused. A row is written at most once a day and instance, beside the
// request and never before its answer; where that fails, the day may be missing. It is safe
// for concurrent use; a nil one notes nothing.
type lastUses struct {
	table Table
	now   func() time.Time
	log   *slog.Logger

	mu   sync.Mutex
	next map[KeyID]time.Time // when a key may be noted again
}

// newDays notes days in t. now is a local clock.
func newDays(t Table, now func() time.Time, log *slog.Logger) *lastUses {
	return &lastUses{table: t, now: now, log: log, next: map[KeyID]time.Time{}}
}

// note says that a key has just been used. It waits for nothing.
func (d *lastUses) note(ctx context.Context, k KeyID) {
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
func (d *lastUses) due(k KeyID, now, next time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	due := !now.Before(d.next[k])
	if due {
		d.next[k] = next
	}
	return due
}

// write keeps a day unless a later one, or another instance's note, is there.
func (d *lastUses) write(ctx context.Context, k KeyID, today time.Time) error {
	e, _, err := d.table.Get(ctx, usedPartition, k.row())
	put := d.table.Replace
	switch last, _ := e.Values[valueDay].(time.Time); {
	case errors.Is(err, store.ErrMissing):
		put, e = d.table.Insert, store.Entity{Partition: usedPartition, Row: k.row()}
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

// last is the day, at midnight UTC, on which each key was last used, freshly read. A key
// that is not in it was never used.
func (d *lastUses) last(ctx context.Context) (map[KeyID]time.Time, error) {
	if d == nil {
		return nil, nil
	}
	rows, err := d.table.List(ctx, usedPartition)
	if err != nil {
		return nil, fmt.Errorf("list last uses: %w", err)
	}
	last := make(map[KeyID]time.Time, len(rows))
	for _, row := range rows {
		name, generation, _ := strings.Cut(row.Row, "_")
		n, err := strconv.ParseInt(generation, 10, 64)
		day, ok := row.Values[valueDay].(time.Time)
		if err == nil && ok {
			last[KeyID{name, n}] = day
		}
	}
	return last, nil
}

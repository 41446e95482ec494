// Package expire removes rows of a table that have had their time, several beside each
// other, and goes on another time where it stopped.
//
// In: a range of keys, a verdict on each row, and what removes one. Out: how many went, how
// late the latest was, and a marker. It does not know what rows mean. It may be repeated,
// and by several processes at once.
package expire

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/store"
)

const (
	// Page is how many rows are listed at once: as many as the service gives.
	Page = 1000
	// Beside is how many rows are removed beside each other, unless a caller says less.
	Beside = 32
	// Grace is how long before the end of its context a run hands out no more rows, so
	// that it ends those that it has.
	Grace = 10 * time.Second
	// mostErrors bounds what one run tells: one outage fails every row.
	mostErrors = 10
)

// Table is what is read of a table.
type Table interface {
	// ListBefore returns at most n rows in the order of their keys, from the first
	// after a key to the last before a partition.
	ListBefore(ctx context.Context, after store.Key, partition string, n int) ([]store.Entity, error)
}

// Rows are the rows of a range of keys.
type Rows struct {
	Table Table
	// From is the first partition, and Before the one behind the last.
	From, Before string
	// Whole says that the rows of a partition go together, which has few of them.
	Whole bool
	// Ended is when a row had its time, and whether it has. It is called in the order of keys.
	Ended func(e store.Entity) (at time.Time, ended bool)
	// Remove removes one row or, of Whole partitions, all rows that have ended. What was
	// removed before is no error.
	Remove func(ctx context.Context, rows []store.Entity) (removed int, err error)
}

// Result is what came of a run.
type Result struct {
	Removed int
	// Oldest is when the row had its time that should have gone first; zero without one.
	Oldest time.Time
	// Next is where to go on if the time was over; empty otherwise.
	Next string
}

// Join adds what came of another run. It goes on at b's marker.
func (r Result) Join(b Result) Result {
	if r.Oldest.IsZero() || !b.Oldest.IsZero() && b.Oldest.Before(r.Oldest) {
		r.Oldest = b.Oldest
	}
	return Result{r.Removed + b.Removed, r.Oldest, b.Next}
}

// Run looks at the rows behind a marker, empty for all, until Grace before the end of ctx.
// It removes beside of them at once. With an error of Remove it goes on: what could not be
// removed does not keep the rest, and is found again another time. With an error of Table it
// ends.
func (r Rows) Run(ctx context.Context, marker string, beside int) (Result, error) {
	soft, cancel := Early(ctx)
	defer cancel()
	after := store.Key{Partition: r.From}
	if marker != "" {
		after.Partition, after.Row, _ = strings.Cut(marker, "/")
	}
	w := work{Rows: r, ctx: ctx, free: make(chan struct{}, beside)}
	for {
		page, err := r.Table.ListBefore(ctx, after, r.Before, Page)
		if err != nil {
			return w.Result, errors.Join(append(w.failed, err)...)
		}
		last := len(page) < Page
		if !last {
			page = r.whole(page)
		}
		for _, g := range w.groups(page, after) {
			if soft.Err() != nil {
				w.Next = text(g.after)
				break
			}
			w.remove(g.rows)
		}
		w.running.Wait()
		if last || w.Next != "" {
			return w.Result, errors.Join(w.failed...)
		}
		after = behind(page, r.Whole)
	}
}

// Early is ctx until Grace before its end.
func Early(ctx context.Context) (context.Context, context.CancelFunc) {
	if end, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, end.Add(-Grace))
	}
	return context.WithCancel(ctx)
}

// whole is a page without its last partition, of which rows may follow. A partition that is
// larger than a page stays.
func (r Rows) whole(page []store.Entity) []store.Entity {
	n := len(page)
	for r.Whole && n > 0 && page[n-1].Partition == page[len(page)-1].Partition {
		n--
	}
	if n == 0 {
		return page
	}
	return page[:n]
}

// behind is where the next page begins. Behind a whole partition that is one question; in
// the middle of one storage is asked twice at its end.
func behind(page []store.Entity, whole bool) store.Key {
	last := page[len(page)-1]
	if whole && page[0].Partition != last.Partition {
		return store.Key{Partition: last.Partition + "!"} // the next key has no lower character
	}
	return store.Key{Partition: last.Partition, Row: last.Row}
}

func text(k store.Key) string { return k.Partition + "/" + k.Row }

// work is a run.
type work struct {
	Rows
	Result
	ctx     context.Context //nolint:containedctx // of one call of Run
	free    chan struct{}
	running sync.WaitGroup

	mu     sync.Mutex
	failed []error
}

// group is rows that go together, and where to go on before them.
type group struct {
	after store.Key
	rows  []store.Entity
}

// groups are the rows of a page that have ended.
func (w *work) groups(page []store.Entity, after store.Key) (all []group) {
	for i, e := range page {
		at, ended := w.Ended(e)
		if ended {
			w.Result = w.Join(Result{Oldest: at})
			if n := len(all); w.Whole && n > 0 && all[n-1].rows[0].Partition == e.Partition {
				all[n-1].rows = append(all[n-1].rows, e)
			} else {
				all = append(all, group{after, page[i : i+1 : i+1]})
			}
		}
		after = store.Key{Partition: e.Partition, Row: e.Row}
		if w.Whole {
			after = store.Key{Partition: e.Partition + "!"}
		}
	}
	return all
}

// remove does so beside other removals.
func (w *work) remove(rows []store.Entity) {
	w.free <- struct{}{}
	w.running.Go(func() {
		defer func() { <-w.free }()
		n, err := w.Remove(w.ctx, rows)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.Removed += n
		if err != nil && len(w.failed) < mostErrors {
			w.failed = append(w.failed, err)
		}
	})
}

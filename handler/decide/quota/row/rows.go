// Package row keeps the state of a quota ledger in rows of a table that many instances
// write: one row, or several that split the limits. In: a change of a window.Draft. Out:
// what the change answered, once it is in a row, whatever became of answers on the way.
//
// A write is conditional, and serves all changes that came while the last one was under
// way. Each leaves the id of its attempt in the row, and no error of a write is believed
// before the row was read. Writers that meet write more rarely, up to once in three
// seconds, so that 200 instances stay below 20 writes a second on a row.
//
// Package row does not know who may send: window does. docs/decisions/quota.md has
// the proof that no limit is exceeded, even while the number of rows changes.
package row

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota/window"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/clock"
)

// Table is where the ledger is kept. Insert and Replace may be repeated below:
// the ledger recognises its own write by an attempt id, whatever error came.
type Table interface {
	// Get answers store.ErrMissing for a row that is not there.
	Get(ctx context.Context, partition, row string) (store.Entity, store.Receipt, error)
	// Insert writes a row that is not there.
	Insert(ctx context.Context, e store.Entity) (store.Receipt, error)
	// Replace writes the whole row if e.ETag is still current.
	Replace(ctx context.Context, e store.Entity) (store.Receipt, error)
}

// Rows are the rows of one ledger, as one process reaches them. They are safe for
// concurrent use.
type Rows struct {
	table  Table
	name   string
	terms  window.Terms
	clock  *clock.Clock
	now    func() time.Time // the clock's local one
	newID  func() string
	closed func()
	pace   pace

	// Reads, Writes and Conflicts are what this process did. Conflicts are writes that
	// others overtook.
	Reads, Writes, Conflicts atomic.Int64

	mu   sync.Mutex
	set  *rowSet // nil: not known
	lost bool    // it was, and is another now

	finding  chan struct{} // holds one who looks for the rows, and guards what follows
	notFound error         // why the rows were not found
	failed   time.Time     // when
}

// New returns the ledger called name: one row, or several whose names begin with it. Each
// row has a partition to itself, of its name.
// The local times of c, read for what has elapsed only, carry a monotonic reading. newID returns an id that no other call of any instance returns, of at most 64
// characters, none a space. closed is called whenever a row is seen that lets nothing go.
func New(t Table, name string, terms window.Terms, c *clock.Clock, newID func() string, closed func()) *Rows {
	return &Rows{table: t, name: name, terms: terms, clock: c, now: c.Local, newID: newID, closed: closed, finding: make(chan struct{}, 1)}
}

// Change is what somebody asks of a row.
type Change[T any] struct {
	// Do changes the draft and says what it then answers. It may be called again, on
	// another draft: only one becomes the row.
	Do func(*window.Draft) (T, error)
	// MayWait is a change that waits for the pace of the row's writers.
	MayWait bool
	// Without, if not nil, answers without a row, if it can.
	Without func() (T, bool)
	// Done, if not nil, is told the answer that is in the row, before the caller is; and
	// Untaken, if the caller was not there to take it.
	Done, Untaken func(answer T)
}

// Apply brings c into the row of a shard, wherever the row is. An error is c.Do's, or
// problem.Unavailable: then c may be in the row.
func Apply[T any](ctx context.Context, r *Rows, shard int, c Change[T]) (T, error) {
	q := &request{mayWait: c.MayWait}
	q.do = func(d *window.Draft) answer {
		v, err := c.Do(d)
		return answer{v, err}
	}
	if c.Without != nil {
		q.without = func() (answer, bool) {
			v, ok := c.Without()
			return answer{v, nil}, ok
		}
	}
	told := func(tell func(T)) func(answer) {
		return func(a answer) {
			if v, ok := a.value.(T); ok && tell != nil && a.err == nil {
				tell(v)
			}
		}
	}
	q.done, q.untaken = told(c.Done), told(c.Untaken)
	a := r.follow(ctx, shard, q)
	v, _ := a.value.(T)
	return v, a.err
}

// follow applies q where the rows are, which others may move meanwhile.
func (r *Rows) follow(ctx context.Context, shard int, q *request) (a answer) {
	for range moves {
		set, err := r.current(ctx)
		if err != nil {
			return answer{err: err}
		}
		if a = r.submit(ctx, set.home(shard), q); !errors.Is(a.err, errMoved) {
			return a
		}
		r.forget(set)
	}
	return answer{err: unavailable(a.err)}
}

// Every calls do for every row, again if the ledger has moved to others meanwhile.
func (r *Rows) Every(ctx context.Context, do func(shard int) error) error {
	for range moves {
		set, err := r.current(ctx)
		if err != nil {
			return err
		}
		for i := range set.rows {
			if err := do(i); err != nil {
				return err
			}
		}
		if r.known() == set {
			return nil
		}
	}
	return unavailable(errMoves)
}

// Seen are the rows as this process last saw them. Nothing may be planned on these drafts.
func (r *Rows) Seen() iter.Seq[*window.Draft] {
	return func(yield func(*window.Draft) bool) {
		for _, w := range r.known().rows {
			if seen := w.last(); seen != nil && !yield(r.peek(w, seen)) {
				return
			}
		}
	}
}

// Recent is the row of a shard if this process saw it no longer ago than that, else nil.
// Nothing may be planned on it.
func (r *Rows) Recent(shard int, ago time.Duration) *window.Draft {
	w := r.known().home(shard)
	seen := w.last()
	if seen == nil || r.now().Sub(seen.at.Heard) > ago {
		return nil
	}
	return r.peek(w, seen)
}

func (r *Rows) peek(w *row, seen *snapshot) *window.Draft {
	return window.Peek(seen.State, w.number, r.termsOf(w.number, seen.layout), seen.at, r.now())
}

// termsOf are the terms of one row.
func (r *Rows) termsOf(shard int, y Layout) window.Terms {
	t := r.terms
	t.Limits = y.part(t.Limits, shard)
	return t
}

func unavailable(err error) error {
	return problem.Wrap(problem.Unavailable, "The sending quota could not be reserved, so nothing was sent. Try again.", err)
}

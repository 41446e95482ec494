package record

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/posthorn/posthorn/handler/store"
)

const (
	// workPrefix begins the partitions of what processes work on. It is greater than
	// every partition of a record, so CleanUp does not meet them; workEnd is greater still.
	workPrefix, workEnd = "work-", "work."
	workRow             = "w"
	// A key is 16 bytes, so a row has room for 4,096. What is at work beyond them is
	// not noted: only a poll or a repeat ends it then.
	keyBytes = 16
	maxNoted = 64 << 10 / keyBytes
	// noteTime bounds one try to write the row: others wait for its end.
	noteTime  = 2 * time.Second
	noteTries = 2
	// restTime is how long a row has not been written before Left reads what it lists:
	// the watchdog's round. Its process is idle then, or dead, or has begun another.
	restTime = time.Minute
	workPage = 1000
)

// works are the messages that this process works on. They stand in a row of its own
// before their records say that ACS may have them, so that Left finds what a dead
// process was at. Who comes while the row is being written shares the next write.
type works struct {
	mu   sync.Mutex
	open map[*Work]struct{}
	next *flight // the write that has not begun; nil while no caller waits for one
	busy bool    // a write is under way
	// sealed says that the row lists what this process has left. The next write makes
	// another row.
	sealed bool

	// Where the row stands and its version, empty before it was made. The one writer
	// has them.
	row  string
	etag store.ETag
}

// flight is one write of the row.
type flight struct {
	landed chan struct{}
	err    error
}

// Work is one message that this process works on.
type Work struct {
	of     *works
	key    uuid.UUID // the operation id
	flight *flight
}

// BeginWork says that this process works on a message. It does not wait for the note of
// it to be written: Noted does.
func (b *Store) BeginWork(ctx context.Context, r *Record) *Work {
	a := &b.works
	w := &Work{of: a, key: uuid.MustParse(r.operation())}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open == nil {
		a.open = map[*Work]struct{}{}
	}
	a.open[w] = struct{}{}
	if a.next == nil {
		a.next = &flight{landed: make(chan struct{})}
	}
	w.flight = a.next
	if !a.busy {
		a.busy = true
		go b.noteAll(context.WithoutCancel(ctx))
	}
	return w
}

// AwaitNote waits until the note of the work is written. An error is Unavailable, and then
// nothing may be sent.
func (w *Work) AwaitNote(ctx context.Context) error {
	select {
	case <-w.flight.landed:
		return w.flight.err
	case <-ctx.Done():
		return unavailable(ctx.Err())
	}
}

// End says that this process does not work on the message any more. left says that
// what its record says must not stay: then the note of it does, for Left.
func (w *Work) End(left bool) {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	delete(w.of.open, w)
	w.of.sealed = w.of.sealed || left
}

// noteAll writes the row as long as callers wait for it.
func (b *Store) noteAll(ctx context.Context) {
	a := &b.works
	for {
		a.mu.Lock()
		f := a.next
		if a.busy = f != nil; !a.busy {
			a.mu.Unlock()
			return
		}
		a.next = nil
		keys := a.keys()
		if a.sealed {
			a.sealed, a.etag = false, ""
		}
		a.mu.Unlock()
		f.err = b.note(ctx, keys)
		close(f.landed)
	}
}

// keys are the operation ids of all open work, 16 bytes each.
func (a *works) keys() []byte {
	var keys []byte
	for w := range a.open {
		if len(keys) < maxNoted*keyBytes {
			keys = append(keys, w.key[:]...)
		}
	}
	return keys
}

// note writes the row. After an error its content is unknown, and after VisitAbandoned it is
// gone. Then another row is made, and VisitAbandoned deals with the first.
func (b *Store) note(ctx context.Context, keys []byte) error {
	var errs []error
	for range noteTries {
		err := b.tryNote(ctx, keys)
		if err == nil {
			return nil
		}
		b.works.etag = ""
		errs = append(errs, err)
	}
	return unavailable(fmt.Errorf("note what is at work: %w", errors.Join(errs...)))
}

func (b *Store) tryNote(ctx context.Context, keys []byte) error {
	ctx, cancel := context.WithTimeout(ctx, noteTime)
	defer cancel()
	now, err := b.now(ctx)
	if err != nil {
		return err
	}
	a, put := &b.works, b.tables.Lasting.Replace
	if a.etag == "" {
		a.row, put = workPrefix+b.newID(), b.tables.Lasting.Insert
	}
	asked := b.clock.Local()
	receipt, err := put(ctx, workEntity(a.row, a.etag, now, keys))
	b.clock.Observe(receipt.Time, asked)
	a.etag = receipt.ETag
	return err
}

func workEntity(row string, etag store.ETag, now time.Time, keys []byte) store.Entity {
	return store.Entity{Partition: row, Row: workRow, ETag: etag, Values: map[string]any{"at": now, "keys": keys}}
}

// VisitAbandoned calls end for the record of each message in rows that were not written for
// a while: their process may be dead. end says whether the record needs no further look. It
// costs one operation, and for each such row one for each message and one to delete it. An
// error is Unavailable, or end's.
func (b *Store) VisitAbandoned(ctx context.Context, end func(context.Context, *Record) (over bool, err error)) error {
	now, err := b.now(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for after := (store.Key{Partition: workPrefix}); ; {
		page, err := b.tables.Lasting.ListBefore(ctx, after, workEnd, workPage)
		if err != nil {
			return errors.Join(append(errs, unavailable(err))...)
		}
		for _, e := range page {
			after = store.Key{Partition: e.Partition, Row: e.Row}
			if at, _ := e.Values["at"].(time.Time); !at.Add(restTime).After(now) {
				errs = append(errs, b.leftIn(ctx, e, end))
			}
		}
		if len(page) < workPage {
			return errors.Join(errs...)
		}
	}
}

// leftIn looks at what a row lists, and takes out of it what is over.
func (b *Store) leftIn(ctx context.Context, e store.Entity, end func(context.Context, *Record) (bool, error)) error {
	keys, _ := e.Values["keys"].([]byte)
	var still []byte
	var errs []error
	for key := range slices.Chunk(keys, keyBytes) {
		over, err := b.leftAt(ctx, uuid.UUID(key).String(), end)
		if !over {
			still = append(still, key...)
		}
		errs = append(errs, err)
	}
	var err error
	switch {
	case len(still) == 0:
		err = b.tables.Lasting.Delete(ctx, e.Partition, e.Row, e.ETag)
	case len(still) < len(keys):
		at, _ := e.Values["at"].(time.Time)
		_, err = b.tables.Lasting.Replace(ctx, workEntity(e.Partition, e.ETag, at, still))
	}
	if errors.Is(err, store.ErrChanged) || errors.Is(err, store.ErrMissing) {
		err = nil // its process lives, or another round has been here
	}
	return errors.Join(append(errs, unavailable(err))...)
}

func (b *Store) leftAt(ctx context.Context, operation string, end func(context.Context, *Record) (bool, error)) (over bool, err error) {
	r, _, err := b.readOperation(ctx, operation)
	switch {
	case errors.Is(err, store.ErrMissing):
		return true, nil
	case err != nil:
		return false, unavailable(err)
	case r.Final():
		return true, nil
	}
	return end(ctx, r)
}

// Package roster keeps in memory what the operator has listed in a table: callers, hooks.
//
// In: a function that reads the whole list. Out: the list, as fresh as who asks needs it.
// Many who ask at once share one read, nobody waits longer than his context lasts, and
// storage is asked once a second at most: who asks within a second of a read that failed
// hears of that. It knows nothing of what is listed, and changes nothing of it.
package roster

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// Life is how long a list is believed. A message that is let go on the last of it has
	// reached its recipient within 30 s: its token lives 5 s, and its call to ACS is short.
	Life = 20 * time.Second
	// Grace is how long the last list lets callers in while it cannot be read.
	Grace = 5 * time.Minute
	// between is the least time from one read to the next.
	between = time.Second
	// readTime bounds one read.
	readTime = 5 * time.Second
)

// Roster keeps one list, by name. It is safe for concurrent use. The maps that it returns
// are not to be changed.
type Roster[T any] struct {
	now  func() time.Time
	read func(context.Context) (map[string]T, error)

	mu      sync.Mutex
	known   map[string]T
	asked   time.Time // when the reading of known began
	of      Moment    // the number of that reading
	reads   Moment    // readings that have begun
	began   time.Time // when the last reading did
	failure error     // of the last reading that has ended
	ended   time.Time // when it did
	reading *reading  // under way; nil without one
}

// reading is one read of the list, for all who wait for it.
type reading struct {
	done chan struct{} // closed at its end
	err  error         // then
}

// New makes a Roster of what read reads. now is a local clock.
func New[T any](now func() time.Time, read func(context.Context) (map[string]T, error)) *Roster[T] {
	return &Roster[T]{now: now, read: read}
}

// Fresh is the list, no older than Life. An error is the read's, or that of ctx.
func (r *Roster[T]) Fresh(ctx context.Context) (map[string]T, error) {
	return r.wait(ctx, func() bool { return r.now().Sub(r.asked) < Life })
}

// Known is Fresh or, while the list cannot be read, the last one, no older than Grace.
func (r *Roster[T]) Known(ctx context.Context) (map[string]T, error) {
	if known := r.last(ctx, true); known != nil { // nobody waits for a read that will likely fail
		return known, nil
	}
	known, err := r.Fresh(ctx)
	if err != nil {
		if last := r.last(ctx, false); last != nil {
			return last, nil
		}
	}
	return known, err
}

// last is the last list while the reading fails, nil if there is none that still holds.
// again lets it be read once more meanwhile.
func (r *Roster[T]) last(ctx context.Context, again bool) map[string]T {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if r.failure == nil || r.known == nil || now.Sub(r.asked) >= Grace {
		return nil
	}
	if again && r.reading == nil && now.Sub(r.began) >= between {
		r.start(ctx)
	}
	return r.known
}

// Moment is a time as the roster counts it: by the reads that had begun.
type Moment int

// Moment is now.
func (r *Roster[T]) Moment() Moment {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reads
}

// Rested says that the list can be read at once.
func (r *Roster[T]) Rested() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reading == nil && r.now().Sub(r.began) >= between
}

// Since is the list as it was after a moment. As it is read once a second at most, that may
// take as long. Errors are Fresh's.
func (r *Roster[T]) Since(ctx context.Context, m Moment) (map[string]T, error) {
	return r.wait(ctx, func() bool { return r.of > m })
}

// wait returns the list when it is good, which is asked with r.mu held.
func (r *Roster[T]) wait(ctx context.Context, good func() bool) (map[string]T, error) {
	for {
		r.mu.Lock()
		switch {
		case r.known != nil && good():
			defer r.mu.Unlock()
			return r.known, nil
		case r.reading == nil && r.failure != nil && r.now().Sub(r.ended) < between:
			defer r.mu.Unlock()
			return nil, r.failure
		case r.reading == nil:
			r.start(ctx)
		}
		under := r.reading
		r.mu.Unlock()
		select {
		case <-under.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if under.err != nil {
			return nil, under.err
		}
	}
}

// start begins a reading, which goes on whether who asked for it stays or not. r.mu is held.
func (r *Roster[T]) start(ctx context.Context) {
	wait := between - r.now().Sub(r.began)
	under := &reading{done: make(chan struct{})}
	r.reading = under
	go func() {
		defer close(under.done)
		time.Sleep(wait)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTime)
		defer cancel()
		r.mu.Lock()
		r.reads++
		r.began = r.now()
		r.mu.Unlock()
		known, err := r.read(ctx)
		r.mu.Lock()
		defer r.mu.Unlock()
		if known == nil && err == nil {
			err = errors.New("the list was not read")
		}
		if r.failure, r.ended, r.reading, under.err = err, r.now(), nil, err; err == nil {
			r.known, r.asked, r.of = known, r.began, r.reads
		}
	}()
}

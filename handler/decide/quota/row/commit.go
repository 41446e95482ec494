package row

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota/window"
	"github.com/posthorn/posthorn/handler/store"
)

// One write serves all requests that came while the last one was under way:
//
//	submit ──> row.waiting ──> loop ──> commit ──> tryCached ──> reply
//	   ^                                  └─────> readAndTry ──────┤
//	   └───────────────────────────────────────────────────────────┘

const (
	// tries is how often a write may fail before the ledger counts as out of reach,
	// not counting those before which somebody else wrote.
	tries = 12
	// writingTime bounds a write with all its tries: 200 instances that meet at a row
	// for the first time need half of it.
	writingTime = 20 * time.Second
)

// request is a Change on its way into a row.
type request struct {
	do       func(*window.Draft) answer
	without  func() (answer, bool)
	done     func(answer)
	untaken  func(answer)
	mayWait  bool
	canceled func() error // not nil once the caller is gone
	answers  chan answer  // of 1: a caller who left does not block the others
	over     atomic.Bool  // it was answered, or the caller no longer waits for that
}

// answer is what a Change answered.
type answer struct {
	value any
	err   error
}

// answer gives q what it asked for, unless nobody takes it any more.
func (q *request) answer(a answer) (taken bool) {
	taken = q.over.CompareAndSwap(false, true)
	if taken {
		q.answers <- a
	}
	return taken
}

// answeredWithout answers q without a row, if that is possible.
func (q *request) answeredWithout() bool {
	if q.without == nil {
		return false
	}
	a, ok := q.without()
	if ok {
		q.answer(a)
	}
	return ok
}

// submit queues q for the next write of w, and waits for the answer.
func (r *Rows) submit(ctx context.Context, w *row, q *request) answer {
	q.canceled, q.answers = ctx.Err, make(chan answer, 1)
	q.over.Store(false)
	r.enqueue(ctx, w, q)
	select {
	case a := <-q.answers:
		return a
	case <-ctx.Done():
		if !q.over.CompareAndSwap(false, true) {
			return <-q.answers // it may hold a grant
		}
		return answer{err: unavailable(context.Cause(ctx))}
	}
}

func (r *Rows) enqueue(ctx context.Context, w *row, q *request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = append(w.waiting, q)
	if !q.mayWait {
		select {
		case w.urgent <- struct{}{}:
		default:
		}
	}
	if !w.writing {
		w.writing = true
		go r.loop(context.WithoutCancel(ctx), w)
	}
}

// loop writes for those who wait, all of them at a time, until nobody does. No caller
// does this himself: one who leaves would take the others' write with him.
func (r *Rows) loop(ctx context.Context, w *row) {
	for batch := w.batch(); batch != nil; batch = w.batch() {
		batch = r.waitForPace(ctx, w, batch)
		batch = slices.DeleteFunc(batch, func(q *request) bool { return q.canceled() != nil || q.answeredWithout() })
		if len(batch) > 0 {
			r.writeFor(ctx, w, batch)
		}
	}
}

func (w *row) batch() []*request {
	w.mu.Lock()
	defer w.mu.Unlock()
	batch := w.waiting
	w.waiting, w.writing = nil, len(batch) > 0
	return batch
}

// waitForPace waits until the next write of this process may come, and adds to batch who
// came meanwhile. An urgent request cuts the wait short.
func (r *Rows) waitForPace(ctx context.Context, w *row, batch []*request) []*request {
	urgent := func(q *request) bool { return !q.mayWait }
	wait := r.pace.wait(r.now())
	if wait <= 0 || slices.ContainsFunc(batch, urgent) {
		return batch
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		w.mu.Lock()
		batch, w.waiting = append(batch, w.waiting...), nil
		w.mu.Unlock()
		if slices.ContainsFunc(batch, urgent) {
			return batch
		}
		select {
		case <-w.urgent:
		case <-timer.C:
			return batch
		case <-ctx.Done():
			return batch
		}
	}
}

// writeFor commits batch and tells every request what became of it.
func (r *Rows) writeFor(ctx context.Context, w *row, batch []*request) {
	ctx, cancel := context.WithTimeout(ctx, writingTime)
	defer cancel()
	a, conflicts, err := r.commit(ctx, w, batch)
	if a.dirty {
		r.pace.met(conflicts, r.now(), a.id)
	}
	for i, q := range batch {
		switch {
		case errors.Is(err, errMoved):
			q.answer(answer{err: errMoved})
		case err != nil:
			q.answer(answer{err: unavailable(err)})
		default:
			q.done(a.answers[i])
			if !q.answer(a.answers[i]) {
				q.untaken(a.answers[i])
			}
		}
	}
}

// attempt is what one write would leave.
type attempt struct {
	id         string
	after      content
	dirty      bool     // it is worth a write
	allGranted bool     // everybody gets what he asked for
	answers    []answer // one for every request
}

// commit makes one write for all of batch. It returns the attempt that is in the
// row, or one that needs no write, and how often others were faster.
func (r *Rows) commit(ctx context.Context, w *row, batch []*request) (a attempt, conflicts int, err error) {
	a, failed := r.tryCached(ctx, w, batch)
	switch {
	case a.id == "":
		return r.readAndTry(ctx, w, batch, nil, nil)
	case failed != nil:
		return r.readAndTry(ctx, w, batch, []attempt{a}, failed)
	}
	return a, 0, nil
}

// tryCached writes on what was last seen of the row, if nobody else seems to write: the ETag
// says whether it is so still. A refusal is only given on a fresh read. The attempt has no id
// if there was none.
func (r *Rows) tryCached(ctx context.Context, w *row, batch []*request) (attempt, error) {
	seen := r.timed(w)
	if seen == nil || r.pace.between() > 0 {
		return attempt{}, nil
	}
	a := r.plan(w, seen, batch)
	if !a.dirty || !a.allGranted {
		return attempt{}, nil
	}
	return a, r.write(ctx, w, seen, a.after)
}

// readAndTry reads the row and writes on it until a write of this batch is there.
// No error of a write is believed: its answer may have been lost, or the write may
// even be still on its way, so all made so far are looked for.
func (r *Rows) readAndTry(ctx context.Context, w *row, batch []*request, made []attempt, failed error) (won attempt, conflicts int, err error) {
	for {
		if overtaken(failed) {
			conflicts++
			r.Conflicts.Add(1)
		}
		seen, err := r.read(ctx, w)
		if err != nil && !errors.Is(err, errMoved) {
			return attempt{}, conflicts, errors.Join(err, failed)
		}
		for _, a := range made {
			if seen.attempts.has(a.id) {
				return a, conflicts, nil
			}
		}
		if err != nil { // no write can come to a closed row any more
			return attempt{}, conflicts, err
		}
		if len(made)-conflicts == tries {
			return attempt{}, conflicts, fmt.Errorf("quota ledger: %d writes failed, the last with: %w", tries, failed)
		}
		a := r.plan(w, &seen, batch)
		if !a.dirty {
			return a, conflicts, nil
		}
		made = append(made, a)
		if failed = r.write(ctx, w, &seen, a.after); failed == nil {
			return a, conflicts, nil
		}
		if err := waitBeforeTry(ctx, r.pace.between(), len(made), a.id); err != nil {
			return attempt{}, conflicts, errors.Join(err, failed)
		}
	}
}

// overtaken says of a write's error that somebody else has written first.
func overtaken(err error) bool {
	return errors.Is(err, store.ErrChanged) || errors.Is(err, store.ErrExists)
}

// plan lets every request do its part on what those before it left.
func (r *Rows) plan(w *row, seen *snapshot, batch []*request) attempt {
	d := window.New(seen.State, w.number, r.termsOf(w.number, seen.layout), seen.at, r.now())
	a := attempt{id: r.newID(), allGranted: true, answers: make([]answer, len(batch))}
	for i, q := range batch {
		a.answers[i] = q.do(d)
		a.allGranted = a.allGranted && a.answers[i].err == nil
	}
	a.after, a.dirty = content{d.State, seen.attempts.with(a.id), seen.layout, seen.next}, d.Changed
	return a
}

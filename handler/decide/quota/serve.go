package quota

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/posthorn/posthorn/handler/store"
)

const (
	// tries is how often a write may fail before the ledger counts as out of reach,
	// not counting those before which somebody else wrote.
	tries = 12
	// servingTime bounds a write with all its tries: 200 instances that meet at a row
	// for the first time need half of it.
	servingTime = 20 * time.Second
)

// shard is one row, and who waits in this process for its next write.
type shard struct {
	number int
	name   string
	layout layout

	mu      sync.Mutex
	waiting []*request    // in order of arrival
	serving bool          // whether a goroutine serves waiting
	hurry   chan struct{} // of 1: somebody came who does not wait for the pace
	seen    *snapshot     // the last one; nil before
}

// request is one call that asks something of a row.
type request struct {
	// do changes the page and says what it then answers. It may be called again,
	// on another page: only one page becomes the row.
	do func(*page) answer
	// spare, if not nil, answers without a row, if it can.
	spare func() (answer, bool)
	// patient ones wait for the pace of the row's writers.
	patient bool
	left    func() error // not nil once the caller is gone
	done    chan answer  // buffered: whoever left does not block the others
	over    atomic.Bool  // it was answered, or the caller no longer waits for that
}

// answer gives r what it asked for, unless nobody takes it any more.
func (r *request) answer(a answer) (taken bool) {
	taken = r.over.CompareAndSwap(false, true)
	if taken {
		r.done <- a
	}
	return taken
}

// answer holds what the call that asked returns; err and the rest are not both set.
type answer struct {
	grants  [][]Grant
	place   *Position
	next    time.Time
	ok      bool
	usage   Usage
	opening Opening
	lease   *lease // tokens beyond the call's, for this process to use soon
	err     error
}

// snapshot is the row as storage last told it.
type snapshot struct {
	ledger
	etag store.ETag // empty: there is no row
	at   reading
}

// attempt is what one write would leave.
type attempt struct {
	id      string
	after   ledger
	dirty   bool     // whether it is worth a write
	content bool     // whether everybody gets what he asked for
	answers []answer // one for every request
}

// ask lets r have its turn at the row of s.
func (l *Ledger) ask(ctx context.Context, s *shard, r *request) answer {
	r.left, r.done = ctx.Err, make(chan answer, 1)
	r.over.Store(false)
	l.enter(ctx, s, r)
	select {
	case a := <-r.done:
		return a
	case <-ctx.Done():
		if !r.over.CompareAndSwap(false, true) {
			return <-r.done // it may hold a grant
		}
		return answer{err: unavailable(context.Cause(ctx))}
	}
}

// enter queues r, and serves the queue if nobody does.
func (l *Ledger) enter(ctx context.Context, s *shard, r *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, r)
	if !r.patient {
		select {
		case s.hurry <- struct{}{}:
		default:
		}
	}
	if !s.serving {
		s.serving = true
		go l.serve(context.WithoutCancel(ctx), s)
	}
}

// serve does what is waiting, all of it at a time, until nothing is. No caller
// does this himself: one who leaves would take the others' write with him.
func (l *Ledger) serve(ctx context.Context, s *shard) {
	for batch := s.batch(); batch != nil; batch = s.batch() {
		batch = l.slow(ctx, s, batch)
		batch = slices.DeleteFunc(batch, func(r *request) bool { return r.left() != nil || r.spared() })
		if len(batch) > 0 {
			l.settle(ctx, s, batch)
		}
	}
}

// slow waits until the next write of this process may come, and adds to batch who
// came meanwhile. Whoever is not patient ends that.
func (l *Ledger) slow(ctx context.Context, s *shard, batch []*request) []*request {
	hurried := func(r *request) bool { return !r.patient }
	wait := l.pace.wait(l.now())
	if wait <= 0 || slices.ContainsFunc(batch, hurried) {
		return batch
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		s.mu.Lock()
		batch, s.waiting = append(batch, s.waiting...), nil
		s.mu.Unlock()
		if slices.ContainsFunc(batch, hurried) {
			return batch
		}
		select {
		case <-s.hurry:
		case <-timer.C:
			return batch
		case <-ctx.Done():
			return batch
		}
	}
}

// spared answers r without a row, if that is possible.
func (r *request) spared() bool {
	if r.spare == nil {
		return false
	}
	a, ok := r.spare()
	if ok {
		r.answer(a)
	}
	return ok
}

func (s *shard) batch() []*request {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch := s.waiting
	s.waiting, s.serving = nil, len(batch) > 0
	return batch
}

// settle writes for batch and tells every request what became of it.
func (l *Ledger) settle(ctx context.Context, s *shard, batch []*request) {
	ctx, cancel := context.WithTimeout(ctx, servingTime)
	defer cancel()
	a, conflicts, err := l.commit(ctx, s, batch)
	if a.dirty {
		l.pace.met(conflicts, l.now(), a.id)
	}
	for i, r := range batch {
		switch {
		case errors.Is(err, errMoved):
			r.answer(answer{err: errMoved})
		case err != nil:
			r.answer(answer{err: unavailable(err)})
		default:
			l.pool.put(a.answers[i].lease)
			if !r.answer(a.answers[i]) {
				l.unclaimed(ctx, a.answers[i])
			}
		}
	}
}

// commit makes one write for all of batch. It returns the attempt that is in the
// row, or one that needs no write, and how often others were faster.
func (l *Ledger) commit(ctx context.Context, s *shard, batch []*request) (a attempt, conflicts int, err error) {
	if seen := l.recent(s); seen != nil && l.pace.between() == 0 {
		if a := l.plan(s, seen, batch); a.dirty && a.content {
			err := l.write(ctx, s, seen, a.after)
			if err == nil {
				return a, 0, nil
			}
			return l.commitAfresh(ctx, s, batch, []attempt{a}, err)
		}
	}
	return l.commitAfresh(ctx, s, batch, nil, nil)
}

// commitAfresh reads the row and writes on it until a write of this batch is there.
// No error of a write is believed: its answer may have been lost, or the write may
// even be still on its way, so all made so far are looked for.
func (l *Ledger) commitAfresh(ctx context.Context, s *shard, batch []*request, made []attempt, failed error) (won attempt, conflicts int, err error) {
	for {
		if overtaken(failed) {
			conflicts++
			l.stats.conflicts.Add(1)
		}
		seen, err := l.read(ctx, s)
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
		a := l.plan(s, &seen, batch)
		if !a.dirty {
			return a, conflicts, nil
		}
		made = append(made, a)
		if failed = l.write(ctx, s, &seen, a.after); failed == nil {
			return a, conflicts, nil
		}
		if err := pause(ctx, l.pace.between(), len(made), a.id); err != nil {
			return attempt{}, conflicts, errors.Join(err, failed)
		}
	}
}

// overtaken says of a write's error that somebody else has written first.
func overtaken(err error) bool {
	return errors.Is(err, store.ErrChanged) || errors.Is(err, store.ErrExists)
}

// plan lets every request do its part on what those before it left.
func (l *Ledger) plan(s *shard, seen *snapshot, batch []*request) attempt {
	p := l.newPage(s.number, seen, l.now())
	a := attempt{id: l.newID(), content: true, answers: make([]answer, len(batch))}
	for i, r := range batch {
		a.answers[i] = r.do(p)
		a.content = a.content && a.answers[i].err == nil
	}
	a.after, a.dirty = p.ledger.sign(a.id), p.dirty
	return a
}

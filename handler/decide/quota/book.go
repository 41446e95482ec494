package quota

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

const (
	// tries is how often a booking is written before the ledger counts as out of
	// reach.
	tries = 12
	// servingTime bounds a booking with all its tries.
	servingTime = 15 * time.Second
	// firstPause and longestPause bound the wait between tries.
	firstPause   = 20 * time.Millisecond
	longestPause = 640 * time.Millisecond
)

// request is one call of Book.
type request struct {
	cost int
	left func() error // not nil once the caller is gone
	done chan result  // buffered: whoever left does not block the others
}

type result struct {
	grant Grant
	err   error
}

// snapshot is the row as storage last told it.
type snapshot struct {
	ledger
	etag store.ETag // empty: there is no row
	at   reading
}

// attempt is what one write would book.
type attempt struct {
	id     string
	after  ledger
	useBy  time.Time
	fits   []bool // one for every request
	booked int    // how many of them
}

// enter queues r, and serves the queue if nobody does.
func (l *Ledger) enter(ctx context.Context, r *request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, r)
	if !l.serving {
		l.serving = true
		go l.serve(context.WithoutCancel(ctx))
	}
}

// serve books what is waiting, all of it at a time, until nothing is. No caller
// does this himself: one who leaves would take the others' booking with him.
func (l *Ledger) serve(ctx context.Context) {
	for batch := l.next(); batch != nil; batch = l.next() {
		batch = slices.DeleteFunc(batch, func(r *request) bool { return r.left() != nil })
		if len(batch) > 0 {
			l.settle(ctx, batch)
		}
	}
}

func (l *Ledger) next() []*request {
	l.mu.Lock()
	defer l.mu.Unlock()
	batch := l.waiting
	l.waiting, l.serving = nil, len(batch) > 0
	return batch
}

// settle books batch and tells every request what became of it.
func (l *Ledger) settle(ctx context.Context, batch []*request) {
	ctx, cancel := context.WithTimeout(ctx, servingTime)
	defer cancel()
	a, s, err := l.book(ctx, batch)
	local := l.now()
	for i, r := range batch {
		switch grant := (Grant{UseBy: a.useBy}); {
		case err != nil:
			r.done <- result{err: unavailable(err)}
		case !a.fits[i]:
			r.done <- result{err: l.overQuota(s, r.cost, local)}
		case !grant.Live(local):
			r.done <- result{err: unavailable(errors.New("quota booking was answered too late, its tokens are burnt"))}
		default:
			r.done <- result{grant: grant}
		}
	}
}

// overQuota counts from the earliest time that it may be, so that whoever waits
// it out, succeeds.
func (l *Ledger) overQuota(s snapshot, cost int, local time.Time) error {
	now := s.at.earliest(local)
	wait := max(s.room(l.limits, cost)-now, 1).wholeSecond()
	p := problem.New(problem.OverQuota, "The sending quota has no room now. Try again in %d s.", wait/1000)
	p.RetryAfter = time.Duration(wait) * time.Millisecond
	return p
}

// book writes one booking for as many of batch as fit, in their order. It
// returns the attempt that is in the ledger, or one that books nothing, and what
// storage told last.
func (l *Ledger) book(ctx context.Context, batch []*request) (attempt, snapshot, error) {
	if s, ok := l.recent(); ok {
		if a := l.plan(s, batch); a.booked == len(batch) {
			after, err := l.write(ctx, s, a.after)
			if err == nil {
				return a, after, nil
			}
			return l.bookAfresh(ctx, batch, []attempt{a}, err)
		}
	}
	return l.bookAfresh(ctx, batch, nil, nil)
}

// bookAfresh reads the row and books on it until a write of this batch is there.
// No error of a write is believed: its answer may have been lost, or the write may
// even be still on its way, so all made so far are looked for.
func (l *Ledger) bookAfresh(ctx context.Context, batch []*request, made []attempt, failed error) (attempt, snapshot, error) {
	for {
		s, err := l.read(ctx)
		if err != nil {
			return attempt{}, s, errors.Join(err, failed)
		}
		for _, a := range made {
			if slices.Contains(s.attempts, a.id) {
				return a, s, nil
			}
		}
		if len(made) == tries {
			return attempt{}, s, fmt.Errorf("quota ledger: %d writes failed, the last with: %w", tries, failed)
		}
		a := l.plan(s, batch)
		if a.booked == 0 {
			return a, s, nil
		}
		made = append(made, a)
		after, err := l.write(ctx, s, a.after)
		if err == nil {
			return a, after, nil
		}
		failed = err
		if err := pause(ctx, len(made), a.id); err != nil {
			return attempt{}, s, errors.Join(err, failed)
		}
	}
}

// plan books for every request that still fits after those before it.
func (l *Ledger) plan(s snapshot, batch []*request) attempt {
	at := max(s.at.earliest(l.now()), s.last())
	a := attempt{id: l.newID(), after: s.ledger, fits: make([]bool, len(batch))}
	// The snapshot's own stay as they are.
	a.after.times = append(make([]instant, 0, len(a.after.times)+len(batch)), a.after.times...)
	for i, r := range batch {
		if a.after.room(l.limits, r.cost) <= at {
			a.after = a.after.book(at, r.cost)
			a.fits[i] = true
			a.booked++
		}
	}
	a.after = a.after.sign(l.limits, at, a.id)
	a.useBy = s.at.until(at.add(MaxAge))
	return a
}

// pause waits before the next try, at random lest instances meet again. The
// randomness is the attempt id's.
func pause(ctx context.Context, try int, id string) error {
	most := min(firstPause<<(try-1), longestPause)
	h := fnv.New32a()
	h.Write([]byte(id))
	timer := time.NewTimer(time.Duration(h.Sum32()) % most)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

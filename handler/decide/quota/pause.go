package quota

import (
	"context"
	"errors"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
)

// pauseLook is how far off the next look at a paused row is said to be: a tick an hour
// costs nothing. Resume does not wait for it.
const pauseLook = time.Hour

// Pause lets nothing go any more, in any process, once it returns, but for tokens that
// were booked before: those are burnt within MaxAge. Messages go on joining their lines
// or, with refuse, are refused. reason is shown to callers. A ledger that is paused gets
// the new reason. It may be repeated. Errors are InvalidRequest, and Unavailable: the
// ledger may then be paused in part, so repeat it.
func (l *Ledger) Pause(ctx context.Context, reason string, refuse bool) error {
	pause, err := problem.NewPause(reason, refuse, l.now())
	if err != nil {
		return err
	}
	return l.setPause(ctx, pause)
}

// Resume ends a pause, if there is one. The ledger counts on no tick then: whoever resumes
// wakes all shards, as gateway.ResumeSending does, or the timer will. It may be repeated.
// An error is Unavailable: the ledger may then be paused in part, so repeat it.
func (l *Ledger) Resume(ctx context.Context) error { return l.setPause(ctx, nil) }

// setPause writes every row, again if the ledger has moved to others meanwhile: what is
// moved is paused if any of the old rows was.
func (l *Ledger) setPause(ctx context.Context, pause *problem.Pause) error {
	l.pool.drop()
	for range moves {
		y, err := l.current(ctx)
		if err != nil {
			return err
		}
		for i := range y.shards {
			if err := l.at(ctx, i, func(p *page) answer { return p.setPause(pause) }).err; err != nil {
				return err
			}
		}
		if l.known() == y {
			return nil
		}
	}
	return unavailable(errors.New("quota ledger: its layout does not stay"))
}

func (p *page) setPause(pause *problem.Pause) answer {
	p.dirty = p.dirty || p.pause != nil || pause != nil
	if p.pause != nil && pause == nil {
		for i := range p.desks { // the ticks that are on their way come too late
			p.desks[i].TickAt, p.desks[i].Fresh = 0, true
		}
	}
	p.pause = pause
	return answer{}
}

// opens is the earliest time at which the operator and ACS's health let cost tokens go.
func (p *page) opens(cost int) instant {
	if p.pause != nil {
		return p.at.add(pauseLook)
	}
	return p.health.room(p.limits, p.at, cost)
}

// paused is the problem of a call that may not go.
func (p *page) paused() error { return p.pause.Problem("all sending") }

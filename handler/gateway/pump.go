package gateway

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/deliver/spool"
)

const (
	// pumpTime is how long one Dispatch goes on: less than the trigger's deadline
	// with the longest call to ACS.
	pumpTime = 2 * time.Minute
	// pumpPatience is how long it waits for room by itself rather than be woken.
	pumpPatience = 20 * time.Second
	// roundSlips bounds what one round takes, maxWaves the waves of all pumps of a
	// process, waveBytes and waveSlips what is held and sent at once.
	roundSlips = 64
	maxWaves   = 8
	waveSlips  = 32
	waveBytes  = 8 << 20
)

// pump serves the lines of one shard for a while.
type pump struct {
	*Gateway
	shard int
	id    string
	now   time.Time // of storage, at the beginning of a round
	away  bool      // ACS did not answer a question in this round
}

// Dispatch serves the lines of a shard: it sends what may go now, in order, and
// sees to it that the shard is woken when more may. It may be repeated and run
// many times at once: the ledger gives the seat of a shard to one. An error is
// Unavailable, and then Tend wakes the shard again.
func (g *Gateway) Dispatch(ctx context.Context, shard int) error {
	p := &pump{Gateway: g, shard: shard, id: g.NewID()}
	for end := g.Now().Add(pumpTime); ; {
		next, again, err := p.round(ctx)
		switch {
		case errors.Is(err, quota.ErrSeat):
			return p.wakeAt(ctx, next)
		case err != nil:
			return err
		case again && g.Now().Before(end):
			continue
		case again:
			next = p.now
		}
		wait := next.Sub(p.now)
		if !again && !next.IsZero() && wait <= pumpPatience && g.Now().Add(wait).Before(end) {
			if err := sleep(ctx, max(wait, time.Second)); err != nil {
				return err
			}
			continue
		}
		switch err := g.Sends.Rest(ctx, shard, p.id, next); {
		case errors.Is(err, quota.ErrJoined):
			continue
		case errors.Is(err, quota.ErrSeat):
			return nil
		case err != nil:
			return err
		}
		return p.wakeAt(ctx, next)
	}
}

// wakeAt asks to be woken at a time, zero for never.
func (p *pump) wakeAt(ctx context.Context, at time.Time) error {
	if at.IsZero() {
		return nil
	}
	return p.Spool.Wake(ctx, p.shard, at.Sub(p.now))
}

// round looks at the lines once and sends what may go. again says that there may
// be more at once; otherwise next says when, and zero that nothing waits.
func (p *pump) round(ctx context.Context) (next time.Time, again bool, err error) {
	lines, room, next, ok, err := p.Sends.Open(ctx, p.shard, p.id)
	if err != nil {
		return next, false, err
	}
	if p.now, err = p.Records.Time(ctx); err != nil {
		return next, false, err
	}
	if !ok {
		return next, false, quota.ErrSeat
	}
	heads, err := p.look(ctx, lines, room)
	if err != nil {
		return next, false, err
	}
	asked := p.askAll(ctx, heads)
	if p.away {
		return p.now.Add(unanswered), false, nil
	}
	wants := make([]quota.Want, len(heads))
	for i, h := range heads {
		wants[i] = h.want()
	}
	grants, more, err := p.Sends.Take(ctx, p.shard, p.id, wants)
	if err != nil {
		return next, false, err
	}
	sent := p.sendAll(ctx, heads, grants)
	if sent+asked > 0 {
		return next, true, nil
	}
	for _, h := range heads {
		more = sooner(more, h.next)
	}
	return more, false, nil
}

// sooner is the earlier of two times, of which zero means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// heads are the first slips of one line.
type heads struct {
	line  quota.Line
	ready []*spool.Slip // that may go now
	doubt []*spool.Slip // about which ACS is to be asked now
	next  time.Time     // when another of them may go, or be asked about; zero: none
	// whole says that these are all slips of the line.
	whole   bool
	nextDue time.Time // of the first that is not due
}

func (h *heads) want() quota.Want {
	w := quota.Want{Line: h.line, Complete: h.whole, NextDue: h.nextDue}
	for _, s := range h.ready {
		w.Calls = append(w.Calls, callOf(s))
	}
	return w
}

func callOf(s *spool.Slip) quota.Call {
	return quota.Call{Caller: s.Line.Caller, Class: quota.Class(s.Line.Class), Cost: s.Cost, Share: s.Share, Cap: s.Cap}
}

// look lists the heads of the lines, not many more than there is room for.
func (p *pump) look(ctx context.Context, lines []quota.LineView, room int) ([]*heads, error) {
	room = min(max(room, 1), roundSlips)
	lines = lines[:min(len(lines), room+2)]
	each := max(2, 2*room/max(len(lines), 1))
	all, errs := make([]*heads, len(lines)), make([]error, len(lines))
	var wg sync.WaitGroup
	for i, l := range lines {
		wg.Go(func() {
			var slips []spool.Slip
			slips, errs[i] = p.Spool.Heads(ctx, p.line(l.Line), each)
			all[i] = p.sort(l.Line, slips, len(slips) < each)
		})
	}
	wg.Wait()
	return all, errors.Join(errs...)
}

func (p *pump) line(l quota.Line) spool.Line {
	return spool.Line{Shard: p.shard, Class: int(l.Class), Caller: l.Caller, Later: l.Later}
}

// sort says what may be done now with the slips of a line.
func (p *pump) sort(l quota.Line, slips []spool.Slip, whole bool) *heads {
	h := &heads{line: l, whole: whole}
	for i := range slips {
		s := &slips[i]
		switch {
		case s.Due.After(p.now):
			if l.Later && h.nextDue.IsZero() {
				h.nextDue = s.Due
			}
			h.next = sooner(h.next, s.Due)
		case s.NotBefore.After(p.now):
			h.next = sooner(h.next, s.NotBefore)
			h.whole = false // it waits, and takes nothing now
		case s.Doubt != spool.NoDoubt:
			h.doubt = append(h.doubt, s)
			h.whole = false
		default:
			h.ready = append(h.ready, s)
		}
	}
	return h
}

// askAll asks ACS about slips in doubt; those that it does not have join the ready
// ones of their line, in order. It returns how many have been settled. When ACS
// does not even answer a question, no message is offered to it either: it would
// only be in doubt too.
func (p *pump) askAll(ctx context.Context, all []*heads) (settled int) {
	p.away = false
	for _, h := range all {
		for _, s := range h.doubt {
			if p.away {
				return settled
			}
			switch verdict := p.question(ctx, s); {
			case verdict == goesAgain:
				h.ready = append(h.ready, s)
				settled++
			case verdict == hasEnded:
				settled++
			default:
				h.next = sooner(h.next, s.NotBefore)
			}
		}
		slices.SortFunc(h.ready, func(a, b *spool.Slip) int { return cmp.Compare(a.Key.Row, b.Key.Row) })
	}
	return settled
}

// sendAll sends what was granted, in waves.
func (p *pump) sendAll(ctx context.Context, all []*heads, grants [][]quota.Grant) (sent int) {
	var wave []func()
	bytes := 0
	flush := func() {
		p.waves <- struct{}{}
		var wg sync.WaitGroup
		for _, send := range wave {
			wg.Go(send)
		}
		wg.Wait()
		<-p.waves
		sent += len(wave)
		wave, bytes = nil, 0
	}
	for i, h := range all {
		for j, grant := range grants[i] {
			slip := h.ready[j]
			if len(wave) == waveSlips || len(wave) > 0 && bytes+slip.Bytes > waveBytes {
				flush()
			}
			wave, bytes = append(wave, func() { p.serve(ctx, slip, grant) }), bytes+slip.Bytes
		}
	}
	if len(wave) > 0 {
		flush()
	}
	return sent
}

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
	"github.com/posthorn/posthorn/handler/store"
)

const (
	// pumpTime is how long one Dispatch goes on: less than the trigger's deadline
	// with the longest call to ACS.
	pumpTime = 2 * time.Minute
	// pumpPatience is how long it waits for room by itself rather than be woken.
	// While it waits it keeps its seat: less than quota.SeatLife.
	pumpPatience = 20 * time.Second
	// shortestPause keeps a pump from writing the ledger for every token by itself.
	shortestPause = 500 * time.Millisecond
	// pumpSlips and pumpBytes bound what one pump holds and sends at once, except
	// that a single letter may be of any size.
	pumpSlips = 64
	pumpBytes = 16 << 20
)

// pump serves the lines of one shard for a while.
type pump struct {
	*Gateway
	shard int
	id    string
	now   time.Time // of storage, at the beginning of a round
	away  bool      // ACS did not answer a question in this round
	owed  time.Time // when the ledger counts on a tick that was not sent yet
	seat  bool      // the ledger has given it, and may not have had it back

	flight sync.WaitGroup
	mu     sync.Mutex
	flying map[store.Key]bool
	bytes  int // of those that fly
}

// Dispatch serves the lines of a shard: it sends what may go now, in order, and
// sees to it that the shard is woken when more may. It may be repeated and run
// many times at once: the ledger gives the seat of a shard to one. An error is
// Unavailable, and then Tend wakes the shard again.
func (g *Gateway) Dispatch(ctx context.Context, shard int) error {
	p := &pump{Gateway: g, shard: shard, id: g.NewID(), flying: map[store.Key]bool{}}
	defer p.flight.Wait()
	for end := g.Now().Add(pumpTime); ; {
		r, err := p.round(ctx)
		late := !g.Now().Before(end)
		switch {
		case err != nil:
			return err
		case r.other:
			return p.wakeAt(ctx, p.owed)
		case r.again && !late:
			continue
		case r.again:
			r.next = p.now
		case !late && p.worthWaiting(r.next):
			if err := p.pause(ctx, r.next.Sub(p.now)); err != nil {
				return err
			}
			continue
		}
		p.flight.Wait()
		if r.seated {
			switch err := g.Sends.Rest(ctx, shard, p.id, r.next); {
			case errors.Is(err, quota.ErrJoined):
				continue
			case errors.Is(err, quota.ErrSeat):
				return p.wakeAt(ctx, p.owed)
			case err != nil:
				return err
			}
		}
		return p.wakeAt(ctx, r.next)
	}
}

// worthWaiting says whether the pump does not end although nothing may go now.
func (p *pump) worthWaiting(next time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.flying) > 0 || !next.IsZero() && next.Sub(p.now) <= pumpPatience
}

// pause waits until a time has come, or a while if that is far off: what flies may
// have landed then.
func (p *pump) pause(ctx context.Context, d time.Duration) error {
	return sleep(ctx, min(max(d, shortestPause), pumpPatience))
}

// wakeAt asks to be woken at a time, zero for never.
func (p *pump) wakeAt(ctx context.Context, at time.Time) error {
	if at.IsZero() {
		return nil
	}
	return p.Spool.Wake(ctx, p.shard, at.Sub(p.now))
}

// round is what one look at the lines has led to.
type round struct {
	again  bool      // there may be more to do at once
	other  bool      // another pump serves the shard, or nothing waits
	seated bool      // the pump has the seat
	next   time.Time // when more may go; zero: nothing waits
}

// round looks at the lines once and sends what may go.
func (p *pump) round(ctx context.Context) (round, error) {
	free := p.free()
	if free < (p.slips()+3)/4 {
		return round{next: p.now.Add(shortestPause), seated: true}, nil
	}
	lines, room, next, ok, err := p.Sends.Open(ctx, p.shard, p.id)
	if err != nil {
		return round{}, err
	}
	if p.now, err = p.Records.Time(ctx); err != nil {
		return round{}, err
	}
	switch {
	case ok:
		p.owed, p.seat = time.Time{}, true
	case !next.IsZero(): // the ledger has taken the seat back, and counts on a tick
		p.owed, p.seat = next, false
		return round{next: next}, nil
	default: // nothing waits, or others see to it
		return round{seated: p.seat, other: !p.seat}, nil
	}
	heads, err := p.look(ctx, lines, min(room, free))
	if err != nil {
		return round{}, err
	}
	asked := p.askAll(ctx, heads)
	if p.away {
		return round{seated: true, next: p.now.Add(unanswered)}, nil
	}
	wants := make([]quota.Want, len(heads))
	for i, h := range heads {
		wants[i] = h.want()
	}
	grants, next, err := p.Sends.Take(ctx, p.shard, p.id, wants)
	if errors.Is(err, quota.ErrSeat) {
		return round{other: true}, nil
	}
	if err != nil {
		return round{}, err
	}
	if p.sendAll(ctx, heads, grants)+asked > 0 {
		return round{seated: true, again: true}, nil
	}
	for _, h := range heads {
		next = sooner(next, h.next)
	}
	return round{seated: true, next: next}, nil
}

// free is how many letters more may fly.
func (p *pump) free() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bytes >= pumpBytes {
		return 0
	}
	return max(0, p.slips()-len(p.flying))
}

// slips is how many letters may fly: none that would wait for a call.
func (p *pump) slips() int { return min(pumpSlips, p.MaxCalls) }

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
	lines = lines[:min(len(lines), room+2)]
	p.mu.Lock()
	each := max(2, 2*room/max(len(lines), 1)) + len(p.flying)
	p.mu.Unlock()
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
		case p.flies(s):
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
			switch d := (&delivery{p.Gateway, s, p.now}); d.question(ctx) {
			case goesAgain:
				h.ready = append(h.ready, s)
				settled++
			case hasEnded:
				settled++
			case nobodyThere:
				p.away = true
			case asksOn:
				h.next = sooner(h.next, s.NotBefore)
			}
		}
		slices.SortFunc(h.ready, func(a, b *spool.Slip) int { return cmp.Compare(a.Key.Row, b.Key.Row) })
	}
	return settled
}

func (p *pump) flies(s *spool.Slip) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.flying[s.Key]
}

// sendAll lets fly what was granted.
func (p *pump) sendAll(ctx context.Context, all []*heads, grants [][]quota.Grant) (sent int) {
	for i, h := range all {
		for j, grant := range grants[i] {
			p.launch(ctx, h.ready[j], grant)
			sent++
		}
	}
	return sent
}

func (p *pump) launch(ctx context.Context, slip *spool.Slip, grant quota.Grant) {
	p.mu.Lock()
	p.flying[slip.Key] = true
	p.bytes += slip.Bytes
	p.mu.Unlock()
	now := p.now
	p.flight.Go(func() {
		p.serve(ctx, slip, grant, now)
		p.mu.Lock()
		delete(p.flying, slip.Key)
		p.bytes -= slip.Bytes
		p.mu.Unlock()
	})
}

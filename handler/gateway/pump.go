package gateway

import (
	"context"
	"errors"
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
	// pumpPatience is how long it waits for room by itself rather than be woken, and
	// the longest time between two looks: who joins meanwhile waits for the next.
	pumpPatience = 5 * time.Second
	// shortestPause keeps a pump from writing the ledger for every token by itself.
	shortestPause = 500 * time.Millisecond
	// pumpSlips and pumpBytes bound what one pump holds and sends at once, except
	// that a single letter may be of any size.
	pumpSlips = 64
	pumpBytes = 16 << 20
	// pumpQuestions are how many questions it asks at once.
	pumpQuestions = 8
)

// pump serves the lines of one shard for a while.
type pump struct {
	*Gateway
	shard     int
	id        string
	now       time.Time            // of storage, at the beginning of a round
	owed      time.Time            // when the ledger counts on a tick that was not sent yet
	backedOff map[uint32]time.Time // senders that ACS refuses while it takes others, as of this round
	seat      bool                 // the ledger has given it, and may not have had it back

	flight  sync.WaitGroup
	landed  chan struct{} // of 1: something has come back to its line
	mu      sync.Mutex
	flying  map[store.Key]bool
	bytes   int       // of those that fly
	asking  int       // of those that fly, to be asked about
	vetting int       // of those that fly, only looked at
	away    time.Time // until when no question is asked, since ACS did not answer one
}

// Dispatch serves the lines of a shard: it sends what may go now, in order, and
// sees to it that the shard is woken when more may. It may be repeated and run
// many times at once: the ledger gives the seat of a shard to one. An error is
// Unavailable, and then Tend wakes the shard again.
func (g *Gateway) Dispatch(ctx context.Context, shard int) error {
	p := &pump{Gateway: g, shard: shard, id: g.NewID(), flying: map[store.Key]bool{}, landed: make(chan struct{}, 1)}
	defer p.flight.Wait()
	err := p.run(ctx)
	if err != nil && p.seat {
		p.yield(ctx)
	}
	return err
}

func (p *pump) run(ctx context.Context) error {
	for end := p.Now().Add(pumpTime); ; {
		r, err := p.round(ctx)
		late := !p.Now().Before(end)
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
			if err := p.pause(ctx, r.next); err != nil {
				return err
			}
			continue
		}
		if p.seat {
			switch err := p.Sends.Rest(ctx, p.shard, p.id, r.next); {
			case errors.Is(err, quota.ErrJoined):
				continue
			case errors.Is(err, quota.ErrLeaseTaken):
				p.seat = false
				return p.wakeAt(ctx, p.owed)
			case err != nil:
				return err
			}
			p.seat = false
		}
		return p.wakeAt(ctx, r.next)
	}
}

// yield gives the seat back after an error, so that the next pump need not wait for
// its end. If that fails too, it ends by itself, and Tend wakes the shard.
func (p *pump) yield(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.undoTimeout)
	defer cancel()
	err := p.Sends.Rest(ctx, p.shard, p.id, p.now)
	if err == nil {
		err = p.wakeAt(ctx, p.now)
	}
	if err != nil {
		p.Log.WarnContext(ctx, "the seat of a shard could not be given back", "shard", p.shard, "error", err)
	}
}

// worthWaiting says whether the pump does not end although nothing may go now.
func (p *pump) worthWaiting(next time.Time) bool {
	return p.busy() || !next.IsZero() && next.Sub(p.now) <= pumpPatience
}

// busy says that letters fly.
func (p *pump) busy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.flying) > 0
}

// pause waits until a time has come, or a while if that is far off or never, or until
// something lands.
func (p *pump) pause(ctx context.Context, next time.Time) error {
	d := pumpPatience
	if !next.IsZero() {
		d = min(max(next.Sub(p.now), shortestPause), pumpPatience)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-p.landed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wakeAt asks to be woken at a time, zero for never.
func (p *pump) wakeAt(ctx context.Context, at time.Time) error {
	if at.IsZero() {
		return nil
	}
	return p.Spool.SendWakeUp(ctx, p.shard, at.Sub(p.now))
}

// round is what one look at the lines has led to.
type round struct {
	again bool      // there may be more to do at once
	other bool      // another pump serves the shard, or nothing waits
	next  time.Time // when more is to be done; zero: nothing waits
}

// round looks at the lines once and sends what may go.
func (p *pump) round(ctx context.Context) (round, error) {
	free := p.free()
	if free < (p.slips()+3)/4 {
		return round{next: p.now.Add(shortestPause)}, nil
	}
	open, err := p.Sends.Open(ctx, p.shard, p.id, p.busy())
	if err != nil {
		return round{}, err
	}
	p.now = open.At // cut to the second; but what the records know may be of long ago
	if now, err := p.Records.Time(ctx); err == nil && now.After(p.now) {
		p.now = now
	}
	switch {
	case open.OK:
		p.owed, p.seat = time.Time{}, true
	case open.Kept:
		return round{next: open.Next}, nil
	case !open.Next.IsZero(): // the ledger has taken the seat back, and counts on a tick
		p.owed, p.seat = open.Next, false
		return round{next: open.Next}, nil
	default: // nothing waits, or others see to it
		return round{other: !p.seat}, nil
	}
	p.backedOff = open.BackedOff
	room := open.Room
	if open.Probing && open.Refused != 0 {
		room = pumpSlips // to find one of another sender
	}
	heads, err := p.look(ctx, open.Lines, min(room, free))
	if err != nil {
		return round{}, err
	}
	p.hold(heads, open.Probing)
	vets := p.authorise(ctx, heads)
	if open.Probing && open.Refused != 0 {
		p.prefer(heads, open.Refused)
	}
	asked := p.doubtful(heads)
	wants := make([]quota.Want, len(heads))
	for i, h := range heads {
		wants[i] = h.want()
	}
	grants, next, err := p.Sends.Take(ctx, p.shard, p.id, wants)
	if errors.Is(err, quota.ErrLeaseTaken) {
		p.seat = false
		return round{other: true}, nil
	}
	if err != nil {
		return round{}, err
	}
	p.lookInto(ctx, asked, vets)
	return round{again: p.sendAll(ctx, heads, grants) > 0, next: next}, nil
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

// sendAll lets fly what was granted.
func (p *pump) sendAll(ctx context.Context, all []*heads, grants [][]quota.Grant) (sent int) {
	for i, h := range all {
		for j, grant := range grants[i] {
			p.launch(ctx, h.ready[j], func(ctx context.Context, d *delivery) error { return d.deliver(ctx, grant) })
			sent++
		}
	}
	return sent
}

// launch works on a slip beside others. It is in these hands until it has left its
// line or returned to it.
func (p *pump) launch(ctx context.Context, slip *spool.Entry, work func(context.Context, *delivery) error) {
	p.mu.Lock()
	p.flying[slip.Key] = true
	p.bytes += slip.Bytes
	p.mu.Unlock()
	d := &delivery{Gateway: p.Gateway, slip: slip, now: p.now}
	p.flight.Go(func() {
		ctx, span := p.Tracer.Start(context.WithoutCancel(ctx), "dispatch")
		defer span.End()
		d.end(ctx, work(ctx, d))
		p.mu.Lock()
		delete(p.flying, slip.Key)
		p.bytes -= slip.Bytes
		p.mu.Unlock()
		select {
		case p.landed <- struct{}{}:
		default:
		}
	})
}

// ask asks ACS about a slip in doubt. If ACS does not answer, no other question is
// asked for a while: it would only cost.
func (p *pump) ask(ctx context.Context, d *delivery) error {
	answered, err := d.question(ctx)
	until := time.Time{}
	if !answered {
		until = d.in(ctx, unanswered)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asking--
	p.away = until
	return err
}

package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/store"
)

const (
	// dispatchTime is how long one Dispatch goes on: less than the trigger's deadline
	// with the longest call to ACS.
	dispatchTime = 2 * time.Minute
	// longestPoll is how long a dispatcher waits for room rather than for a wake-up
	// message, and the longest time between two looks: a new entry waits for the next.
	longestPoll = 5 * time.Second
	// shortestPoll keeps a dispatcher from writing the ledger for every token.
	shortestPoll = 500 * time.Millisecond
	// mostInFlight and mostBytesInFlight bound what one dispatcher holds and sends at once.
	// A single message may be of any size.
	mostInFlight      = 64
	mostBytesInFlight = 16 << 20
	// mostResolving is how many messages in doubt ACS is asked about at once.
	mostResolving = 8
)

// state is what a dispatcher has found in the queues of its shard.
type state string

const (
	idle    state = "idle"       // nothing is queued
	served  state = "served"     // messages are being sent, and more may go at once
	full    state = "full until" // no message may go before a time
	taken   state = "taken"      // another dispatcher has the lease, or sees to the shard
	acsAway state = "ACS away"   // no message goes before a time: ACS answers no question
)

// found is a state, and when more is to be done: zero for never.
type found struct {
	state
	next time.Time
}

// dispatcher sends what is queued in one shard of one ledger for a while.
type dispatcher struct {
	*Gateway
	domain    mail.DomainKind
	shard     int
	id        string
	now       time.Time            // of storage, at the beginning of a look
	owed      time.Time            // when the ledger counts on a wake-up message that was not sent yet
	backedOff map[uint32]time.Time // senders that ACS refuses while it takes others, as of this look
	leased    bool                 // the ledger has given the lease, and may not have had it back

	flight    sync.WaitGroup
	landed    chan struct{} // of 1: a message is not in flight any more
	mu        sync.Mutex
	inFlight  map[store.Key]bool
	bytes     int       // of those in flight
	resolving int       // of those in flight: ACS is asked about them
	reviewing int       // of those in flight: their content is compared with what its caller may send
	away      time.Time // until when ACS is not asked again, since it did not answer
}

// Dispatch sends what may go now of the queues of a shard of a ledger, in order, and sees to it that
// the shard is woken when more may go. It may be repeated and run many times at once: the
// ledger gives the lease of a shard to one. An error is Unavailable, and then Watch wakes
// the shard again.
func (g *Gateway) Dispatch(ctx context.Context, domain mail.DomainKind, shard int) error {
	p := &dispatcher{Gateway: g, domain: domain, shard: shard, id: g.NewID(), inFlight: map[store.Key]bool{}, landed: make(chan struct{}, 1)}
	defer p.flight.Wait()
	err := p.run(ctx)
	if err != nil && p.leased {
		p.abort(ctx)
	}
	return err
}

func (p *dispatcher) run(ctx context.Context) error {
	for end := p.Now().Add(dispatchTime); ; {
		f, err := p.look(ctx)
		late := !p.Now().Before(end)
		switch {
		case err != nil:
			return err
		case f.state == taken:
			return p.wakeAt(ctx, p.owed)
		case f.state == served && !late:
			continue
		case f.state == served:
			f.next = p.now
		case !late && p.worthWaiting(f.next):
			if err := p.wait(ctx, f.next); err != nil {
				return err
			}
			continue
		}
		switch err := p.release(ctx, f.next); {
		case errors.Is(err, quota.ErrJoined):
			continue
		case errors.Is(err, quota.ErrLeaseTaken):
			return p.wakeAt(ctx, p.owed)
		case err != nil:
			return err
		}
		p.Log.DebugContext(ctx, "dispatcher stopped", "domain", p.domain, "shard", p.shard, "state", string(f.state), "next", f.next)
		return p.wakeAt(ctx, f.next)
	}
}

// release gives the lease back, if this dispatcher has it.
func (p *dispatcher) release(ctx context.Context, next time.Time) error {
	if !p.leased {
		return nil
	}
	err := p.Sends[p.domain].Rest(ctx, p.shard, p.id, next)
	p.leased = err != nil && !errors.Is(err, quota.ErrLeaseTaken)
	return err
}

// abort gives the lease back after an error, so that the next dispatcher need not wait for
// its end. If that fails too, the lease ends by itself, and Watch wakes the shard.
func (p *dispatcher) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.undoTimeout)
	defer cancel()
	err := p.Sends[p.domain].Rest(ctx, p.shard, p.id, p.now)
	if err == nil {
		err = p.wakeAt(ctx, p.now)
	}
	if err != nil {
		p.Log.WarnContext(ctx, "could not release the lease of a shard", "domain", p.domain, "shard", p.shard, "error", err)
	}
}

// worthWaiting says whether the dispatcher goes on although no message may go now.
func (p *dispatcher) worthWaiting(next time.Time) bool {
	return p.busy() || !next.IsZero() && next.Sub(p.now) <= longestPoll
}

// busy says that messages are in flight.
func (p *dispatcher) busy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.inFlight) > 0
}

// wait ends at a time, after a while if that is far off or never, or when a message lands.
func (p *dispatcher) wait(ctx context.Context, next time.Time) error {
	d := longestPoll
	if !next.IsZero() {
		d = min(max(next.Sub(p.now), shortestPoll), longestPoll)
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

// wakeAt sends a wake-up message for a time, zero for never.
func (p *dispatcher) wakeAt(ctx context.Context, at time.Time) error {
	if at.IsZero() {
		return nil
	}
	return p.Spool.SendWakeUp(ctx, p.domain, p.shard, at.Sub(p.now))
}

// look reads the heads of the queues once and sends what may go.
func (p *dispatcher) look(ctx context.Context) (found, error) {
	free := p.free()
	if free < (p.most()+3)/4 {
		return found{full, p.now.Add(shortestPoll)}, nil
	}
	open, err := p.Sends[p.domain].Open(ctx, p.shard, p.id, p.busy())
	if err != nil {
		return found{}, err
	}
	p.now = open.At // cut to the second; but what the records know may be of long ago
	if now, err := p.Records.Time(ctx); err == nil && now.After(p.now) {
		p.now = now
	}
	switch {
	case open.OK:
		p.owed, p.leased = time.Time{}, true
	case open.Kept:
		return found{full, open.Next}, nil
	case !open.Next.IsZero(): // the ledger has taken the lease back, and counts on a wake-up message
		p.owed, p.leased = open.Next, false
		return found{full, open.Next}, nil
	case p.leased:
		return found{state: idle}, nil
	default:
		return found{state: taken}, nil
	}
	p.backedOff = open.BackedOff
	room := open.Room
	if open.Probing && open.Refused != 0 {
		room = mostInFlight // to find one of another sender
	}
	heads, err := p.listAll(ctx, open.Lines, min(room, free))
	if err != nil {
		return found{}, err
	}
	return p.take(ctx, heads, open)
}

// take has the ledger choose which of the heads may go, and sends them.
func (p *dispatcher) take(ctx context.Context, heads []*head, open quota.Opening) (found, error) {
	away := open.Probing && p.holdWhileAway(heads)
	reviews := p.authorise(ctx, heads)
	if open.Probing && open.Refused != 0 {
		p.prefer(heads, open.Refused)
	}
	doubts := p.doubts(heads)
	wants := make([]quota.Want, len(heads))
	for i, h := range heads {
		wants[i] = h.want()
	}
	grants, next, err := p.Sends[p.domain].Take(ctx, p.shard, p.id, wants)
	if errors.Is(err, quota.ErrLeaseTaken) {
		p.leased = false
		return found{state: taken}, nil
	}
	if err != nil {
		return found{}, err
	}
	for _, e := range doubts {
		p.start(ctx, e, p.resolve)
	}
	for _, r := range reviews {
		p.start(ctx, r.entry, func(ctx context.Context, d *dispatched) error { return p.review(ctx, d, r) })
	}
	switch sent := p.sendAll(ctx, heads, grants); {
	case sent > 0:
		return found{served, next}, nil
	case next.IsZero():
		return found{state: idle}, nil
	case away:
		return found{acsAway, next}, nil
	}
	return found{full, next}, nil
}

// free is how many more messages may be in flight.
func (p *dispatcher) free() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bytes >= mostBytesInFlight {
		return 0
	}
	return max(0, p.most()-len(p.inFlight))
}

// most is how many messages may be in flight: none that would wait for a call.
func (p *dispatcher) most() int { return min(mostInFlight, p.MaxCalls) }

// sooner is the earlier of two times, of which zero means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// sendAll sends what was granted.
func (p *dispatcher) sendAll(ctx context.Context, heads []*head, grants [][]quota.Grant) (sent int) {
	for i, h := range heads {
		for j, grant := range grants[i] {
			p.start(ctx, h.ready[j], func(ctx context.Context, d *dispatched) error { return d.send(ctx, grant) })
			sent++
		}
	}
	return sent
}

// start works on a queued message beside others.
func (p *dispatcher) start(ctx context.Context, e *spool.Entry, work func(context.Context, *dispatched) error) {
	p.mu.Lock()
	p.inFlight[e.Key] = true
	p.bytes += e.Bytes
	p.mu.Unlock()
	key, bytes := e.Key, e.Bytes
	d := &dispatched{Gateway: p.Gateway, entry: e, now: p.now}
	p.flight.Go(func() {
		ctx, span := p.Tracer.Start(context.WithoutCancel(ctx), "dispatch")
		defer span.End()
		d.end(ctx, work(ctx, d))
		p.mu.Lock()
		delete(p.inFlight, key)
		p.bytes -= bytes
		p.mu.Unlock()
		select {
		case p.landed <- struct{}{}:
		default:
		}
	})
}

// resolve asks ACS about a message in doubt. If ACS does not answer, no other question is
// asked for a while: it would only cost.
func (p *dispatcher) resolve(ctx context.Context, d *dispatched) error {
	answered, err := d.resolve(ctx)
	until := time.Time{}
	if !answered {
		until = d.time(ctx).Add(unanswered)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resolving--
	p.away = until
	return err
}

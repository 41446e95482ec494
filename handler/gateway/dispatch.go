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
	idle   state = "idle"       // nothing is queued
	served state = "served"     // messages are being sent, and more may go at once
	full   state = "full until" // no message may go before a time
	taken  state = "taken"      // another dispatcher has the lease, or sees to the shard
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
	d := &dispatcher{Gateway: g, domain: domain, shard: shard, id: g.NewID(), inFlight: map[store.Key]bool{}, landed: make(chan struct{}, 1)}
	defer d.flight.Wait()
	err := d.run(ctx)
	if err != nil && d.leased {
		d.abort(ctx)
	}
	return err
}

func (d *dispatcher) run(ctx context.Context) error {
	for end := d.Now().Add(dispatchTime); ; {
		f, err := d.look(ctx)
		late := !d.Now().Before(end)
		switch {
		case err != nil:
			return err
		case f.state == taken:
			return d.wakeAt(ctx, d.owed)
		case f.state == served && !late:
			continue
		case f.state == served:
			f.next = d.now
		case !late && d.worthWaiting(f.next):
			if err := d.wait(ctx, f.next); err != nil {
				return err
			}
			continue
		}
		switch err := d.release(ctx, f.next); {
		case errors.Is(err, quota.ErrJoined):
			continue
		case errors.Is(err, quota.ErrLeaseTaken):
			return d.wakeAt(ctx, d.owed)
		case err != nil:
			return err
		}
		d.Log.DebugContext(ctx, "dispatcher stopped", "domain", d.domain, "shard", d.shard, "state", string(f.state), "next", f.next)
		return d.wakeAt(ctx, f.next)
	}
}

// release gives the lease back, if this dispatcher has it.
func (d *dispatcher) release(ctx context.Context, next time.Time) error {
	if !d.leased {
		return nil
	}
	err := d.Sends[d.domain].Rest(ctx, d.shard, d.id, next)
	d.leased = err != nil && !errors.Is(err, quota.ErrLeaseTaken)
	return err
}

// abort gives the lease back after an error, so that the next dispatcher need not wait for
// its end. If that fails too, the lease ends by itself, and Watch wakes the shard.
func (d *dispatcher) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.undoTimeout)
	defer cancel()
	err := d.Sends[d.domain].Rest(ctx, d.shard, d.id, d.now)
	if err == nil {
		err = d.wakeAt(ctx, d.now)
	}
	if err != nil {
		d.Log.WarnContext(ctx, "could not release the lease of a shard", "domain", d.domain, "shard", d.shard, "error", err)
	}
}

// worthWaiting says whether the dispatcher goes on although no message may go now.
func (d *dispatcher) worthWaiting(next time.Time) bool {
	return d.busy() || !next.IsZero() && next.Sub(d.now) <= longestPoll
}

// busy says that messages are in flight.
func (d *dispatcher) busy() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.inFlight) > 0
}

// wait ends at a time, after a while if that is far off or never, or when a message lands.
func (d *dispatcher) wait(ctx context.Context, next time.Time) error {
	pause := longestPoll
	if !next.IsZero() {
		pause = min(max(next.Sub(d.now), shortestPoll), longestPoll)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-d.landed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wakeAt sends a wake-up message for a time, zero for never.
func (d *dispatcher) wakeAt(ctx context.Context, at time.Time) error {
	if at.IsZero() {
		return nil
	}
	return d.Spool.SendWakeUp(ctx, d.domain, d.shard, at.Sub(d.now))
}

// look reads the heads of the queues once and sends what may go.
func (d *dispatcher) look(ctx context.Context) (found, error) {
	free := d.free()
	if free < (d.most()+3)/4 {
		return found{full, d.now.Add(shortestPoll)}, nil
	}
	open, err := d.Sends[d.domain].Open(ctx, d.shard, d.id, d.busy())
	if err != nil {
		return found{}, err
	}
	d.now = open.At // cut to the second; but what the records know may be of long ago
	if now, err := d.Records.Time(ctx); err == nil && now.After(d.now) {
		d.now = now
	}
	switch {
	case open.OK:
		d.owed, d.leased = time.Time{}, true
	case open.Kept:
		return found{full, open.Next}, nil
	case !open.Next.IsZero(): // the ledger has taken the lease back, and counts on a wake-up message
		d.owed, d.leased = open.Next, false
		return found{full, open.Next}, nil
	case d.leased:
		return found{state: idle}, nil
	default:
		return found{state: taken}, nil
	}
	d.backedOff = open.BackedOff
	room := open.Room
	if open.Probing && open.Refused != 0 {
		room = mostInFlight // to find one of another sender
	}
	heads, err := d.listAll(ctx, open.Lines, min(room, free))
	if err != nil {
		return found{}, err
	}
	return d.take(ctx, heads, open)
}

// take has the ledger choose which of the heads may go, and sends them.
func (d *dispatcher) take(ctx context.Context, heads []*head, open quota.Opening) (found, error) {
	if open.Probing {
		d.holdWhileAway(heads)
	}
	reviews := d.authorise(ctx, heads)
	if open.Probing && open.Refused != 0 {
		d.prefer(heads, open.Refused)
	}
	doubts := d.doubts(heads)
	wants := make([]quota.Want, len(heads))
	for i, h := range heads {
		wants[i] = h.want()
	}
	grants, next, err := d.Sends[d.domain].Take(ctx, d.shard, d.id, wants)
	if errors.Is(err, quota.ErrLeaseTaken) {
		d.leased = false
		return found{state: taken}, nil
	}
	if err != nil {
		return found{}, err
	}
	for _, e := range doubts {
		d.start(ctx, e, d.resolve)
	}
	for _, r := range reviews {
		d.start(ctx, r.entry, func(ctx context.Context, one *dispatched) error { return d.review(ctx, one, r) })
	}
	switch sent := d.sendAll(ctx, heads, grants); {
	case sent > 0:
		return found{served, next}, nil
	case next.IsZero():
		return found{state: idle}, nil
	}
	return found{full, next}, nil
}

// free is how many more messages may be in flight.
func (d *dispatcher) free() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bytes >= mostBytesInFlight {
		return 0
	}
	return max(0, d.most()-len(d.inFlight))
}

// most is how many messages may be in flight: none that would wait for a call.
func (d *dispatcher) most() int { return min(mostInFlight, d.MaxCalls) }

// sooner is the earlier of two times. Zero means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// sendAll sends what was granted.
func (d *dispatcher) sendAll(ctx context.Context, heads []*head, grants [][]quota.Grant) (sent int) {
	for i, h := range heads {
		for j, grant := range grants[i] {
			d.start(ctx, h.ready[j], func(ctx context.Context, one *dispatched) error { return one.send(ctx, grant) })
			sent++
		}
	}
	return sent
}

// start works on a queued message beside others.
func (d *dispatcher) start(ctx context.Context, e *spool.Entry, work func(context.Context, *dispatched) error) {
	d.mu.Lock()
	d.inFlight[e.Key] = true
	d.bytes += e.Bytes
	d.mu.Unlock()
	key, bytes := e.Key, e.Bytes
	one := &dispatched{Gateway: d.Gateway, entry: e, now: d.now}
	d.flight.Go(func() {
		ctx, span := d.Tracer.Start(context.WithoutCancel(ctx), "dispatch")
		defer span.End()
		one.end(ctx, one.guard(ctx, work))
		d.mu.Lock()
		delete(d.inFlight, key)
		d.bytes -= bytes
		d.mu.Unlock()
		select {
		case d.landed <- struct{}{}:
		default:
		}
	})
}

// resolve asks ACS about a message in doubt. If ACS does not answer, no other question is
// asked for a while: it would only cost.
func (d *dispatcher) resolve(ctx context.Context, one *dispatched) error {
	answered, err := one.resolve(ctx)
	until := time.Time{}
	if !answered {
		until = one.time(ctx).Add(unanswered)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.resolving--
	d.away = until
	return err
}

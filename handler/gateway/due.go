package gateway

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/store"
)

// head is the first entries of one queue, without those in flight.
type head struct {
	quota.Want
	ready []*spool.Entry // that need nothing but room
	doubt []*spool.Entry // about which ACS is to be asked now
}

// want is what the ledger must know of a head.
func (h *head) want() quota.Want {
	for _, e := range h.ready {
		h.Calls = append(h.Calls, callOf(e))
	}
	return h.Want
}

// hold notes that an entry waits for reasons of its own until a time.
func (h *head) hold(e *spool.Entry, until time.Time) {
	h.Held, h.HeldCost, h.Next = h.Held+1, h.HeldCost+e.Cost, sooner(h.Next, until)
}

// holdIf holds the entries that need nothing but room, where pred is true.
func (h *head) holdIf(until time.Time, pred func(*spool.Entry) bool) {
	for _, e := range h.ready {
		if pred(e) {
			h.hold(e, until)
		}
	}
	h.ready = slices.DeleteFunc(h.ready, pred)
}

const (
	// mostPages bounds how far a dispatcher looks along a queue whose first entries all pause.
	mostPages = 8
	// pageRows is how many rows storage lists at once. Source: "Query timeout and
	// pagination" of Table Storage.
	pageRows = 1000
)

// listAll lists the heads of the queues, not many more entries than there is room for.
func (d *dispatcher) listAll(ctx context.Context, lines []quota.LineView, room int) ([]*head, error) {
	lines = lines[:min(len(lines), room+2)]
	d.mu.Lock()
	inFlight := maps.Clone(d.inFlight) // before the listing: what lands meanwhile has changed
	d.mu.Unlock()
	each := max(2, 2*room/max(len(lines), 1))
	all, errs := make([]*head, len(lines)), make([]error, len(lines))
	var wg sync.WaitGroup
	for i, l := range lines {
		n := each
		if l.Held { // held entries stand before those that need nothing but room
			n = max(n, mostInFlight)
		}
		wg.Go(func() { all[i], errs[i] = d.list(ctx, l.Line, n, inFlight) })
	}
	wg.Wait()
	return all, errors.Join(errs...)
}

// list reads a queue until it has found as many entries as something is to be done for.
// Those that pause do not hide those behind them.
func (d *dispatcher) list(ctx context.Context, l quota.Line, each int, inFlight map[store.Key]bool) (*head, error) {
	h := &head{Want: quota.Want{Line: l}}
	line := spool.Line{Domain: d.domain, Shard: d.shard, Class: int(l.Class), Later: l.Later}
	line.Caller, line.Form = splitPart(l.Caller)
	var last *spool.Entry
	for page, n := 0, each+len(inFlight); page < mostPages; page, n = page+1, min(4*n, pageRows) {
		entries, err := d.Spool.ListEntries(ctx, line, last, n)
		if err != nil {
			return nil, err
		}
		for i := range entries {
			h.add(&entries[i], d.now, inFlight, d.backedOff)
		}
		if h.Complete = len(entries) < n; h.Complete || len(h.ready)+len(h.doubt) >= each || h.Scheduled > 0 {
			break
		}
		last = &entries[len(entries)-1]
	}
	return h, nil
}

// add says what may be done now with an entry of the queue.
func (h *head) add(e *spool.Entry, now time.Time, inFlight map[store.Key]bool, backedOff map[uint32]time.Time) {
	if inFlight[e.Key] || e.Unreadable {
		return
	}
	h.Seen = append(h.Seen, e.Ticket)
	switch {
	case h.Later && e.Due.After(now):
		if h.Scheduled++; h.NextDue.IsZero() {
			h.NextDue = e.Due
		}
	case e.NotBefore.After(now):
		h.hold(e, e.NotBefore)
	case e.Doubt != spool.NoDoubt:
		h.doubt = append(h.doubt, e)
	case backedOff[e.Sender].After(now):
		h.hold(e, backedOff[e.Sender])
	default:
		h.ready = append(h.ready, e)
	}
}

// holdWhileAway holds all messages while ACS does not even answer questions: the one that
// the ledger would let go, to see how ACS is, would only be in doubt too.
func (d *dispatcher) holdWhileAway(heads []*head) {
	d.mu.Lock()
	away := d.away
	d.mu.Unlock()
	if !away.After(d.now) {
		return
	}
	for _, h := range heads {
		h.holdIf(away, func(*spool.Entry) bool { return true })
	}
}

// prefer holds the messages of a sender that ACS has refused, if those of others may go:
// the one call by which is seen how ACS is should be another sender's.
func (d *dispatcher) prefer(heads []*head, refused uint32) {
	ofRefused := func(e *spool.Entry) bool { return e.Sender == refused }
	ofOthers := func(e *spool.Entry) bool { return e.Sender != refused }
	if !slices.ContainsFunc(heads, func(h *head) bool { return slices.ContainsFunc(h.ready, ofOthers) }) {
		return
	}
	for _, h := range heads {
		h.holdIf(d.now.Add(latestProbe), ofRefused)
	}
}

// latestProbe is how long a refused sender waits for the probe of another.
const latestProbe = 2 * time.Second

// doubts are the entries about which ACS is asked now. The others in doubt wait until one
// of these has landed or, if ACS did not answer, for a while.
func (d *dispatcher) doubts(heads []*head) (now []*spool.Entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, h := range heads {
		for _, e := range h.doubt {
			switch {
			case d.away.After(d.now):
				h.hold(e, d.away)
			case d.resolving < mostResolving:
				d.resolving++
				h.Asked++
				now = append(now, e)
			default:
				h.hold(e, d.now.Add(shortestPoll))
			}
		}
	}
	return now
}

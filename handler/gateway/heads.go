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

// heads are the first slips of one line, without those that fly.
type heads struct {
	quota.Want
	ready []*spool.Entry // that need nothing but room
	doubt []*spool.Entry // about which ACS is to be asked now
}

// want is what the ledger shall know of them.
func (h *heads) want() quota.Want {
	for _, s := range h.ready {
		h.Calls = append(h.Calls, callOf(s))
	}
	return h.Want
}

func callOf(s *spool.Entry) quota.Call {
	c := quota.Call{Caller: s.Line.Caller, Class: quota.Class(max(s.Line.Class, s.Class)), Cost: s.Cost, Share: s.Share, Cap: s.Cap, Sender: s.Sender}
	if s.Line.Form != "" {
		c = ofForm(c, s.Line.Form, s.FormCap)
	}
	return c
}

// held notes that a slip waits for reasons of its own until a time.
func (h *heads) held(s *spool.Entry, until time.Time) {
	h.Held, h.HeldCost, h.Next = h.Held+1, h.HeldCost+s.Cost, sooner(h.Next, until)
}

const (
	// linePages bounds how far a pump looks along a line whose first slips all pause.
	linePages = 8
	// linePage is how many rows storage lists at once. Source: "Query timeout and
	// pagination" of Table Storage.
	linePage = 1000
)

// look lists the heads of the lines, not many more than there is room for.
func (p *pump) look(ctx context.Context, lines []quota.LineView, room int) ([]*heads, error) {
	lines = lines[:min(len(lines), room+2)]
	p.mu.Lock()
	flying := maps.Clone(p.flying) // before the listing: who lands meanwhile has changed
	p.mu.Unlock()
	each := max(2, 2*room/max(len(lines), 1))
	all, errs := make([]*heads, len(lines)), make([]error, len(lines))
	var wg sync.WaitGroup
	for i, l := range lines {
		n := each
		if l.Held { // they stand before those that need nothing but room
			n = max(n, pumpSlips)
		}
		wg.Go(func() { all[i], errs[i] = p.list(ctx, l.Line, n, flying) })
	}
	wg.Wait()
	return all, errors.Join(errs...)
}

// list reads a line until it has found as many slips as something is to be done for.
// Those that pause do not hide those behind them.
func (p *pump) list(ctx context.Context, l quota.Line, each int, flying map[store.Key]bool) (*heads, error) {
	h := &heads{Want: quota.Want{Line: l}}
	var last *spool.Entry
	for page, n := 0, each+len(flying); page < linePages; page, n = page+1, min(4*n, linePage) {
		slips, err := p.Spool.ListEntries(ctx, p.line(l), last, n)
		if err != nil {
			return nil, err
		}
		for i := range slips {
			h.add(&slips[i], p.now, flying, p.backedOff)
		}
		if h.Complete = len(slips) < n; h.Complete || len(h.ready)+len(h.doubt) >= each || h.Scheduled > 0 {
			break
		}
		last = &slips[len(slips)-1]
	}
	return h, nil
}

func (p *pump) line(l quota.Line) spool.Line {
	s := spool.Line{Shard: p.shard, Class: int(l.Class), Later: l.Later}
	s.Caller, s.Form = partOf(l.Caller)
	return s
}

// add says what may be done now with a slip of the line.
func (h *heads) add(s *spool.Entry, now time.Time, flying map[store.Key]bool, backedOff map[uint32]time.Time) {
	if flying[s.Key] || s.Unreadable {
		return
	}
	h.Seen = append(h.Seen, s.Ticket)
	switch {
	case h.Later && s.Due.After(now):
		if h.Scheduled++; h.NextDue.IsZero() {
			h.NextDue = s.Due
		}
	case s.NotBefore.After(now):
		h.held(s, s.NotBefore)
	case s.Doubt != spool.NoDoubt:
		h.doubt = append(h.doubt, s)
	case backedOff[s.Sender].After(now):
		h.held(s, backedOff[s.Sender])
	default:
		h.ready = append(h.ready, s)
	}
}

// hold lets all wait on while ACS does not even answer questions and the ledger would
// let just one call go, to see how ACS is: its message would only be in doubt too.
func (p *pump) hold(all []*heads, probing bool) {
	p.mu.Lock()
	away := p.away
	p.mu.Unlock()
	if !probing || !away.After(p.now) {
		return
	}
	for _, h := range all {
		for _, s := range h.ready {
			h.held(s, away)
		}
		h.ready = nil
	}
}

// prefer lets those of a sender wait a little whose call ACS has refused, if others may
// go: the one call by which is seen how ACS is should be another sender's.
func (p *pump) prefer(all []*heads, refused uint32) {
	ofOthers := func(s *spool.Entry) bool { return s.Sender != refused }
	if !slices.ContainsFunc(all, func(h *heads) bool { return slices.ContainsFunc(h.ready, ofOthers) }) {
		return
	}
	for _, h := range all {
		for _, s := range h.ready {
			if !ofOthers(s) {
				h.held(s, p.now.Add(latestProbe))
			}
		}
		h.ready = slices.DeleteFunc(h.ready, func(s *spool.Entry) bool { return !ofOthers(s) })
	}
}

// latestProbe is how long a refused sender waits for the probe of another.
const latestProbe = 2 * time.Second

// doubtful are the slips about which ACS is asked now. The others in doubt wait until
// one of these has landed or, if ACS did not answer, for a while.
func (p *pump) doubtful(all []*heads) (asked []*spool.Entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range all {
		for _, s := range h.doubt {
			switch {
			case p.away.After(p.now):
				h.held(s, p.away)
			case p.asking < pumpQuestions:
				p.asking++
				h.Asked++
				asked = append(asked, s)
			default:
				h.held(s, p.now.Add(shortestPause))
			}
		}
	}
	return asked
}

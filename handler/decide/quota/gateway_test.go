package quota_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/problem"
)

var simFirst = flag.Uint64("sim.first", 1, "seed of each simulation that rapid does not draw")

// testGateway is what a gateway makes of the ledger: messages go or wait in a table,
// wake-up messages wake dispatchers, a timer looks for what was forgotten.
type testGateway struct {
	t       *testing.T
	ctx     context.Context
	close   context.CancelFunc
	rnd     *random
	row     *tableRow
	ledgers []*quota.Ledger
	gap     time.Duration // of a dispatcher between two looks at most, before it rests
	lose    int           // of 100 wake-up messages
	acs     func(o *testGateway, l *quota.Ledger, g quota.Grant) bool

	mu         sync.Mutex
	table      map[int]map[quota.Line][]waiter
	sent       []sending
	refused    int
	dispatches int // that found something
	wakeUps    int
}

// waiter is a row of a line.
type waiter struct {
	at, expected time.Time
	call         quota.Call
	attempts     int
	ticket       int64
}

// sending is a message that ACS has taken.
type sending struct {
	at, joined, expected time.Time // the latter zero if it went at once
	call                 quota.Call
}

func newTestGateway(t *testing.T, instances int, limits quota.Limits, options ...quota.Options) *testGateway {
	o := &testGateway{t: t, rnd: newRandom(*simFirst, 2), row: &tableRow{}, gap: 5 * time.Second, table: map[int]map[quota.Line][]waiter{}}
	o.ctx, o.close = context.WithCancel(t.Context())
	newID := ids()
	for range instances {
		f := &instanceTable{tableRow: o.row, way: func() time.Duration { return 5*time.Millisecond + o.rnd.upTo(5*time.Millisecond) }}
		o.ledgers = append(o.ledgers, quota.New(f, "send", limits, time.Now, newID, options...))
	}
	return o
}

// end lets all goroutines come to theirs.
func (o *testGateway) end() {
	o.close()
	time.Sleep(10 * time.Minute)
}

// wrong is an error that should not be, unless the end has come.
func (o *testGateway) wrong(what string, err error) {
	if o.ctx.Err() == nil {
		o.t.Errorf("%s: %v", what, err)
	}
}

func (o *testGateway) one() *quota.Ledger {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ledgers[o.rnd.n(len(o.ledgers))]
}

// gone is how many messages were sent.
func (o *testGateway) gone() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.sent)
}

// offer is a message of a caller: it goes now, or waits. It is for a goroutine.
func (o *testGateway) offer(l *quota.Ledger, c quota.Call) {
	g, place, err := l.ReserveOrJoin(o.ctx, c, time.Time{})
	switch {
	case err != nil:
		if !problem.Is(err, problem.OverQuota) {
			o.wrong("ReserveOrJoin", err)
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		o.refused++
	case place != nil:
		o.wait(*place, waiter{at: place.At, expected: place.Expected, call: c}, false)
	case !o.deliver(l, g, waiter{at: time.Now(), call: c}):
		o.again(l, waiter{call: c})
	}
}

// again waits after an attempt that failed.
func (o *testGateway) again(l *quota.Ledger, w waiter) {
	place, err := l.Join(o.ctx, w.call, time.Time{}, time.Time{})
	if err != nil {
		o.wrong("Join", err)
		return
	}
	o.wait(place, waiter{at: place.At, call: w.call, attempts: w.attempts + 1}, false)
}

func (o *testGateway) wait(place quota.Position, w waiter, later bool) {
	time.Sleep(50*time.Millisecond + o.rnd.upTo(200*time.Millisecond)) // blob, record, row
	w.ticket = place.Ticket
	o.mu.Lock()
	name := quota.Line{Class: w.call.Class, Caller: w.call.Caller, Later: later}
	if o.table[place.Shard] == nil {
		o.table[place.Shard] = map[quota.Line][]waiter{}
	}
	line := o.table[place.Shard][name]
	i, _ := slices.BinarySearchFunc(line, w.at.Add(1), func(a waiter, at time.Time) int { return a.at.Compare(at) })
	o.table[place.Shard][name] = slices.Insert(line, i, w)
	o.mu.Unlock()
	if !place.WakeUpAt.IsZero() {
		o.wakeUp(place.Shard, place.WakeUpAt)
	}
}

// deliver is the call to ACS, and says whether the message is gone.
func (o *testGateway) deliver(l *quota.Ledger, g quota.Grant, w waiter) bool {
	time.Sleep(20*time.Millisecond + o.rnd.upTo(100*time.Millisecond))
	if !g.Live(time.Now()) {
		o.t.Error("a grant is too old after 120 ms")
	}
	if o.acs != nil && !o.acs(o, l, g) {
		return false
	}
	if err := l.Well(o.ctx, g); err != nil {
		o.wrong("Well", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = append(o.sent, sending{time.Now(), w.at, w.expected, w.call})
	return true
}

func (o *testGateway) wakeUp(shard int, at time.Time) {
	if o.rnd.n(100) < o.lose {
		return
	}
	time.AfterFunc(time.Until(at)+o.rnd.upTo(time.Second), func() {
		if o.ctx.Err() == nil {
			o.mu.Lock()
			o.wakeUps++
			o.mu.Unlock()
			o.dispatch(o.one(), shard)
		}
	})
}

// heads are the first rows of a line that may go.
func (o *testGateway) heads(shard int, name quota.Line, n int) (heads []waiter, w quota.Want) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w = quota.Want{Line: name, Complete: true}
	for _, row := range o.table[shard][name] {
		switch {
		case name.Later && row.at.After(time.Now()):
			if w.NextDue.IsZero() {
				w.NextDue = row.at
			}
			w.Scheduled, w.Seen = w.Scheduled+1, append(w.Seen, row.ticket)
			continue
		case len(heads) == n:
			w.Complete = false
			return heads, w
		}
		heads, w.Calls, w.Seen = append(heads, row), append(w.Calls, row.call), append(w.Seen, row.ticket)
	}
	return heads, w
}

func (o *testGateway) dispatch(l *quota.Ledger, shard int) {
	id := fmt.Sprint("dispatcher-", o.rnd.n(1<<40))
	for o.ctx.Err() == nil {
		lines, room, next, ok, err := opened(l.Open(o.ctx, shard, id, false))
		if err != nil {
			return
		}
		if !ok {
			if !next.IsZero() {
				o.wakeUp(shard, next)
			}
			return
		}
		o.mu.Lock()
		o.dispatches++
		o.mu.Unlock()
		again, next := o.dispatchOnce(l, shard, id, lines, room)
		if !again {
			return
		}
		if time.Until(next) < o.gap && !next.IsZero() {
			time.Sleep(time.Until(next))
			continue
		}
		switch err := l.Rest(o.ctx, shard, id, next); {
		case err == nil && !next.IsZero():
			o.wakeUp(shard, next)
			return
		case !errors.Is(err, quota.ErrJoined):
			return
		}
	}
}

// dispatchOnce is one look at the lines of a shard.
func (o *testGateway) dispatchOnce(l *quota.Ledger, shard int, id string, lines []quota.LineView, room int) (again bool, next time.Time) {
	var wants []quota.Want
	heads := make([][]waiter, len(lines))
	for i, v := range lines {
		var w quota.Want
		heads[i], w = o.heads(shard, v.Line, room)
		wants = append(wants, w)
	}
	time.Sleep(20 * time.Millisecond) // the listing
	grants, next, err := l.Take(o.ctx, shard, id, wants)
	if err != nil {
		return false, time.Time{}
	}
	var wg sync.WaitGroup
	for i := range grants {
		o.mu.Lock()
		rest := o.table[shard][wants[i].Line]
		for _, w := range heads[i][:len(grants[i])] {
			n := slices.IndexFunc(rest, func(r waiter) bool { return r.at.Equal(w.at) && r.call == w.call })
			if n < 0 {
				o.t.Errorf("a message was taken twice")
				continue
			}
			rest = slices.Delete(slices.Clone(rest), n, n+1)
		}
		o.table[shard][wants[i].Line] = rest
		o.mu.Unlock()
		for k, g := range grants[i] {
			w := heads[i][k]
			wg.Go(func() {
				if !o.deliver(l, g, w) {
					o.again(l, w)
				}
			})
		}
	}
	wg.Wait()
	return true, next
}

// timer looks every minute, as the function does, until the end.
func (o *testGateway) timer() {
	for o.ctx.Err() == nil {
		time.Sleep(time.Minute)
		found := map[int][]quota.LineView{}
		o.mu.Lock()
		for shard, lines := range o.table {
			for name, rows := range lines {
				if len(rows) > 0 {
					v := quota.LineView{Line: name, Waiting: len(rows)}
					if name.Later {
						v.NextDue = rows[0].at
					}
					found[shard] = append(found[shard], v)
				}
			}
		}
		o.mu.Unlock()
		shards, err := o.one().Overdue(o.ctx, found)
		if err != nil {
			o.wrong("Overdue", err)
		}
		for _, shard := range shards {
			o.wakeUp(shard, time.Now())
		}
	}
}

// outcome is what ACS saw.
func (o *testGateway) outcome() *outcome {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := &outcome{}
	for _, s := range o.sent {
		out.arrivals = append(out.arrivals, slices.Repeat([]time.Time{s.at}, s.call.Cost)...)
	}
	return out
}

// waiting are the rows that are left.
func (o *testGateway) waiting() (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, lines := range o.table {
		for _, rows := range lines {
			n += len(rows)
		}
	}
	return n
}

// perCaller counts the messages sent before a time.
func (o *testGateway) perCaller(until time.Time) map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := map[string]int{}
	for _, s := range o.sent {
		if s.at.Before(until) {
			n[s.call.Caller]++
		}
	}
	return n
}

func (o *testGateway) sorted() []sending {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := slices.Clone(o.sent)
	slices.SortFunc(all, func(a, b sending) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
	return all
}

package quota

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota/row"
	"github.com/posthorn/posthorn/handler/decide/quota/window"
	"github.com/posthorn/posthorn/handler/problem"
)

const (
	// prefetchFrom is the hourly limit from which on tokens are prefetched: of a small one,
	// those that are burnt would be missed.
	prefetchFrom = 8192
	// prefetchAhead is for how long ahead tokens are taken, and over what time the
	// demand is measured that says how many.
	prefetchAhead = 1500 * time.Millisecond
	// prefetchLeft is how long a prefetched token can still be used when it is granted.
	prefetchLeft = 2 * time.Second
	// shardTurn is how long a process stays with a shard, so that in the long run
	// all have as much to do.
	shardTurn = 5 * time.Second
	// fullFor is how long a shard that was seen without room is not asked again
	// while others may have some.
	fullFor = 15 * time.Second
)

// callKey is the caller and class that tokens are prefetched for. They count as used by the
// caller at once.
type callKey struct {
	caller string
	class  Class
}

func keyOf(c Call) callKey { return callKey{c.Caller, c.Class} }

// batch is a number of tokens that one write reserved for calls that are expected.
type batch struct {
	key    callKey
	grant  Grant
	tokens int
}

// demand is what is prefetched for one key, and how much it was asked for.
type demand struct {
	batches   []batch
	since     time.Time // the time in which asked is counted began
	asked     int
	askedLast int // in the time before
}

// prefetched are the tokens that this process has ahead. What is not used in time is burnt.
type prefetched struct {
	mu sync.Mutex
	of map[callKey]*demand
}

// take grants c from what is prefetched, or counts that it was asked.
func (p *prefetched) take(c Call, now time.Time, again bool) (Grant, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.of[keyOf(c)]
	if k == nil {
		p.forget(now)
		k = &demand{since: now}
		p.of[keyOf(c)] = k
	}
	if !again {
		k.ask(c.Cost, now)
	}
	if b := k.find(c, now); b != nil {
		b.tokens -= c.Cost
		return b.grant, true
	}
	return Grant{}, false
}

// has says whether c can be granted from what is prefetched.
func (p *prefetched) has(c Call, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.of[keyOf(c)]
	return k != nil && k.find(c, now) != nil
}

// find is a batch with the tokens of c, nil without one.
func (k *demand) find(c Call, now time.Time) *batch {
	for i := range k.batches {
		if b := &k.batches[i]; b.tokens >= c.Cost && b.grant.Live(now.Add(prefetchLeft)) {
			return b
		}
	}
	return nil
}

func (k *demand) ask(cost int, now time.Time) {
	switch age := now.Sub(k.since); {
	case age >= 2*prefetchAhead:
		k.since, k.asked, k.askedLast = now, 0, 0
	case age >= prefetchAhead:
		k.since, k.asked, k.askedLast = k.since.Add(prefetchAhead), 0, k.asked
	}
	k.asked += cost
}

// missing is how many more tokens c's caller should have: what was asked for lately,
// less what is there.
func (p *prefetched) missing(c Call, now time.Time) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.of[keyOf(c)]
	if k == nil {
		return 0
	}
	last := max(0, prefetchAhead-now.Sub(k.since)).Seconds() / prefetchAhead.Seconds()
	n := k.asked + int(float64(k.askedLast)*last) - c.Cost
	for _, b := range k.batches {
		if b.grant.Live(now.Add(prefetchLeft)) {
			n -= b.tokens
		}
	}
	return n
}

func (p *prefetched) put(o outcome) {
	if o.ahead == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.of[o.ahead.key]
	if k == nil {
		return // nobody asks any more
	}
	k.batches = slices.DeleteFunc(k.batches, func(old batch) bool {
		return old.tokens == 0 || !old.grant.UseBy.Add(MaxAge).After(o.ahead.grant.UseBy)
	})
	k.batches = append(k.batches, *o.ahead)
}

// drop burns all: ACS has no room for them.
func (p *prefetched) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.of)
}

// forget bounds the memory.
func (p *prefetched) forget(now time.Time) {
	if len(p.of) < window.CallersKept {
		return
	}
	for key, k := range p.of {
		if now.Sub(k.since) > MaxAge {
			delete(p.of, key)
		}
	}
}

// direct applies do, which reserves c or does something instead, at the shard that it is the
// turn of; if there is no room, at the next one that may have some. With large limits
// prefetched tokens come first, and what is likely to be needed soon is prefetched.
func (l *Ledger) direct(ctx context.Context, c Call, do plan) (outcome, error) {
	layout, err := l.rows.Current(ctx)
	if err != nil {
		return outcome{}, err
	}
	if l.limits.PerHour < prefetchFrom {
		return l.apply(ctx, 0, do, nil)
	}
	if l.backsOff(c.Sender) {
		return l.apply(ctx, l.shardNow(), do, nil)
	}
	if g, ok := l.prefetched.take(c, l.now(), false); ok {
		return outcome{grant: g}, nil
	}
	first := l.shardNow()
	for i := range layout.Shards {
		if layout.Shards == 1 || l.full(first+i, c, fullFor) { // do asks the only one
			continue
		}
		o, err := l.apply(ctx, first+i, reserve(c), &c)
		if err == nil || !isOverQuota(err) && !problem.Is(err, problem.Paused) {
			return o, err
		}
	}
	return l.apply(ctx, first, do, &c)
}

// apply lets do reserve at a shard. With ahead, not nil, it prefetches tokens for such calls.
func (l *Ledger) apply(ctx context.Context, shard int, do plan, ahead *Call) (outcome, error) {
	change := row.Change[outcome]{
		Do: do, MayWait: true, Done: l.prefetched.put,
		Untaken: func(o outcome) { l.untaken(ctx, o.grant) },
	}
	if ahead == nil {
		return row.Apply(ctx, l.rows, shard, change)
	}
	change.Without = func() (outcome, bool) {
		g, ok := l.prefetched.take(*ahead, l.now(), true)
		return outcome{grant: g}, ok
	}
	change.Do = func(d *window.Draft) (outcome, error) {
		o, err := do(d)
		if err == nil && o.position == nil {
			if g, n := d.Prefetch(*ahead, l.prefetched.missing(*ahead, l.now())); n > 0 {
				o.ahead = &batch{keyOf(*ahead), g, n}
			}
		}
		return o, err
	}
	return row.Apply(ctx, l.rows, shard, change)
}

// backsOff says whether ACS refuses a sender, so far as this process knows.
func (l *Ledger) backsOff(sender uint32) bool {
	for seen := range l.rows.Seen() {
		if seen.BacksOff(sender) {
			return true
		}
	}
	return false
}

// shardNow is the shard that this process works with at present.
func (l *Ledger) shardNow() int {
	at := l.now().UnixNano() + int64(l.turn)*int64(time.Millisecond) // not all turn at once
	return (l.turn + int(at/int64(shardTurn))) % l.rows.Layout().Shards
}

// full says that a shard had no room for c when it was last seen, no longer ago than
// that.
func (l *Ledger) full(shard int, c Call, ago time.Duration) bool {
	seen := l.rows.Recent(shard, ago)
	return seen != nil && seen.Full(c)
}

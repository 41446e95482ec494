package quota

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
)

const (
	// prefetchFrom is the hourly limit from which on tokens are leased: of a small one, those
	// that are burnt would be missed.
	prefetchFrom = 8192
	// leaseAhead is for how long ahead tokens are leased, and over what time the
	// demand is measured that says how many.
	leaseAhead = 1500 * time.Millisecond
	// leaseLeft is how long a leased token can still be used when it is granted.
	leaseLeft = 2 * time.Second
	// shardTurn is how long a process stays with a shard, so that in the long run
	// all have as much to do.
	shardTurn = 5 * time.Second
	// fullFor is how long a shard that was seen without room is not asked again
	// while others may have some.
	fullFor = 15 * time.Second
)

// poolKey is for whom tokens were leased: they are counted as his when they are.
type poolKey struct {
	caller string
	class  Class
}

func (c Call) key() poolKey { return poolKey{c.Caller, c.Class} }

// lease is a number of tokens that one write booked for calls that are expected.
type lease struct {
	key    poolKey
	grant  Grant
	tokens int
}

// leased is what the pool has for one key, and how much it was asked for.
type leased struct {
	leases    []lease
	since     time.Time // the second in which asked is counted
	asked     int
	askedLast int // in the second before
}

// pool holds the leased tokens of this process. What is not used in time is burnt.
type pool struct {
	mu   sync.Mutex
	keys map[poolKey]*leased
}

// take grants c from what was leased, or counts that it was asked.
func (p *pool) take(c Call, now time.Time, again bool) (Grant, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.keys[c.key()]
	if k == nil {
		p.forget(now)
		k = &leased{since: now}
		p.keys[c.key()] = k
	}
	if !again {
		k.ask(c.Cost, now)
	}
	for i := range k.leases {
		o := &k.leases[i]
		if o.tokens >= c.Cost && o.grant.Live(now.Add(leaseLeft)) {
			o.tokens -= c.Cost
			return o.grant, true
		}
	}
	return Grant{}, false
}

func (k *leased) ask(cost int, now time.Time) {
	switch age := now.Sub(k.since); {
	case age >= 2*leaseAhead:
		k.since, k.asked, k.askedLast = now, 0, 0
	case age >= leaseAhead:
		k.since, k.asked, k.askedLast = k.since.Add(leaseAhead), 0, k.asked
	}
	k.asked += cost
}

// wish is how many more tokens c's caller should have: what the last second asked
// for, less what is there.
func (p *pool) wish(c Call, now time.Time) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.keys[c.key()]
	if k == nil {
		return 0
	}
	last := max(0, leaseAhead-now.Sub(k.since)).Seconds() / leaseAhead.Seconds()
	n := k.asked + int(float64(k.askedLast)*last) - c.Cost
	for _, o := range k.leases {
		if o.grant.Live(now.Add(leaseLeft)) {
			n -= o.tokens
		}
	}
	return n
}

func (p *pool) put(o *lease) {
	if o == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.keys[o.key]
	if k == nil {
		return // nobody asks any more
	}
	k.leases = slices.DeleteFunc(k.leases, func(old lease) bool {
		return old.tokens == 0 || !old.grant.UseBy.Add(MaxAge).After(o.grant.UseBy)
	})
	k.leases = append(k.leases, *o)
}

// drop burns all: ACS has no room for them.
func (p *pool) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.keys)
}

// forget keeps the pool small.
func (p *pool) forget(now time.Time) {
	if len(p.keys) < CallersKept {
		return
	}
	for key, k := range p.keys {
		if now.Sub(k.since) > MaxAge {
			delete(p.keys, key)
		}
	}
}

// lease books wish tokens more for those who call like c, if they fit, or half of
// them, and so on.
func (p *page) lease(c Call, wish int) *lease {
	if p.leased[c.key()] || !p.health.well(p.at) {
		return nil
	}
	for c.Cost = wish; c.Cost > 0; c.Cost /= 2 {
		if p.room(c) <= p.at {
			if p.leased == nil {
				p.leased = map[poolKey]bool{}
			}
			p.leased[c.key()] = true
			return &lease{c.key(), p.take(c), c.Cost}
		}
	}
	return nil
}

// direct lets do book c, or what it does instead, at the shard of the day; if
// there is no room, at the next one that may have some. With large limits tokens
// that were leased come first, and what is likely to be needed soon is leased.
func (l *Ledger) direct(ctx context.Context, c Call, do func(*page) answer) answer {
	y, err := l.current(ctx)
	if err != nil {
		return answer{err: err}
	}
	if l.limits.PerHour < prefetchFrom {
		return l.patiently(ctx, 0, do)
	}
	if l.backsOff(c.Sender) {
		return l.patiently(ctx, l.shardNow(), do)
	}
	if g, ok := l.pool.take(c, l.now(), false); ok {
		return answer{grants: [][]Grant{{g}}}
	}
	first := l.shardNow()
	for i := range y.Shards - 1 {
		s := y.home(first + i)
		if l.full(s, c, fullFor) {
			continue
		}
		a := l.withLease(ctx, s, c, func(p *page) answer { return p.book(c) })
		if a.err == nil || !isOverQuota(a.err) && !problem.Is(a.err, problem.Paused) {
			return l.orMoved(ctx, first+i, a, do)
		}
	}
	return l.orMoved(ctx, first, l.withLease(ctx, y.home(first), c, do), do)
}

// backsOff says whether ACS refuses a sender, so far as this process knows.
func (l *Ledger) backsOff(sender uint32) bool {
	return slices.ContainsFunc(l.known().shards, func(s *shard) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.seen != nil && s.seen.health.senderRoom(sender) > 0
	})
}

// orMoved is a, or what do answers if the ledger is in other rows.
func (l *Ledger) orMoved(ctx context.Context, number int, a answer, do func(*page) answer) answer {
	if errors.Is(a.err, errMoved) {
		return l.patiently(ctx, number, do)
	}
	return a
}

// withLease lets do book c at s, and leases what is likely to be needed.
func (l *Ledger) withLease(ctx context.Context, s *shard, c Call, do func(*page) answer) answer {
	r := &request{patient: true}
	r.spare = func() (answer, bool) {
		g, ok := l.pool.take(c, l.now(), true)
		return answer{grants: [][]Grant{{g}}}, ok
	}
	r.do = func(p *page) answer {
		a := do(p)
		if len(a.grants) > 0 {
			a.lease = p.lease(c, l.pool.wish(c, l.now()))
		}
		return a
	}
	return l.ask(ctx, s, r)
}

// shardNow is the shard that this process works with at present.
func (l *Ledger) shardNow() int {
	y := l.known()
	at := l.now().UnixNano() + int64(l.turn)*int64(time.Millisecond) // not all turn at once
	return (l.turn + int(at/int64(shardTurn))) % y.Shards
}

// full says that s had no room for c when it was last seen, no longer ago than
// that.
func (l *Ledger) full(s *shard, c Call, ago time.Duration) bool {
	seen := l.recent(s)
	if seen == nil || l.now().Sub(seen.at.heard) > ago {
		return false
	}
	now := l.now()
	p := l.look(s.number, seen, now)
	if len(p.caps(c)) > 0 || len(p.desks) > 0 {
		p = l.newPage(s.number, seen, now) // whom caps keep waiting depends on what has left
	}
	return p.room(c) > p.at || p.before(c)
}

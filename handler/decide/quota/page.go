package quota

import (
	"math"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
)

// page is a copy of a row on which calls are planned, one after the other, until
// one write takes it to storage.
type page struct {
	ledger
	shard    int
	limits   Limits // of this shard
	reserved int    // percent of them, for High
	callTime time.Duration
	was      reading
	local    time.Time // when the planning was
	now      instant   // then, at the earliest
	at       instant   // when bookings are logged
	dirty    bool      // whether there is anything to write
	plan     planned
	leased   map[poolKey]bool // for whom this write leases already
}

// newPage takes what s knows to be the truth at a local time.
func (l *Ledger) newPage(shard int, s *snapshot, local time.Time) *page {
	p := l.look(shard, s, local)
	p.ledger = p.clone()
	p.use.turn(p.at)
	return p
}

// look is a page on which nothing may be planned, and on which nobody's use has
// left: it shares s.
func (l *Ledger) look(shard int, s *snapshot, local time.Time) *page {
	p := &page{
		ledger: s.ledger, shard: shard, limits: s.layout.part(l.limits, shard), reserved: l.options.ReservedForHigh, callTime: l.options.CallTime,
		was: s.at, local: local, now: s.at.earliest(local),
	}
	p.at = max(p.now, p.usage.newest)
	return p
}

// limitsFor are those that hold for a class at a time: what foreign use takes is
// not there, and the part of High is kept for it.
func (p *page) limitsFor(c Class, at instant) Limits {
	l := p.health.share(p.limits, at)
	if c != High && p.reserved > 0 {
		l = Limits{percent(l.PerMinute, 100-p.reserved), percent(l.PerHour, 100-p.reserved)}
	}
	return l
}

// limit is how many tokens of a caller may count.
type limit struct {
	caller string
	most   int
}

// caps are those that hold for c.
func (p *page) caps(c Call) (all []limit) {
	if c.Cap > 0 {
		all = append(all, limit{c.Caller, percent(p.limits.PerHour, c.Cap)})
	}
	if name, part := whole(c.Caller); part && c.WholeCap > 0 {
		all = append(all, limit{name, percent(p.limits.PerHour, c.WholeCap)})
	}
	return all
}

// capRoom is the earliest time at which the caps let c go, 0 if they do now.
func (p *page) capRoom(c Call) (at instant) {
	for _, l := range p.caps(c) {
		at = max(at, p.use.room(l.caller, l.most, c.Cost))
	}
	return at
}

// room is the earliest time at which c fits, if nobody else books.
func (p *page) room(c Call) instant {
	return max(p.roomOfLimits(c), p.opens(c.Cost), p.health.senderRoom(c.Sender), p.capRoom(c))
}

// roomOfLimits looks along the time in which the share comes back that foreign use
// took.
func (p *page) roomOfLimits(c Call) instant {
	if c.Cost > min(p.limits.PerMinute, p.limits.PerHour) {
		return p.at.add(layoutLife) // the layout is another configuration's, and will change
	}
	at := p.at
	for {
		room := p.usage.room(p.limitsFor(c.Class, at), c.Cost)
		if room <= at || p.health.lost(at) == 0 {
			return room
		}
		at = min(room, p.health.gains(at))
		if at < room && p.usage.room(p.limitsFor(c.Class, at), c.Cost) <= at {
			return at
		}
	}
}

// take books c, which has room.
func (p *page) take(c Call) Grant {
	g := Grant{UseBy: p.was.until(p.at.add(MaxAge)), shard: p.shard, at: p.at, sender: c.Sender, healthy: p.health.well(p.at)}
	g.canary, g.probe = p.health.book(p.at, c, p.callTime)
	p.usage.book(p.at, c.Cost)
	p.use.book(c.Caller, c.Cost)
	p.dirty, p.plan = true, planned{}
	return g
}

// desk is where a shard's messages wait.
func (p *page) desk(shard int) *desk {
	for i := range p.desks {
		if p.desks[i].Shard == shard {
			return &p.desks[i]
		}
	}
	p.desks = append(p.desks, desk{Shard: shard})
	return &p.desks[len(p.desks)-1]
}

// before says that somebody who may go waits in c's class or a more urgent one.
func (p *page) before(c Call) bool {
	for _, d := range p.desks {
		for _, n := range d.Lines {
			if n.call().Class <= c.Class && n.demand(p.at) > 0 && !p.capped(n) {
				return true
			}
		}
	}
	return false
}

// capped says that only its caller's cap keeps a line waiting.
func (p *page) capped(n line) bool { return p.capRoom(n.call()) > p.at }

// forecastRounds bound what a forecast costs. With each, what capped callers use is known
// for about an hour more.
const forecastRounds = 24

// planned remembers a forecast, which many who join ask for one after the other.
type planned struct {
	limits Limits
	of     func(n int) instant
}

// expected says when c goes, if it is the last of those of its caller and class
// that wait, of which own tokens, c's included, go no later; c may not go before due.
func (p *page) expected(c Call, own int, due instant) instant {
	limits := p.limitsFor(c.Class, p.at)
	if p.plan.of == nil || p.plan.limits != limits {
		p.plan = planned{limits, p.usage.forecast(limits, max(p.at, p.health.BackoffUntil))}
	}
	// Whom a cap holds back, takes the more, the longer it lasts: each round counts what
	// went before the end of the last one.
	at := p.at
	for range forecastRounds {
		next := p.plan.of(p.position(c, own, at))
		if next <= at {
			break
		}
		at = next
	}
	for _, l := range p.caps(c) {
		at = max(at, p.use.forecast(l.caller, l.most, own))
	}
	return max(at, due, p.health.senderRoom(c.Sender))
}

// position is how many tokens go up to the last of own tokens of c's caller, if that
// goes at a time: those of more urgent classes, and of the others what max-min gives
// them until then, of neither more than their caps.
func (p *page) position(c Call, own int, by instant) int {
	w := p.weights(c)
	level := float64(p.use.of(c.Caller)+own) / w.of(c)
	n := own
	for _, d := range p.desks {
		for _, o := range d.Lines {
			demand := min(o.demand(p.at), p.mayUse(o, by))
			switch {
			case o.Class < c.Class:
				n += demand
			case o.Class == c.Class && o.Caller != c.Caller:
				n += min(demand, max(0, int(level*w.of(o.call()))-p.use.of(o.Caller)))
			}
		}
	}
	return n
}

// mayUse is how many tokens the caps of a line let it use until a time.
func (p *page) mayUse(n line, by instant) int {
	may := math.MaxInt
	for _, l := range p.caps(n.call()) {
		may = min(may, max(0, l.most-p.use.of(l.caller))+l.most*int(by.sub(p.at)/(capBuckets*capBucket)))
	}
	return may
}

// waiting are the tokens that a caller waits for in a class.
func (p *page) waiting(class Class, caller string) (tokens int) {
	for _, d := range p.desks {
		for _, n := range d.Lines {
			if n.Class == class && n.Caller == caller {
				tokens += n.demand(p.at)
			}
		}
	}
	return tokens
}

// weights are what the callers of a class get of each other: those with a share,
// it; the others split what is left.
type weights struct{ other float64 }

func (w weights) of(c Call) float64 {
	if c.Share > 0 {
		return float64(c.Share)
	}
	return w.other
}

// weights of those who wait in c's class, and of c.
func (p *page) weights(c Call) weights {
	shares := map[string]int{c.Caller: c.Share}
	for _, d := range p.desks {
		for _, n := range d.Lines {
			if n.Class == c.Class && n.demand(p.at) > 0 {
				shares[n.Caller] = n.Share
			}
		}
	}
	return split(shares)
}

// refuse says when c is expected to fit. It counts from the earliest time that
// it may be, so that whoever waits it out, succeeds.
func (p *page) refuse(at instant) error {
	wait := max(at-p.now, 1).wholeSecond()
	e := problem.New(problem.OverQuota, "The sending quota has no room now. Try again in %d s.", wait/1000)
	e.RetryAfter = time.Duration(wait) * time.Millisecond
	return e
}

package window

import (
	"math"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
)

// Terms are what holds for all rows of a ledger.
type Terms struct {
	Limits Limits
	// ReservedForHigh is the percentage of the limits that only High may use.
	ReservedForHigh int
	// CallTime is how long a call may take.
	CallTime time.Duration
}

// Draft is a State on which calls are planned, one after the other, until one write takes
// it to storage.
type Draft struct {
	State
	Shard   int
	Changed bool // there is something to write

	terms      Terms // their limits are those of the row
	limits     Limits
	reading    Reading
	now        Instant // storage's clock, at the earliest
	at         Instant // when reservations are counted: not before the newest of them
	plan       planned
	prefetched map[callKey]bool // what this draft prefetches already
}

// callKey is whose calls tokens are prefetched for.
type callKey struct {
	caller string
	class  Class
}

// New is a draft of a copy of s, as r and the local time say when.
func New(s State, shard int, t Terms, r Reading, local time.Time) *Draft {
	d := Peek(s.Clone(), shard, t, r, local)
	d.Callers.expire(d.at)
	return d
}

// Peek is a draft that shares s, so nothing may be planned on it, and what callers used
// has not expired.
func Peek(s State, shard int, t Terms, r Reading, local time.Time) *Draft {
	now := r.Earliest(local)
	return &Draft{State: s, Shard: shard, terms: t, limits: t.Limits, reading: r, now: now, at: max(now, s.Usage.Newest)}
}

// Reserve takes the tokens of c if they fit and nobody waits before it. Errors are Paused
// and OverQuota.
func (d *Draft) Reserve(c Call) (Grant, error) {
	if d.Pause == nil && d.isBehind(c) {
		return Grant{}, d.overQuota(max(d.fits(c), d.expected(c, d.waiting(c.Class, c.Caller)+c.Cost, 0)))
	}
	return d.ReserveAgain(c)
}

// ReserveAgain is Reserve for a call that had its turn: it may pass those who wait.
func (d *Draft) ReserveAgain(c Call) (Grant, error) {
	if d.Pause != nil {
		return Grant{}, d.paused()
	}
	if at := d.fits(c); at > d.at {
		return Grant{}, d.overQuota(at)
	}
	return d.grant(c), nil
}

// Full says that c would have to wait. It plans nothing.
func (d *Draft) Full(c Call) bool { return d.fits(c) > d.at || d.isBehind(c) }

// Plenty says that c fits, and that half of each window is free without it. It plans nothing.
func (d *Draft) Plenty(c Call) bool {
	l := d.limitsFor(c.Class, d.at)
	half := func(w window) bool { return 2*(d.Usage.free(w, d.at)-c.Cost) >= w.limit }
	return d.Pause == nil && d.Health.well(d.at) && half(minute(l.PerMinute)) && half(hour(l.PerHour)) && !d.Full(c)
}

// Prefetch reserves up to most tokens for calls like c that are expected: all of them if
// they fit, or half, and so on. It does so once for each caller and class, and not
// while ACS is asked with care.
func (d *Draft) Prefetch(c Call, most int) (g Grant, tokens int) {
	key := callKey{c.Caller, c.Class}
	if d.prefetched[key] || !d.Health.well(d.at) {
		return Grant{}, 0
	}
	for c.Cost = most; c.Cost > 0; c.Cost /= 2 {
		if d.fits(c) <= d.at {
			if d.prefetched == nil {
				d.prefetched = map[callKey]bool{}
			}
			d.prefetched[key] = true
			return d.grant(c), c.Cost
		}
	}
	return Grant{}, 0
}

// limitsFor are those that hold for a class at a time: what foreign use takes is
// not there, and the part of High is kept for it.
func (d *Draft) limitsFor(c Class, at Instant) Limits {
	l := d.Health.limitsLeft(d.limits, at)
	if c != High && d.terms.ReservedForHigh > 0 {
		l = Limits{percent(l.PerMinute, 100-d.terms.ReservedForHigh), percent(l.PerHour, 100-d.terms.ReservedForHigh)}
	}
	return l
}

// capLimit is how many tokens of a caller may count.
type capLimit struct {
	caller string
	most   int
}

// caps are those that hold for c.
func (d *Draft) caps(c Call) (all []capLimit) {
	if c.Cap > 0 {
		all = append(all, capLimit{c.Caller, percent(d.limits.PerHour, c.Cap)})
	}
	if name, part := whole(c.Caller); part && c.WholeCap > 0 {
		all = append(all, capLimit{name, percent(d.limits.PerHour, c.WholeCap)})
	}
	return all
}

// capFits is the earliest time at which the caps let c go, 0 if they do now.
func (d *Draft) capFits(c Call) (at Instant) {
	for _, l := range d.caps(c) {
		at = max(at, d.Callers[l.caller].fitsIn(capWindow(l.most), c.Cost))
	}
	return at
}

// fits is the earliest time at which c fits, if nobody else reserves.
func (d *Draft) fits(c Call) Instant {
	return max(d.limitsFit(c), d.opensAt(c.Cost), d.Health.senderOpensAt(c.Sender), d.capFits(c))
}

// limitsFit looks along the time in which the share comes back that foreign use
// took.
func (d *Draft) limitsFit(c Call) Instant {
	if c.Cost > min(d.limits.PerMinute, d.limits.PerHour) {
		return d.at.Add(LayoutLife) // the rows are another configuration's, and will change
	}
	at := d.at
	for {
		room := d.Usage.fits(d.limitsFor(c.Class, at), c.Cost)
		if room <= at || d.Health.foreignShare(at) == 0 {
			return room
		}
		at = min(room, d.Health.foreignShareFalls(at))
		if at < room && d.Usage.fits(d.limitsFor(c.Class, at), c.Cost) <= at {
			return at
		}
	}
}

// grant reserves c, which has room.
func (d *Draft) grant(c Call) Grant {
	g := Grant{UseBy: d.reading.Until(d.at.Add(MaxAge)), shard: d.Shard, at: d.at, sender: c.Sender, healthy: d.Health.well(d.at)}
	g.probe, g.senderProbe = d.Health.countCall(d.at, c, d.terms.CallTime)
	d.Usage.add(hour(0), d.at, c.Cost)
	d.Callers.add(c.Caller, d.at, c.Cost)
	d.Changed, d.plan = true, planned{}
	return g
}

// queue is where a shard's messages wait.
func (d *Draft) queue(shard int) *Queue {
	for i := range d.Queues {
		if d.Queues[i].Shard == shard {
			return &d.Queues[i]
		}
	}
	d.Queues = append(d.Queues, Queue{Shard: shard})
	return &d.Queues[len(d.Queues)-1]
}

// isBehind says that somebody who may go waits in c's class or a more urgent one.
func (d *Draft) isBehind(c Call) bool {
	for _, q := range d.Queues {
		for _, n := range q.Lines {
			if n.call().Class <= c.Class && n.demand(d.at) > 0 && !d.capped(n) {
				return true
			}
		}
	}
	return false
}

// capped says that only its caller's cap keeps a line waiting.
func (d *Draft) capped(n lineState) bool { return d.capFits(n.call()) > d.at }

// forecastRounds bound what a forecast costs. With each, what capped callers use is known
// for about an hour more.
const forecastRounds = 24

// planned remembers a forecast, which many who join ask for one after the other.
type planned struct {
	limits Limits
	of     func(n int) Instant
}

// expected says when c goes, if it is the last that waits of its caller and class. Own are
// the tokens of these, c's included. c may not go before due.
func (d *Draft) expected(c Call, own int, due Instant) Instant {
	limits := d.limitsFor(c.Class, d.at)
	if d.plan.of == nil || d.plan.limits != limits {
		d.plan = planned{limits, d.Usage.forecast(max(d.at, d.Health.BackoffUntil), limits.windows()...)}
	}
	// The longer it lasts, the more do capped callers take: each round counts what goes
	// before the end of the last round.
	at := d.at
	for range forecastRounds {
		next := d.plan.of(d.tokensUpTo(c, own, at))
		if next <= at {
			break
		}
		at = next
	}
	for _, l := range d.caps(c) {
		at = max(at, d.Callers[l.caller].forecast(d.at, capWindow(max(l.most, 1)))(own))
	}
	return max(at, due, d.Health.senderOpensAt(c.Sender))
}

// tokensUpTo is how many tokens go up to the last of own tokens of c's caller, if that
// goes at a time: those of more urgent classes, and of the others what max-min gives
// them until then, of neither more than their caps.
func (d *Draft) tokensUpTo(c Call, own int, by Instant) int {
	w := d.weights(c)
	level := float64(d.Callers.used(c.Caller, d.at)+own) / w.of(c)
	n := own
	for _, q := range d.Queues {
		for _, o := range q.Lines {
			demand := min(o.demand(d.at), d.mayUse(o, by))
			switch {
			case o.Class < c.Class:
				n += demand
			case o.Class == c.Class && o.Caller != c.Caller:
				n += min(demand, max(0, int(level*w.of(o.call()))-d.Callers.used(o.Caller, d.at)))
			}
		}
	}
	return n
}

// mayUse is how many tokens the caps of a line let it use until a time.
func (d *Draft) mayUse(n lineState, by Instant) int {
	may := math.MaxInt
	for _, l := range d.caps(n.call()) {
		may = min(may, max(0, l.most-d.Callers.used(l.caller, d.at))+l.most*int(by.Sub(d.at)/capWindow(0).width))
	}
	return may
}

// waiting are the tokens that a caller waits for in a class.
func (d *Draft) waiting(class Class, caller string) (tokens int) {
	for _, q := range d.Queues {
		for _, n := range q.Lines {
			if n.Class == class && n.Caller == caller {
				tokens += n.demand(d.at)
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
func (d *Draft) weights(c Call) weights {
	shares := map[string]int{c.Caller: c.Share}
	for _, q := range d.Queues {
		for _, n := range q.Lines {
			if n.Class == c.Class && n.demand(d.at) > 0 {
				shares[n.Caller] = n.Share
			}
		}
	}
	return split(shares)
}

// overQuota says when c is expected to fit. It counts from the earliest time that
// it may be, so that a caller who waits it out, succeeds.
func (d *Draft) overQuota(at Instant) error {
	wait := max(at-d.now, 1).WholeSecond()
	e := problem.New(problem.OverQuota, "The sending quota has no room now. Try again in %d s.", wait/1000)
	e.RetryAfter = time.Duration(wait) * time.Millisecond
	return e
}

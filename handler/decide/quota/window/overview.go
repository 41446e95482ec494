package window

import (
	"time"

	"github.com/posthorn/posthorn/handler/problem"
)

// Backlog is how many messages wait for room at a row, and how long they will probably
// take; 0 if none waits.
func (d *Draft) Backlog() (messages int, drain time.Duration) {
	messages, tokens := d.totals()
	if tokens > 0 {
		from := max(d.now, d.Health.BackoffUntil)
		drain = max(0, d.Usage.forecast(from, d.limitsFor(Bulk, d.at).windows()...)(tokens).Sub(d.now))
	}
	return messages, drain
}

// ForeignShare is the part of the limits, of 1,000, that others seem to use.
func (d *Draft) ForeignShare() int { return d.Health.foreignShare(d.now) }

// totals is what waits for room at a row.
func (d *Draft) totals() (messages, tokens int) {
	for _, q := range d.Queues {
		for _, n := range q.Lines {
			if demand := n.demand(d.now); demand > 0 {
				tokens += demand
				messages += min(n.Waiting, demand)
			}
		}
	}
	return messages, tokens
}

// Overview is what a caller may know of the quota. Times are storage's.
type Overview struct {
	Limits     Limits
	Share, Cap int // percent, 0 none
	Used       int // tokens in the last hour, and up to 5 min more
	// RemainingMinute and RemainingHour are what may be reserved now, by anybody.
	RemainingMinute, RemainingHour int
	// WaitingOwn and WaitingAll are messages that wait for room, HeldOwn and HeldAll those
	// that wait for reasons of their own, such as their caller's pause.
	WaitingOwn, WaitingAll int
	HeldOwn, HeldAll       int
	// Next is when the limits next have room, were nobody waiting.
	Next time.Time
	// Expected is when a message that came now would probably go.
	Expected time.Time
	// Pause, if not nil, says that nothing goes.
	Pause *problem.Pause
}

// Overview is what c's caller may know of this row.
func (d *Draft) Overview(c Call) Overview {
	u := Overview{Used: d.Callers.used(c.Caller, d.at), Pause: d.Pause}
	l := d.limitsFor(c.Class, d.at)
	u.RemainingMinute, u.RemainingHour = d.Usage.free(minute(l.PerMinute), d.at), d.Usage.free(hour(l.PerHour), d.at)
	u.WaitingAll, _ = d.totals()
	for _, q := range d.Queues {
		for _, n := range q.Lines {
			u.HeldAll += n.Held
			if name, _ := whole(n.Caller); name != c.Caller {
				continue
			}
			u.HeldOwn += n.Held
			if n.demand(d.at) > 0 {
				u.WaitingOwn += n.Waiting - n.Held
			}
		}
	}
	next := max(d.fits(c), d.at)
	expected := next
	if d.isBehind(c) {
		expected = max(next, d.expected(c, d.waiting(c.Class, c.Caller)+c.Cost, 0))
	}
	u.Next, u.Expected = next.Time(), expected.Time()
	return u
}

// Merge counts what another row knows.
func (u *Overview) Merge(o Overview) {
	u.Used += o.Used
	if u.Pause == nil {
		u.Pause = o.Pause
	}
	u.RemainingMinute, u.RemainingHour = u.RemainingMinute+o.RemainingMinute, u.RemainingHour+o.RemainingHour
	u.WaitingOwn, u.WaitingAll = u.WaitingOwn+o.WaitingOwn, u.WaitingAll+o.WaitingAll
	u.HeldOwn, u.HeldAll = u.HeldOwn+o.HeldOwn, u.HeldAll+o.HeldAll
	if u.Next.IsZero() || o.Next.Before(u.Next) {
		u.Next = o.Next
	}
	if u.Expected.IsZero() || o.Expected.Before(u.Expected) {
		u.Expected = o.Expected
	}
}

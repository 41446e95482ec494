package window

import (
	"time"

	"github.com/posthorn/posthorn/handler/problem"
)

// pauseLook is how far off the next look at a paused row is said to be: a wake-up message
// an hour costs nothing. The end of a pause does not wait for it.
const pauseLook = time.Hour

// SetPause begins a pause or, with nil, ends it. Wake-up messages that are on their way at
// its end come too late, and are no longer counted on.
func (d *Draft) SetPause(pause *problem.Pause) {
	d.Changed = d.Changed || d.Pause != nil || pause != nil
	if d.Pause != nil && pause == nil {
		for i := range d.Queues {
			d.Queues[i].WakeUpAt, d.Queues[i].JoinedSince = 0, true
		}
	}
	d.Pause = pause
}

// opensAt is the earliest time at which the operator and ACS's health let cost tokens go.
func (d *Draft) opensAt(cost int) Instant {
	if d.Pause != nil {
		return d.at.Add(pauseLook)
	}
	return d.Health.opensAt(d.limits, d.at, cost)
}

// paused is the problem of a call that may not go.
func (d *Draft) paused() error { return d.Pause.Problem("all sending") }

// BackOff counts the answer 429 to the call of g, heard at a local time. wait is what ACS
// asked for, 0 nothing. It says whether the sender alone has to wait.
func (d *Draft) BackOff(g Grant, heard time.Time, wait time.Duration) (senderOnly bool) {
	if d.Health.isAboutSender(d.at, g) {
		d.backOffSender(g, heard, wait)
		d.Health.releaseProbe(g)
		return true
	}
	d.Changed = d.Health.backOff(d.at, d.reading.Latest(heard), wait, g) || d.Changed
	return false
}

// BackOffToo is BackOff for the rows that did not give g.
func (d *Draft) BackOffToo(g Grant, heard time.Time, wait time.Duration, senderOnly bool) {
	if senderOnly {
		d.backOffSender(g, heard, wait)
		return
	}
	d.Changed = d.Health.backOff(d.at, d.reading.Latest(heard), wait, Grant{sender: g.sender}) || d.Changed
}

func (d *Draft) backOffSender(g Grant, heard time.Time, wait time.Duration) {
	d.Health.backOffSender(g.sender, d.reading.Latest(heard), wait)
	d.Changed = true
}

// Fail counts that ACS could not serve the call of g, which was for a message of this hash,
// not 0. It says whether the row has closed by it.
func (d *Draft) Fail(g Grant, heard time.Time, message uint32) (closed bool) {
	changed, closed := d.Health.fail(d.reading.Latest(heard), g, message)
	d.Changed = d.Changed || changed
	return closed
}

// CloseToo closes a row after another has.
func (d *Draft) CloseToo(heard time.Time) {
	if !d.Health.Probing {
		d.Health.close(d.reading.Latest(heard))
		d.Changed = true
	}
}

// Succeed counts that ACS took the call of g. If g was the probe of another sender than the
// one that ACS refused, that one is returned: the other rows are to be told.
func (d *Draft) Succeed(g Grant) (refused uint32) {
	d.Changed = d.Health.succeed(d.at, g) || d.Changed
	if g.probe && d.Health.Passed {
		return d.Health.Refused
	}
	return 0
}

// PassToo notes that another sender's call was taken after the one of the refused.
func (d *Draft) PassToo(refused uint32) {
	if d.Health.Refused == refused && !d.Health.Passed {
		d.Health.Passed, d.Changed = true, true
	}
}

// Unuse says that the call of g is not made: if others wait for what becomes of it, another
// may go.
func (d *Draft) Unuse(g Grant) {
	d.Changed = d.Health.releaseProbe(g) || d.Changed
	d.Changed = d.Health.releaseSender(g, d.at) || d.Changed
}

// Closed says that nothing may go by what this row knows, so that nothing that was taken
// ahead may either.
func (s State) Closed(at Instant) bool {
	return s.Health.Probing || s.Health.BackoffUntil > at || s.Pause != nil
}

// SomeFailed says that messages have failed since one was taken.
func (s State) SomeFailed() bool { return s.Health.Failed != [severalFail - 1]uint32{} }

// BacksOff says that ACS refuses a sender.
func (s State) BacksOff(sender uint32) bool { return s.Health.senderOpensAt(sender) > 0 }

package window

import (
	"math"
	"reflect"
	"slices"
	"time"
)

// What ACS asks for is kept within these. Source of the default: ACS documents
// none, its shortest window is a minute.
const (
	defaultBackoff  = time.Minute
	shortestBackoff = time.Second
	longestBackoff  = 2 * time.Hour
)

const (
	// firstClosure and longestClosure are how long the ledger is closed after ACS
	// could not serve: doubled each time that it still cannot.
	firstClosure   = 2 * time.Second
	longestClosure = time.Minute
	// severalFail is how many different messages must have failed in a row before that
	// is ACS's fault: one message may fail for reasons of its own, again and again.
	severalFail = 3
	// probeSlack is after what time nothing will be heard of a probe whose token
	// has its age and whose call to ACS its time.
	probeSlack = 10 * time.Second
	// probeLook is how often somebody asks for the probe.
	probeLook = 2 * time.Second
	// rampTime is how long the ledger opens after a 429: ACS's shortest window.
	rampTime = time.Minute
	// foreignLoss is the part of the share, of 1,000, that a 429 takes: somebody
	// else uses the subscription. foreignGain comes back every foreignStep.
	foreignLoss = 250
	foreignGain = 10
	foreignStep = 2 * time.Minute
	// leastShare is what is left to us, of 1,000, whatever others do.
	leastShare = 100
)

// Health is what ACS's answers made of the ledger. The zero value is well.
type Health struct {
	BackoffUntil Instant `json:"backoffUntil,omitempty"` // a whole second; nothing is granted before it
	Probing      bool    `json:"probing,omitempty"`      // after it one call is, the probe
	ProbeAt      Instant `json:"probeAt,omitempty"`
	ProbeUntil   Instant `json:"probeUntil,omitempty"` // then its process has died
	Ramp         bool    `json:"ramp,omitempty"`       // the probe's return begins one
	RampFrom     Instant `json:"rampFrom,omitempty"`   // it began
	RampUsed     int     `json:"rampUsed,omitempty"`   // tokens since
	Repeats      int     `json:"repeats,omitempty"`    // probes and ramps that ended in a 429
	Fails        int     `json:"fails,omitempty"`      // closures in a row
	Lost         int     `json:"lost,omitempty"`       // of 1,000 of the share, to foreign use
	LostAt       Instant `json:"lostAt,omitempty"`
	// Failed are the messages, hashed, that failed since one was taken; 0: none.
	Failed [severalFail - 1]uint32 `json:"failed,omitzero"`
	// Refused is the sender whose call ACS answered with 429, and Passed says that another
	// sender's was taken after it.
	Refused uint32 `json:"refused,omitempty"`
	Passed  bool   `json:"passed,omitempty"`
	// Senders are those that ACS refuses while it takes others.
	Senders []senderBackoff `json:"senders,omitempty"`
}

func (h Health) ramping(at Instant) bool {
	return h.RampFrom > 0 && at < h.RampFrom.Add(rampTime)
}

// well says that a failure at a time is the call's own.
func (h Health) well(at Instant) bool {
	return !h.Probing && h.BackoffUntil <= at && !h.ramping(at)
}

// foreignShare is what foreign use takes of 1,000 at a time.
func (h Health) foreignShare(at Instant) int {
	if h.Lost == 0 {
		return 0
	}
	steps := max(0, int(at.Sub(h.LostAt)/foreignStep))
	return max(0, h.Lost-steps*foreignGain)
}

// foreignShareFalls is the next time after one when lost is less.
func (h Health) foreignShareFalls(at Instant) Instant {
	return at.Add(foreignStep - at.Sub(h.LostAt)%foreignStep)
}

// limitsLeft is what is left of l for us at a time.
func (h Health) limitsLeft(l Limits, at Instant) Limits {
	left := 1000 - h.foreignShare(at)
	return Limits{max(min(l.PerMinute, 1), l.PerMinute*left/1000), max(min(l.PerHour, 1), l.PerHour*left/1000)}
}

// opensAt is the earliest time at which health lets cost tokens go.
func (h Health) opensAt(l Limits, at Instant, cost int) Instant {
	switch {
	case h.Probing && h.ProbeAt > 0 && at < h.ProbeUntil:
		return max(h.BackoffUntil, at.Add(probeLook))
	case h.Probing || !h.ramping(at):
		return h.BackoffUntil
	}
	return max(h.BackoffUntil, h.rampFits(l, cost))
}

// rampFits doubles what may go in equal times, from one call to the whole limit
// of a minute.
func (h Health) rampFits(l Limits, cost int) Instant {
	n := h.RampUsed + cost
	if h.RampUsed == 0 || l.PerMinute < 2 {
		return h.RampFrom
	}
	part := math.Log(float64(n)) / math.Log(float64(l.PerMinute))
	return h.RampFrom.Add(time.Duration(min(part, 1) * float64(rampTime))).WholeSecond()
}

// rampFree is how many tokens the ramp lets go at a time.
func (h Health) rampFree(l Limits, at Instant) int {
	part := float64(at.Sub(h.RampFrom)) / float64(rampTime)
	return max(0, int(math.Pow(float64(l.PerMinute), part))-h.RampUsed)
}

// countCall counts tokens that go, and says whether they are the probe, or the probe of a
// sender. A call takes no longer than said.
func (h *Health) countCall(at Instant, c Call, call time.Duration) (canary, probe bool) {
	if h.ramping(at) {
		h.RampUsed += c.Cost
	}
	life := at.Add(MaxAge + call + probeSlack)
	if h.Probing {
		h.ProbeAt, h.ProbeUntil = at, life
	}
	return h.Probing, h.startSenderProbe(c.Sender, at, life)
}

// backOff is what a 429 does that was the answer to g, heard before a time. wait is
// what ACS asked for, 0 nothing. It says whether anything has changed.
func (h *Health) backOff(at, heard Instant, wait time.Duration, g Grant) bool {
	was := *h
	if g.sender != 0 {
		h.Refused, h.Passed = g.sender, false
	}
	again := h.isProbe(g) || (!h.Probing && h.ramping(at))
	switch {
	case again:
		h.Repeats++
	case !h.Probing:
		h.Repeats = 0
	}
	if !h.Probing { // not a straggler of the same crowd
		h.Lost, h.LostAt = min(1000-leastShare, h.foreignShare(at)+(1000-h.foreignShare(at))*foreignLoss/1000), at.WholeSecond()
	}
	h.BackoffUntil = max(h.BackoffUntil, heard.Add(backoffFor(wait, h.Repeats)).WholeSecond())
	h.Probing, h.Ramp, h.RampFrom, h.RampUsed = true, true, 0, 0
	if again {
		h.ProbeAt = 0
	}
	return !reflect.DeepEqual(*h, was)
}

// backoffFor is how long to wait after a 429: what ACS asked for, 0 nothing, and longer
// with each repeat.
func backoffFor(wait time.Duration, repeats int) time.Duration {
	if wait == 0 {
		wait = defaultBackoff << min(repeats, 7)
	}
	return min(max(wait, shortestBackoff<<min(repeats, 6)), longestBackoff)
}

// fail is what a message's call does that ACS could not serve: the probe's closes the
// ledger, and that of the last of several. Others were under way with it. changed says
// that there is something to write.
func (h *Health) fail(heard Instant, g Grant, message uint32) (changed, closed bool) {
	changed = h.releaseSender(g, heard.Add(firstClosure).WholeSecond())
	switch {
	case h.Probing:
		closed = h.isProbe(g)
	case slices.Contains(h.Failed[:], message):
	case slices.Contains(h.Failed[:], 0):
		h.Failed[slices.Index(h.Failed[:], 0)] = message
		return true, false
	default:
		closed = true
	}
	if closed {
		h.close(heard)
	}
	return changed || closed, closed
}

// close lets nothing go for a while, and then a probe.
func (h *Health) close(heard Instant) {
	wait := min(firstClosure<<min(h.Fails, 6), longestClosure)
	h.Fails++
	h.Probing, h.ProbeAt, h.Failed = true, 0, [len(h.Failed)]uint32{}
	h.BackoffUntil = max(h.BackoffUntil, heard.Add(wait).WholeSecond())
}

// succeed is what a call does that ACS has served. It says whether that was news.
func (h *Health) succeed(at Instant, g Grant) bool {
	failed := h.Failed
	h.Failed = [len(h.Failed)]uint32{}
	recovered := h.recoverSender(g)
	return h.recover(at, g) || recovered || failed != h.Failed
}

// releaseProbe lets another probe go at once, if g is the one.
func (h *Health) releaseProbe(g Grant) bool {
	canary := h.isProbe(g)
	if canary {
		h.ProbeAt = 0
	}
	return canary
}

// recover is the probe's return.
func (h *Health) recover(at Instant, g Grant) bool {
	if !h.isProbe(g) {
		return false
	}
	if h.Ramp {
		h.RampFrom, h.RampUsed = at, 0
	}
	if g.sender == h.Refused {
		h.Refused = 0
	}
	h.Passed = h.Refused != 0
	h.Probing, h.Ramp, h.ProbeAt, h.Fails = false, false, 0, 0
	return true
}

func (h *Health) isProbe(g Grant) bool { return h.Probing && g.probe && g.at == h.ProbeAt }

// merge is what two rows say of ACS, at its worst. A probe of either is not
// waited for.
func (h Health) merge(o Health) Health {
	h.BackoffUntil = max(h.BackoffUntil, o.BackoffUntil)
	h.Probing, h.Ramp, h.ProbeAt = h.Probing || o.Probing, h.Ramp || o.Ramp, 0
	h.RampFrom, h.RampUsed = max(h.RampFrom, o.RampFrom), h.RampUsed+o.RampUsed
	h.Repeats, h.Fails = max(h.Repeats, o.Repeats), max(h.Fails, o.Fails)
	h.Lost, h.LostAt = max(h.Lost, o.Lost), max(h.LostAt, o.LostAt)
	return h
}

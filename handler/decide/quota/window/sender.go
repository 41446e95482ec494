package window

import (
	"cmp"
	"slices"
	"time"
)

// sendersKept bounds how many senders a row has back-offs of, the longest ones.
const sendersKept = 16

// refusedKept is how long after a back-off it counts who was refused.
const refusedKept = time.Hour

// senderBackoff keeps the messages of one sender back, which ACS refuses with 429 while it
// takes those of others.
type senderBackoff struct {
	Sender  uint32  `json:"s"`
	Until   Instant `json:"u"`
	Repeats int     `json:"r,omitempty"` // back-offs in a row
	ProbeAt Instant `json:"p,omitempty"` // one was let go, to see; then Until is its life
}

func (h Health) sender(sender uint32) *senderBackoff {
	if i := slices.IndexFunc(h.Senders, func(s senderBackoff) bool { return s.Sender == sender }); i >= 0 {
		return &h.Senders[i]
	}
	return nil
}

// senderOpensAt is the earliest time at which a sender may send, 0 if it is not held back.
func (h Health) senderOpensAt(sender uint32) Instant {
	if s := h.sender(sender); s != nil {
		return s.Until
	}
	return 0
}

// isAboutSender says that a 429 to g is about its sender alone: it was refused not long
// before, and another one's call was taken since.
func (h Health) isAboutSender(at Instant, g Grant) bool {
	return g.sender != 0 && (h.sender(g.sender) != nil || h.Refused == g.sender && h.Passed && at < h.BackoffUntil.Add(refusedKept))
}

// backOffSender is what a 429 does that is about a sender alone. wait is what ACS asked for,
// 0 nothing.
func (h *Health) backOffSender(sender uint32, heard Instant, wait time.Duration) {
	s := h.sender(sender)
	if s == nil {
		h.Senders = append(h.Senders, senderBackoff{Sender: sender})
		s = &h.Senders[len(h.Senders)-1]
	} else if s.ProbeAt > 0 { // else it was under way with the one before it
		s.Repeats, s.Until, s.ProbeAt = s.Repeats+1, 0, 0 // that was the probe's life
	}
	s.Until = max(s.Until, heard.Add(backoffFor(wait, s.Repeats)).WholeSecond())
	if len(h.Senders) > sendersKept {
		soonest := slices.MinFunc(h.Senders, func(a, b senderBackoff) int { return cmp.Compare(a.Until, b.Until) })
		h.forgetSender(soonest.Sender)
	}
}

func (h *Health) forgetSender(sender uint32) {
	h.Senders = slices.DeleteFunc(h.Senders, func(s senderBackoff) bool { return s.Sender == sender })
}

// startSenderProbe lets one call of a sender that is held back go, and the others wait for
// its end.
func (h *Health) startSenderProbe(sender uint32, at, life Instant) (probe bool) {
	s := h.sender(sender)
	if s != nil {
		s.ProbeAt, s.Until = at, life
	}
	return s != nil
}

// probedSender is that of g if g is the probe of it that is on its way, else nil.
func (h Health) probedSender(g Grant) *senderBackoff {
	if s := h.sender(g.sender); s != nil && g.senderProbe && s.ProbeAt == g.at {
		return s
	}
	return nil
}

// recoverSender ends the back-off of a sender whose probe was taken.
func (h *Health) recoverSender(g Grant) bool {
	if h.probedSender(g) == nil {
		return false
	}
	h.forgetSender(g.sender)
	if h.Refused == g.sender {
		h.Refused, h.Passed = 0, false
	}
	return true
}

// releaseSender lets another probe go at a time, since g's told nothing.
func (h *Health) releaseSender(g Grant, at Instant) bool {
	s := h.probedSender(g)
	if s != nil {
		s.ProbeAt, s.Until = 0, at
	}
	return s != nil
}

// backedOffSenders are those that may not send before a time.
func (h Health) backedOffSenders(at Instant) map[uint32]time.Time {
	all := map[uint32]time.Time{}
	for _, s := range h.Senders {
		if s.Until > at {
			all[s.Sender] = s.Until.Time()
		}
	}
	return all
}

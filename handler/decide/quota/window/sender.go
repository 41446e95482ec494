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

func (h Health) findSender(sender uint32) (at int, found bool) {
	at = slices.IndexFunc(h.Senders, func(s senderBackoff) bool { return s.Sender == sender })
	return at, at >= 0
}

// senderRoom is the earliest time at which a sender may send, 0 if it is not held back.
func (h Health) senderOpensAt(sender uint32) Instant {
	if i, found := h.findSender(sender); found {
		return h.Senders[i].Until
	}
	return 0
}

// onlySender says that a 429 to g is about its sender alone: it was refused not long
// before, and another one's call was taken since.
func (h Health) isAboutSender(at Instant, g Grant) bool {
	_, found := h.findSender(g.sender)
	return g.sender != 0 && (found || h.Refused == g.sender && h.Passed && at < h.BackoffUntil.Add(refusedKept))
}

// backOffSender is what a 429 does that is about a sender alone. wait is what ACS asked for,
// 0 nothing.
func (h *Health) backOffSender(sender uint32, heard Instant, wait time.Duration) {
	next := senderBackoff{Sender: sender}
	if i, found := h.findSender(sender); found {
		next.Repeats, next.Until = h.Senders[i].Repeats, h.Senders[i].Until
		if h.Senders[i].ProbeAt > 0 { // else it was under way with the one before it
			next.Repeats, next.Until = next.Repeats+1, 0 // that was the probe's life
		}
	}
	next.Until = max(next.Until, heard.Add(backoffFor(wait, next.Repeats)).WholeSecond())
	h.setSender(next)
}

func (h *Health) setSender(s senderBackoff) {
	all := append(h.withoutSender(s.Sender), s)
	if len(all) > sendersKept {
		soonest := slices.MinFunc(all, func(a, b senderBackoff) int { return cmp.Compare(a.Until, b.Until) })
		all = slices.DeleteFunc(all, func(o senderBackoff) bool { return o == soonest })
	}
	h.Senders = all
}

// withoutSender is a copy of Senders, nil if there is no other.
func (h Health) withoutSender(sender uint32) (others []senderBackoff) {
	for _, s := range h.Senders {
		if s.Sender != sender {
			others = append(others, s)
		}
	}
	return others
}

// bookSender lets one call of a sender that is held back go, and the others wait for its end.
func (h *Health) startSenderProbe(sender uint32, at, life Instant) (probe bool) {
	i, found := h.findSender(sender)
	if found {
		s := h.Senders[i]
		s.ProbeAt, s.Until = at, life
		h.setSender(s)
	}
	return found
}

// isProbe says that g is the probe of its sender that is on its way.
func (h Health) isSenderProbe(g Grant) bool {
	i, found := h.findSender(g.sender)
	return found && g.senderProbe && h.Senders[i].ProbeAt == g.at
}

// recoverSender ends the back-off of a sender whose probe was taken.
func (h *Health) recoverSender(g Grant) bool {
	if !h.isSenderProbe(g) {
		return false
	}
	h.Senders = h.withoutSender(g.sender)
	if h.Refused == g.sender {
		h.Refused, h.Passed = 0, false
	}
	return true
}

// releaseSender lets another probe go at a time, since g's told nothing.
func (h *Health) releaseSender(g Grant, at Instant) bool {
	if !h.isSenderProbe(g) {
		return false
	}
	i, _ := h.findSender(g.sender)
	s := h.Senders[i]
	s.ProbeAt, s.Until = 0, at
	h.setSender(s)
	return true
}

// backedOff are those that may not send before a time.
func (h Health) backedOffSenders(at Instant) map[uint32]time.Time {
	var all map[uint32]time.Time
	for _, s := range h.Senders {
		if s.Until > at {
			if all == nil {
				all = map[uint32]time.Time{}
			}
			all[s.Sender] = s.Until.Time()
		}
	}
	return all
}

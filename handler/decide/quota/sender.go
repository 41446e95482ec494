package quota

import (
	"slices"
	"time"
)

// sendersKept bounds how many senders a row has pauses of, the longest ones.
const sendersKept = 16

// refusedKept is how long after a back-off it counts who was refused.
const refusedKept = time.Hour

// senderPause keeps the messages of one sender back, which ACS refuses with 429 while it
// takes those of others.
type senderPause struct {
	Sender  uint32  `json:"s"`
	Until   instant `json:"u"`
	Repeats int     `json:"r,omitempty"` // pauses in a row
	ProbeAt instant `json:"p,omitempty"` // one was let go, to see; then Until is its life
}

func (h health) sender(sender uint32) (at int, found bool) {
	at = slices.IndexFunc(h.Senders, func(s senderPause) bool { return s.Sender == sender })
	return at, at >= 0
}

// senderRoom is the earliest time at which a sender may send, 0 if it is not paused.
func (h health) senderRoom(sender uint32) instant {
	if i, paused := h.sender(sender); paused {
		return h.Senders[i].Until
	}
	return 0
}

// onlySender says that a 429 to g is about its sender alone: it was refused not long
// before, and another one's call was taken since.
func (h health) onlySender(at instant, g Grant) bool {
	_, paused := h.sender(g.sender)
	return g.sender != 0 && (paused || h.Refused == g.sender && h.Passed && at < h.BackoffUntil.add(refusedKept))
}

// pauseSender is what a 429 does that is about a sender alone. wait is what ACS asked for,
// 0 nothing.
func (h *health) pauseSender(sender uint32, heard instant, wait time.Duration) {
	next := senderPause{Sender: sender}
	if i, paused := h.sender(sender); paused {
		next.Repeats, next.Until = h.Senders[i].Repeats+1, h.Senders[i].Until
		if h.Senders[i].ProbeAt > 0 {
			next.Until = 0 // the probe's life, which is over
		}
	}
	if wait == 0 {
		wait = defaultBackoff << min(next.Repeats, 7)
	}
	wait = min(max(wait, shortestBackoff<<min(next.Repeats, 6)), longestBackoff)
	next.Until = max(next.Until, heard.add(wait).wholeSecond())
	h.setSender(next)
}

func (h *health) setSender(s senderPause) {
	all := slices.Clone(h.Senders)
	switch i, paused := h.sender(s.Sender); {
	case paused:
		all[i] = s
	case len(all) < sendersKept:
		all = append(all, s)
	default:
		all[slices.IndexFunc(all, func(o senderPause) bool {
			return !slices.ContainsFunc(all, func(other senderPause) bool { return other.Until < o.Until })
		})] = s
	}
	h.Senders = all
}

// bookSender lets one call of a paused sender go, and the others wait for its end.
func (h *health) bookSender(sender uint32, at, life instant) (probe bool) {
	i, paused := h.sender(sender)
	if paused {
		s := h.Senders[i]
		s.ProbeAt, s.Until = at, life
		h.setSender(s)
	}
	return paused
}

// isProbe says that g is the probe of its sender that is on its way.
func (h health) isProbe(g Grant) bool {
	i, paused := h.sender(g.sender)
	return paused && g.probe && h.Senders[i].ProbeAt == g.at
}

// resumeSender ends the pause of a sender whose probe was taken.
func (h *health) resumeSender(g Grant) bool {
	if !h.isProbe(g) {
		return false
	}
	h.Senders = slices.DeleteFunc(slices.Clone(h.Senders), func(s senderPause) bool { return s.Sender == g.sender })
	if len(h.Senders) == 0 {
		h.Senders = nil
	}
	if h.Refused == g.sender {
		h.Refused, h.Passed = 0, false
	}
	return true
}

// releaseSender lets another probe go at a time, since g's told nothing.
func (h *health) releaseSender(g Grant, at instant) bool {
	if !h.isProbe(g) {
		return false
	}
	i, _ := h.sender(g.sender)
	s := h.Senders[i]
	s.ProbeAt, s.Until = 0, at
	h.setSender(s)
	return true
}

// pausedSenders are those that may not send before a time.
func (h health) pausedSenders(at instant) map[uint32]time.Time {
	var paused map[uint32]time.Time
	for _, s := range h.Senders {
		if s.Until > at {
			if paused == nil {
				paused = map[uint32]time.Time{}
			}
			paused[s.Sender] = s.Until.time()
		}
	}
	return paused
}

package quota

import (
	"fmt"
	"time"
)

// View is what the ledger looked like when it was last seen.
type View struct {
	Limits Limits
	Known  bool // whether it was ever seen; if not, only Limits are set
	// Remaining are the tokens that may be booked now.
	RemainingMinute, RemainingHour int
	// Reset are the whole seconds, rounded up, until more may be booked; with
	// nothing booked, the window.
	ResetMinute, ResetHour int
}

// View asks storage for nothing, and what others booked since the last call of
// Book is not in it.
func (l *Ledger) View() View {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := View{Limits: l.limits}
	if l.seen == nil {
		return v
	}
	v.Known = true
	now := l.seen.at.earliest(l.now())
	v.RemainingMinute, v.ResetMinute = l.seen.left(l.limits.minute(), time.Minute, now)
	v.RemainingHour, v.ResetHour = l.seen.left(l.limits.hour(), time.Hour, now)
	return v
}

// left is what a window has left, and the seconds until it has more.
func (b ledger) left(w window, plain time.Duration, now instant) (remaining, reset int) {
	counted := b.times[w.gone(b.times, now):]
	remaining = w.limit - len(counted)
	next := now.add(plain)
	switch {
	case remaining <= 0 || b.backoffUntil > now:
		remaining, next = 0, max(b.backoffUntil, w.room(b.times, 1))
	case len(counted) > 0:
		next = w.leaves(counted[0])
	}
	return remaining, int((next - now).wholeSecond() / 1000)
}

// Headers returns the values of RateLimit and RateLimit-Policy. rateLimit is
// empty if the ledger was never seen. Source: sections 3 and 4 of
// draft-ietf-httpapi-ratelimit-headers-11.
func (v View) Headers() (rateLimit, policy string) {
	policy = fmt.Sprintf(`"minute";q=%d;w=60, "hour";q=%d;w=3600`, v.Limits.PerMinute, v.Limits.PerHour)
	if v.Known {
		rateLimit = fmt.Sprintf(`"minute";r=%d;t=%d, "hour";r=%d;t=%d`,
			v.RemainingMinute, v.ResetMinute, v.RemainingHour, v.ResetHour)
	}
	return rateLimit, policy
}

package quota

import (
	"strconv"
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

// View asks storage for nothing, and what others booked since the last write or
// read of this process is not in it.
func (l *Ledger) View() View {
	v := View{Limits: l.limits}
	for _, s := range l.known().shards {
		s.mu.Lock()
		seen := s.seen
		s.mu.Unlock()
		if seen == nil {
			continue
		}
		v.add(l.look(s.number, seen, l.now()))
	}
	return v
}

// add is what one shard has.
func (v *View) add(p *page) {
	limits := p.health.share(p.limits, p.now)
	minute, hour := p.usage.free(limits, p.now)
	nextMinute, nextHour := p.usage.next(p.now)
	if p.opens(1) > p.at {
		minute, hour = 0, 0
	}
	reset := func(free int, limit, next instant, plain time.Duration) int {
		switch {
		case free == 0:
			next = max(p.opens(1), limit)
		case next == 0:
			next = p.now.add(plain)
		}
		return int((next - p.now).wholeSecond() / 1000)
	}
	const unbounded = int(^uint32(0) >> 1)
	resetMinute := reset(minute, p.usage.room(Limits{limits.PerMinute, unbounded}, 1), nextMinute, time.Minute)
	resetHour := reset(hour, p.usage.room(Limits{unbounded, limits.PerHour}, 1), nextHour, time.Hour)
	if !v.Known {
		v.ResetMinute, v.ResetHour = resetMinute, resetHour
	}
	v.Known = true
	v.RemainingMinute, v.RemainingHour = v.RemainingMinute+minute, v.RemainingHour+hour
	v.ResetMinute, v.ResetHour = min(v.ResetMinute, resetMinute), min(v.ResetHour, resetHour)
}

// Headers returns the values of RateLimit and RateLimit-Policy. rateLimit is
// empty if the ledger was never seen. Source: sections 3 and 4 of
// draft-ietf-httpapi-ratelimit-headers-11.
func (v View) Headers() (rateLimit, policy string) {
	policy = header("q", v.Limits.PerMinute, "w", 60, v.Limits.PerHour, 3600)
	if v.Known {
		rateLimit = header("r", v.RemainingMinute, "t", v.ResetMinute, v.RemainingHour, v.ResetHour)
	}
	return rateLimit, policy
}

// header is two items with two parameters each. Every answer has two of it.
func header(a string, minuteA int, b string, minuteB, hourA, hourB int) string {
	text := make([]byte, 0, 64)
	item := func(name string, valueA, valueB int) {
		text = append(append(append(text, name...), ';'), a...)
		text = strconv.AppendInt(append(text, '='), int64(valueA), 10)
		text = append(append(text, ';'), b...)
		text = strconv.AppendInt(append(text, '='), int64(valueB), 10)
	}
	item(`"minute"`, minuteA, minuteB)
	item(`, "hour"`, hourA, hourB)
	return string(text)
}

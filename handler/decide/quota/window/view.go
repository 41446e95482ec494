package window

import (
	"strconv"
	"time"
)

// View is what the ledger looked like when it was last seen.
type View struct {
	Limits Limits
	Known  bool // whether it was ever seen; if not, only Limits are set
	// Remaining are the tokens that may be reserved now.
	RemainingMinute, RemainingHour int
	// Reset are the whole seconds, rounded up, until more may be reserved; with
	// nothing reserved, the window.
	ResetMinute, ResetHour int
}

// Add counts what one row has.
func (v *View) Add(d *Draft) {
	limits := d.Health.limitsLeft(d.limits, d.now)
	opens := d.opensAt(1)
	left := func(w window, plain time.Duration) (free, reset int) {
		free, next := d.Usage.free(w, d.now), d.Usage.nextLeaving(w, d.now)
		if opens > d.at {
			free = 0
		}
		switch {
		case free == 0:
			next = max(opens, d.Usage.fitsIn(w, 1))
		case next == 0:
			next = d.now.Add(plain)
		}
		return free, int((next - d.now).WholeSecond() / 1000)
	}
	freeMinute, resetMinute := left(minute(limits.PerMinute), time.Minute)
	freeHour, resetHour := left(hour(limits.PerHour), time.Hour)
	if !v.Known {
		v.Known, v.ResetMinute, v.ResetHour = true, resetMinute, resetHour
	}
	v.RemainingMinute, v.RemainingHour = v.RemainingMinute+freeMinute, v.RemainingHour+freeHour
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

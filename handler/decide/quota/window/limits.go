package window

import "time"

const (
	// MaxAge (D) is the greatest age of a token when its call is written. About
	// 4 s of it are left when the booking begins, see Grant.
	MaxAge = 5 * time.Second
	// ClockError (ε) is how far the clock of a storage front end may be off, and
	// half of what the request may need on its way.
	ClockError = 2 * time.Second
	// LayoutLife is how long limits stay split over the same rows at least, lest instances
	// of an old and of a new configuration change them to and fro.
	LayoutLife = 10 * time.Minute
)

// Limits are the calls that ACS allows in any 60 s and in any 3,600 s.
type Limits struct {
	PerMinute, PerHour int
}

// window is a limit and the time over which bookings count against it.
type window struct {
	limit int
	width time.Duration
}

func widened(limit int, w time.Duration) window {
	return window{limit, w + MaxAge + 2*ClockError}
}

func (l Limits) windows() [2]window {
	return [2]window{widened(l.PerMinute, time.Minute), widened(l.PerHour, time.Hour)}
}

// rounds is how many of n tokens go in whole rounds of the scarcer limit, after
// the first hour of them, and how long that takes.
func (l Limits) rounds(n int) (whole int, long time.Duration) {
	minute, scarce := l.windows()[0], l.windows()[1]
	if float64(minute.limit)/minute.width.Seconds() < float64(scarce.limit)/scarce.width.Seconds() {
		scarce = minute
	}
	rounds := max(0, n-1-l.PerHour) / max(1, scarce.limit)
	return rounds * scarce.limit, time.Duration(rounds) * scarce.width
}

package window

import "time"

const (
	// MaxAge (D) is the greatest age of a token when its call is written. About
	// 4 s of it are left when the reservation begins, see Grant.
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

// window is a limit and the time over which reservations count against it, from the time that
// slot gives a reservation: all of one slot are one.
type window struct {
	limit int
	width time.Duration
	slot  func(Instant) Instant
}

// widened is a window of ACS, whose reservations leave at a whole second: the clock that
// decides shows only those.
func widened(limit int, w time.Duration) window {
	return window{limit, w + MaxAge + 2*ClockError, Instant.WholeSecond}
}

func minute(limit int) window { return widened(limit, time.Minute) }

func hour(limit int) window { return widened(limit, time.Hour) }

func (l Limits) windows() []window { return []window{minute(l.PerMinute), hour(l.PerHour)} }

// leaves is the first time at which b no longer counts.
func (w window) leaves(b Reservation) Instant { return b.At.Add(w.width) }

// scarcer says that w lets fewer go in the long run.
func (w window) scarcer(o window) bool {
	return float64(w.limit)*o.width.Seconds() < float64(o.limit)*w.width.Seconds()
}

// rounds is how many of n tokens go in whole rounds of the scarcest window, after
// the last one is full of them, and how long that takes.
func rounds(n int, windows []window) (whole int, long time.Duration) {
	scarce := windows[len(windows)-1]
	full := scarce.limit
	for _, w := range windows {
		if w.scarcer(scarce) {
			scarce = w
		}
	}
	rounds := max(0, n-1-full) / max(1, scarce.limit)
	return rounds * scarce.limit, time.Duration(rounds) * scarce.width
}

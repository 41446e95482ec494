package quota

import (
	"slices"
	"time"
)

// tally is what was booked, so far as it still counts. Its values are never
// changed: book returns another.
type tally interface {
	// last is the time of the newest booking, 0 without one.
	last() instant
	// room is the earliest time at which cost more tokens fit into l. More than a
	// whole limit fits once nothing else counts.
	room(l Limits, cost int) instant
	// free is how many tokens fit into l at a time, by the minute and by the hour.
	free(l Limits, at instant) (minute, hour int)
	// next is the first time after at when a booking leaves the minute, or the
	// hour; 0 if none does.
	next(at instant) (minute, hour instant)
	// book adds cost tokens at a time that is not before last, and drops what no
	// longer counts then.
	book(at instant, cost int) tally
	// forecast says when the nth token from now goes, if from a time on tokens go
	// as soon as they fit into l.
	forecast(l Limits, from instant, n int) instant
	// encode writes the properties that decodeTally reads.
	encode(values map[string]any)
}

// window is a limit and the time over which bookings count against it.
type window struct {
	limit int
	width time.Duration
}

func widened(limit int, w time.Duration) window {
	return window{limit, w + MaxAge + 2*ClockError}
}

func (l Limits) minute() window { return widened(l.PerMinute, time.Minute) }
func (l Limits) hour() window   { return widened(l.PerHour, time.Hour) }

// log is one time for every token, ascending.
type log []instant

// leaves is the first time at which a token booked at i no longer counts.
func (w window) leaves(i instant) instant { return i.wholeSecond().add(w.width) }

// gone is how many of times, which ascend, no longer count at a time.
func (w window) gone(times []instant, at instant) int {
	n, _ := slices.BinarySearchFunc(times, at, func(t, at instant) int {
		if w.leaves(t) <= at {
			return -1
		}
		return 1
	})
	return n
}

// room is the earliest time at which cost more tokens fit.
func (w window) room(times []instant, cost int) instant {
	last := len(times) + cost - max(w.limit, cost) - 1 // it and those before it must have left
	if last < 0 {
		return 0
	}
	return w.leaves(times[last])
}

func (b log) last() instant {
	if len(b) == 0 {
		return 0
	}
	return b[len(b)-1]
}

func (b log) room(l Limits, cost int) instant {
	return max(l.minute().room(b, cost), l.hour().room(b, cost))
}

func (b log) free(l Limits, at instant) (minute, hour int) {
	left := func(w window) int { return max(0, w.limit-(len(b)-w.gone(b, at))) }
	return left(l.minute()), left(l.hour())
}

func (b log) next(at instant) (minute, hour instant) {
	first := func(w window) instant {
		if n := w.gone(b, at); n < len(b) {
			return w.leaves(b[n])
		}
		return 0
	}
	return first(Limits{}.minute()), first(Limits{}.hour())
}

// Only a booking may drop: its own time keeps others from counting earlier.
func (b log) book(at instant, cost int) tally {
	kept := b[Limits{}.hour().gone(b, at):]
	return append(append(make(log, 0, len(kept)+cost), kept...), slices.Repeat(log{at}, cost)...)
}

// forecast goes on with the log as it will be. Once an hour of it is its own
// doing, it repeats.
func (b log) forecast(l Limits, from instant, n int) instant {
	minute, hour := l.minute(), l.hour()
	rounds := max(0, (n-1)/hour.limit-1)
	n -= rounds * hour.limit
	times := append(make(log, 0, len(b)+n), b...)
	at := from
	for range n {
		at = max(at, minute.room(times, 1), hour.room(times, 1))
		times = append(times, at)
	}
	return at.add(time.Duration(rounds) * hour.width)
}

package quota

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
	"time"
)

// tally is what was booked, so far as it still counts.
type tally interface {
	// own is a copy that book may change.
	own() tally
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
	// forecast says when the nth token goes, if from a time on tokens go as soon
	// as they fit into l.
	forecast(l Limits, from instant) func(n int) instant
	// lots are bookings that count at least as long as those of the tally, ascending.
	lots() []lot
	// encode writes the properties that decodeTally reads.
	encode(values map[string]any) error
}

// lot is a number of tokens booked at a time.
type lot struct {
	at     instant
	tokens int
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

// log is one time for every token, ascending, in the form of the row: 8 bytes each,
// the highest first. So what is there is written again as it was read.
type log []byte

const entryBytes = 8

func (b log) len() int { return len(b) / entryBytes }

func (b log) at(i int) instant { return instant(binary.BigEndian.Uint64(b[i*entryBytes:])) }

func (b log) from(i int) log { return b[i*entryBytes:] }

// leaves is the first time at which a token booked at i no longer counts.
func (w window) leaves(i instant) instant { return i.wholeSecond().add(w.width) }

// gone is how many of b no longer count at a time.
func (w window) gone(b log, at instant) int {
	return sort.Search(b.len(), func(i int) bool { return w.leaves(b.at(i)) > at })
}

// room is the earliest time at which cost more tokens fit.
func (w window) room(b log, cost int) instant {
	last := b.len() + cost - max(w.limit, cost) - 1 // it and those before it must have left
	if last < 0 {
		return 0
	}
	return w.leaves(b.at(last))
}

func (b log) last() instant {
	if len(b) == 0 {
		return 0
	}
	return b.at(b.len() - 1)
}

func (b log) room(l Limits, cost int) instant {
	return max(l.minute().room(b, cost), l.hour().room(b, cost))
}

func (b log) free(l Limits, at instant) (minute, hour int) {
	left := func(w window) int { return max(0, w.limit-(b.len()-w.gone(b, at))) }
	return left(l.minute()), left(l.hour())
}

func (b log) next(at instant) (minute, hour instant) {
	first := func(w window) instant {
		if n := w.gone(b, at); n < b.len() {
			return w.leaves(b.at(n))
		}
		return 0
	}
	return first(Limits{}.minute()), first(Limits{}.hour())
}

func (b log) own() tally { return slices.Clip(b) }

// Only a booking may drop: its own time keeps others from counting earlier.
func (b log) book(at instant, cost int) tally {
	return b.from(Limits{}.hour().gone(b, at)).with(at, cost)
}

// spareEntries is for how many tokens a log that grows has room at once.
const spareEntries = 32

func (b log) with(at instant, tokens int) log {
	if need := tokens * entryBytes; cap(b)-len(b) < need {
		b = append(make(log, 0, len(b)+need+spareEntries*entryBytes), b...)
	}
	for range tokens {
		b = binary.BigEndian.AppendUint64(b, uint64(at))
	}
	return b
}

// forecast goes on with the log as it will be. Once an hour of it is its own
// doing, it repeats.
func (b log) forecast(l Limits, from instant) func(int) instant {
	minute, hour := l.minute(), l.hour()
	times := slices.Clone(b)
	return func(n int) instant {
		whole, long := l.rounds(n, hour.width, minute.width)
		for times.len() < b.len()+n-whole {
			at := max(from, times.last(), minute.room(times, 1), hour.room(times, 1))
			times = binary.BigEndian.AppendUint64(times, uint64(at))
		}
		return times.at(b.len() + n - whole - 1).add(long)
	}
}

// rounds is how many of n tokens go in whole rounds of the scarcer limit, after
// the first hour of them, and how long that takes.
func (l Limits) rounds(n int, hour, minute time.Duration) (whole int, long time.Duration) {
	limit, width := l.PerHour, hour
	if float64(l.PerMinute)/minute.Seconds() < float64(l.PerHour)/hour.Seconds() {
		limit, width = l.PerMinute, minute
	}
	rounds := max(0, n-1-l.PerHour) / max(1, limit)
	return rounds * limit, time.Duration(rounds) * width
}

func (b log) lots() (all []lot) {
	for i := range b.len() {
		if t := b.at(i); len(all) > 0 && all[len(all)-1].at == t {
			all[len(all)-1].tokens++
		} else {
			all = append(all, lot{t, 1})
		}
	}
	return all
}

func (b log) encode(values map[string]any) error {
	values["log"] = []byte(b)
	return nil
}

func decodeLog(text []byte) (log, error) {
	if len(text)%entryBytes != 0 || len(text) > entryBytes*LogEntries {
		return nil, fmt.Errorf("quota ledger is corrupt: its log has %d bytes", len(text))
	}
	b := log(text)
	last := instant(0)
	for i := range b.len() {
		t := b.at(i)
		if t <= 0 || t < last {
			return nil, fmt.Errorf("quota ledger is corrupt: the times %d and %d follow each other", last, t)
		}
		last = t
	}
	return b, nil
}

package quota

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/store"
)

// The row. Shards of a limit would be further rows of the partition.
const (
	partition = "quota"
	// format is raised when the meaning of a row changes, so that an older
	// instance refuses it instead of misreading it.
	format = 1
	// keptAttempts is how many bookings a lost answer may lie back.
	keptAttempts = 32
)

// ledger is the content of the row.
type ledger struct {
	times        []instant // one for every token, ascending
	attempts     []string  // ids of the last bookings, newest last
	backoffUntil instant   // a whole second; nothing is granted before it
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

// room is the earliest time at which cost more tokens fit. cost is at most the
// window's limit.
func (w window) room(times []instant, cost int) instant {
	last := len(times) + cost - w.limit - 1 // it and those before it must have left
	if last < 0 {
		return 0
	}
	return w.leaves(times[last])
}

// room is the earliest time at which cost more tokens fit.
func (b ledger) room(l Limits, cost int) instant {
	return max(b.backoffUntil, l.minute().room(b.times, cost), l.hour().room(b.times, cost))
}

// last is the time of the newest booking.
func (b ledger) last() instant {
	if len(b.times) == 0 {
		return 0
	}
	return b.times[len(b.times)-1]
}

// book adds cost tokens at the time at. It may write behind the end of times.
func (b ledger) book(at instant, cost int) ledger {
	for range cost {
		b.times = append(b.times, at)
	}
	return b
}

// sign adds the id of a booking at the time at and drops what no longer counts.
// Only a booking may drop: its own time keeps others from counting earlier.
func (b ledger) sign(l Limits, at instant, id string) ledger {
	b.times = b.times[l.hour().gone(b.times, at):]
	b.attempts = append(slices.Clone(b.attempts[max(0, len(b.attempts)-keptAttempts+1):]), id)
	return b
}

func (b ledger) encode() map[string]any {
	log := make([]byte, 0, 8*len(b.times))
	for _, t := range b.times {
		log = binary.BigEndian.AppendUint64(log, uint64(t))
	}
	return map[string]any{
		"format":       int64(format),
		"log":          log,
		"attempts":     strings.Join(b.attempts, " "),
		"backoffUntil": int64(b.backoffUntil),
	}
}

// decode refuses whatever encode cannot have written: a misread log would let
// too many calls through.
func decode(e store.Entity) (ledger, error) {
	version, ok1 := e.Values["format"].(int64)
	log, ok2 := e.Values["log"].([]byte)
	attempts, ok3 := e.Values["attempts"].(string)
	backoff, ok4 := e.Values["backoffUntil"].(int64)
	switch {
	case !ok1 || !ok2 || !ok3 || !ok4:
		return ledger{}, errors.New("quota ledger is corrupt: a property is missing or of another type")
	case version != format:
		return ledger{}, fmt.Errorf("quota ledger has format %d, not %d", version, format)
	case len(log)%8 != 0 || len(log) > 8*LogEntries:
		return ledger{}, fmt.Errorf("quota ledger is corrupt: its log has %d bytes", len(log))
	case backoff < 0:
		return ledger{}, fmt.Errorf("quota ledger is corrupt: backoffUntil is %d", backoff)
	}
	b := ledger{attempts: strings.Fields(attempts), backoffUntil: instant(backoff)}
	for ; len(log) > 0; log = log[8:] {
		t := instant(binary.BigEndian.Uint64(log))
		if t <= 0 || t < b.last() {
			return ledger{}, fmt.Errorf("quota ledger is corrupt: the times %d and %d follow each other", b.last(), t)
		}
		b.times = append(b.times, t)
	}
	return b, nil
}

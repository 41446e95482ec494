package quota

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"
)

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

// booking is a number of tokens that were booked in the second that ends at a time.
type booking struct {
	at     instant
	tokens int
}

// leaves is the first time at which b no longer counts.
func (w window) leaves(b booking) instant { return b.at.add(w.width) }

// usage is what was booked, so far as it still counts.
type usage struct {
	newest instant   // the time of the last booking, 0 without one
	list   []booking // one a second, ascending
}

// clone is a copy that book may change.
func (u usage) clone() usage { return usage{u.newest, slices.Clone(u.list)} }

// counting is how many of the latest bookings count in w at a time, and their tokens.
func (u usage) counting(w window, at instant) (bookings, tokens int) {
	for i := len(u.list) - 1; i >= 0 && w.leaves(u.list[i]) > at; i-- {
		bookings, tokens = bookings+1, tokens+u.list[i].tokens
	}
	return bookings, tokens
}

// fits is the earliest time at which cost more tokens fit into w, 0 if that was before
// the last booking. More than a whole limit fits once nothing else counts.
func (u usage) fits(w window, cost int) instant {
	left := max(w.limit, cost) - cost
	for i := len(u.list) - 1; i >= 0 && w.leaves(u.list[i]) > u.newest; i-- {
		if left -= u.list[i].tokens; left < 0 {
			return w.leaves(u.list[i])
		}
	}
	return 0
}

// room is the earliest time at which cost more tokens fit into l.
func (u usage) room(l Limits, cost int) (at instant) {
	for _, w := range l.windows() {
		at = max(at, u.fits(w, cost))
	}
	return at
}

// free is how many tokens fit into l at a time, by the minute and by the hour.
func (u usage) free(l Limits, at instant) (minute, hour int) {
	left := func(w window) int {
		_, tokens := u.counting(w, at)
		return max(0, w.limit-tokens)
	}
	w := l.windows()
	return left(w[0]), left(w[1])
}

// next is the first time after at when a booking leaves the minute, or the hour; 0 if
// none does.
func (u usage) next(at instant) (minute, hour instant) {
	first := func(w window) instant {
		n, _ := u.counting(w, at)
		if n == 0 {
			return 0
		}
		return w.leaves(u.list[len(u.list)-n])
	}
	w := Limits{}.windows()
	return first(w[0]), first(w[1])
}

// book adds cost tokens at a time that is not before the newest booking, and drops what no
// longer counts then. Nothing else may drop: a booking's own time keeps others from
// counting earlier.
func (u *usage) book(at instant, cost int) {
	n, _ := u.counting(Limits{}.windows()[1], at)
	u.list, u.newest = u.list[len(u.list)-n:], at
	if n > 0 && u.list[n-1].at == at.wholeSecond() {
		u.list[n-1].tokens += cost
		return
	}
	u.list = append(u.list, booking{at.wholeSecond(), cost})
}

// together is what several rows have booked.
func together(rows []usage) (u usage) {
	for _, r := range rows {
		u.newest, u.list = max(u.newest, r.newest), append(u.list, r.list...)
	}
	slices.SortFunc(u.list, func(a, b booking) int { return cmp.Compare(a.at, b.at) })
	n := 0
	for i, b := range u.list {
		if i > 0 && u.list[n-1].at == b.at {
			u.list[n-1].tokens += b.tokens
			continue
		}
		u.list[n], n = b, n+1
	}
	u.list = u.list[:n]
	return u
}

// part deals out the tokens of u, one after the other, to as many rows, and is what one of
// them gets. Nothing is dropped: only book may.
func (u usage) part(row, rows int) usage {
	p, before := usage{newest: u.newest}, 0
	upTo := func(n int) int { return (n + rows - 1 - row) / rows }
	for _, b := range u.list {
		if n := upTo(before+b.tokens) - upTo(before); n > 0 {
			p.list = append(p.list, booking{b.at, n})
		}
		before += b.tokens
	}
	return p
}

// forecast says when the nth token goes, if from a time on tokens go as soon as they fit
// into l. Once an hour of it is its own doing, it repeats.
func (u usage) forecast(l Limits, from instant) func(n int) instant {
	type counted struct {
		window
		first, tokens int // of the bookings that count: the first, and the tokens of all
	}
	var windows []counted
	for _, w := range l.windows() {
		_, all := u.counting(w, 0)
		windows = append(windows, counted{w, 0, all})
	}
	at, all := max(from, u.newest), slices.Clone(u.list)
	total, gone := 0, []booking(nil) // tokens gone by a time, in all
	return func(n int) instant {
		whole, long := l.rounds(n)
		for total < n-whole {
			free, next := math.MaxInt, instant(0)
			for i := range windows {
				w := &windows[i]
				for ; w.first < len(all) && w.leaves(all[w.first]) <= at; w.first++ {
					w.tokens -= all[w.first].tokens
				}
				left := w.limit - w.tokens
				if left < 1 && w.first < len(all) {
					next = max(next, w.leaves(all[w.first]))
				}
				free = min(free, left)
			}
			if next > 0 {
				at = next
				continue
			}
			free = max(free, 1)
			total += free
			all, gone = append(all, booking{at.wholeSecond(), free}), append(gone, booking{at, total})
			for i := range windows {
				windows[i].tokens += free
			}
		}
		i, _ := slices.BinarySearchFunc(gone, n-whole, func(b booking, n int) int { return b.tokens - n })
		return gone[i].at.add(long)
	}
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

// encode is the time of the newest booking in ms, then of each booking the seconds since
// the one before and its tokens, all of them as varints.
func (u usage) encode() []byte {
	text := binary.AppendUvarint(make([]byte, 0, 16+4*len(u.list)), uint64(u.newest))
	before := instant(0)
	for _, b := range u.list {
		text = binary.AppendUvarint(binary.AppendUvarint(text, uint64(b.at-before)/1000), uint64(b.tokens))
		before = b.at
	}
	return text
}

// decodeUsage refuses what encode cannot have written: a misread booking would let too many
// calls through.
func decodeUsage(text []byte) (u usage, err error) {
	number := func() (v uint64) {
		v, n := binary.Uvarint(text)
		if n <= 0 || v > math.MaxInt64/1000 {
			err, text = errors.New("quota ledger is corrupt: its usage is cut off"), nil
			return 0
		}
		text = text[n:]
		return v
	}
	u.newest, u.list = instant(number()), make([]booking, 0, len(text)/2)
	for at := instant(0); len(text) > 0; {
		after, tokens := instant(number())*1000, number()
		if at += after; err == nil && (after == 0 || at > u.newest.wholeSecond()) {
			err = errors.New("quota ledger is corrupt: the times of its usage do not ascend to the newest")
		}
		u.list = append(u.list, booking{at, int(tokens)})
		if err != nil {
			return usage{}, err
		}
	}
	return u, err
}

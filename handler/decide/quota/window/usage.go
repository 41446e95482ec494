package window

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"slices"
)

// Booking is a number of tokens that were booked at about one time: see window.
type Booking struct {
	At     Instant
	Tokens int
}

// Usage is what was booked, so far as it still counts: the one form of it.
type Usage struct {
	Newest   Instant   // the time of the last booking, 0 without one
	Bookings []Booking // ascending
}

// clone is a copy that book may change.
func (u Usage) clone() Usage { return Usage{u.Newest, slices.Clone(u.Bookings)} }

// counting is how many of the latest bookings count in w at a time, and their tokens.
func (u Usage) counting(w window, at Instant) (bookings, tokens int) {
	for i := len(u.Bookings) - 1; i >= 0 && w.leaves(u.Bookings[i]) > at; i-- {
		bookings, tokens = bookings+1, tokens+u.Bookings[i].Tokens
	}
	return bookings, tokens
}

// fitsIn is the earliest time at which cost more tokens fit into w, 0 if that was before
// the last booking. More than a whole limit fits once nothing else counts.
func (u Usage) fitsIn(w window, cost int) Instant {
	left := max(w.limit, cost) - cost
	for i := len(u.Bookings) - 1; i >= 0 && w.leaves(u.Bookings[i]) > u.Newest; i-- {
		if left -= u.Bookings[i].Tokens; left < 0 {
			return w.leaves(u.Bookings[i])
		}
	}
	return 0
}

// fits is the earliest time at which cost more tokens fit into l.
func (u Usage) fits(l Limits, cost int) Instant {
	return max(u.fitsIn(minute(l.PerMinute), cost), u.fitsIn(hour(l.PerHour), cost))
}

// free is how many tokens fit into w at a time.
func (u Usage) free(w window, at Instant) int {
	_, tokens := u.counting(w, at)
	return max(0, w.limit-tokens)
}

// nextLeaving is the first time after at when a booking leaves w; 0 if none does.
func (u Usage) nextLeaving(w window, at Instant) Instant {
	n, _ := u.counting(w, at)
	if n == 0 {
		return 0
	}
	return w.leaves(u.Bookings[len(u.Bookings)-n])
}

// add books cost tokens at a time that is not before the newest booking, and drops what no
// longer counts in w then. Nothing else may drop: a booking's own time keeps others from
// counting earlier.
func (u *Usage) add(w window, at Instant, cost int) {
	n, _ := u.counting(w, at)
	u.Bookings, u.Newest = u.Bookings[len(u.Bookings)-n:], at
	if slot := w.slot(at); n > 0 && u.Bookings[n-1].At == slot {
		u.Bookings[n-1].Tokens += cost
	} else {
		u.Bookings = append(u.Bookings, Booking{slot, cost})
	}
}

// mergeUsages is what several rows have booked.
func mergeUsages(rows ...Usage) (u Usage) {
	for _, r := range rows {
		u.Newest, u.Bookings = max(u.Newest, r.Newest), append(u.Bookings, r.Bookings...)
	}
	slices.SortFunc(u.Bookings, func(a, b Booking) int { return cmp.Compare(a.At, b.At) })
	n := 0
	for i, b := range u.Bookings {
		if i > 0 && u.Bookings[n-1].At == b.At {
			u.Bookings[n-1].Tokens += b.Tokens
			continue
		}
		u.Bookings[n], n = b, n+1
	}
	u.Bookings = u.Bookings[:n]
	return u
}

// part deals out the tokens of u, one after the other, to as many rows, and is what one of
// them gets. Nothing is dropped: only book may.
func (u Usage) part(row, rows int) Usage {
	p, before := Usage{Newest: u.Newest}, 0
	upTo := func(n int) int { return (n + rows - 1 - row) / rows }
	for _, b := range u.Bookings {
		if n := upTo(before+b.Tokens) - upTo(before); n > 0 {
			p.Bookings = append(p.Bookings, Booking{b.At, n})
		}
		before += b.Tokens
	}
	return p
}

// forecast says when the nth token goes, if from a time on tokens go as soon as they fit
// into all windows. Once the last of these is full of them, it repeats.
func (u Usage) forecast(from Instant, windows ...window) func(n int) Instant {
	at, all := max(from, u.Newest), slices.Clone(u.Bookings)
	first, counted := make([]int, len(windows)), make([]int, len(windows)) // of the bookings that count, and their tokens
	for i := range windows {
		_, counted[i] = u.counting(windows[i], 0)
	}
	total, gone := 0, []Booking(nil) // tokens gone by a time, in all
	return func(n int) Instant {
		whole, long := rounds(n, windows)
		for total < n-whole {
			free, next := math.MaxInt, Instant(0)
			for i, w := range windows {
				for ; first[i] < len(all) && w.leaves(all[first[i]]) <= at; first[i]++ {
					counted[i] -= all[first[i]].Tokens
				}
				left := w.limit - counted[i]
				if left < 1 && first[i] < len(all) {
					next = max(next, w.leaves(all[first[i]]))
				}
				free = min(free, left)
			}
			if next > 0 {
				at = next
				continue
			}
			free = max(free, 1)
			total += free
			all, gone = append(all, Booking{windows[0].slot(at), free}), append(gone, Booking{at, total})
			for i := range windows {
				counted[i] += free
			}
		}
		i, _ := slices.BinarySearchFunc(gone, n-whole, func(b Booking, n int) int { return b.Tokens - n })
		return gone[i].At.Add(long)
	}
}

// check refuses what add cannot have left.
func (u Usage) check() error {
	before := Instant(0)
	for _, b := range u.Bookings {
		if b.At <= before || b.At > u.Newest.WholeSecond() {
			return errors.New("the times of its usage do not ascend to the newest")
		}
		before = b.At
	}
	return nil
}

// MarshalText is the time of the newest booking in ms, then of each booking the seconds
// since the one before and its tokens: varints in Base64.
func (u Usage) MarshalText() ([]byte, error) {
	text := binary.AppendUvarint(make([]byte, 0, 16+4*len(u.Bookings)), uint64(u.Newest))
	before := Instant(0)
	for _, b := range u.Bookings {
		text = binary.AppendUvarint(binary.AppendUvarint(text, uint64(b.At-before)/1000), uint64(b.Tokens))
		before = b.At
	}
	return base64.RawStdEncoding.AppendEncode(nil, text), nil
}

// UnmarshalText reads what MarshalText writes.
func (u *Usage) UnmarshalText(text []byte) error {
	text, err := base64.RawStdEncoding.AppendDecode(nil, text)
	number := func() (v uint64) {
		v, n := binary.Uvarint(text)
		if n <= 0 || v > math.MaxInt64/1000 {
			err, text = cmp.Or(err, errors.New("its usage is cut off")), nil
			return 0
		}
		text = text[n:]
		return v
	}
	u.Newest, u.Bookings = Instant(number()), make([]Booking, 0, len(text)/2)
	for at := Instant(0); len(text) > 0; {
		at += Instant(number()) * 1000
		u.Bookings = append(u.Bookings, Booking{at, int(number())})
	}
	return err
}

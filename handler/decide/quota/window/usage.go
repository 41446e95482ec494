package window

import (
	"cmp"
	"math"
	"slices"
)

// booking is a number of tokens that were booked in the second that ends at a time.
type Booking struct {
	At     Instant
	Tokens int
}

// leaves is the first time at which b no longer counts.
func (w window) leaves(b Booking) Instant { return b.At.Add(w.width) }

// usage is what was booked, so far as it still counts.
type Usage struct {
	Newest   Instant   // the time of the last booking, 0 without one
	Bookings []Booking // one a second, ascending
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

// fits is the earliest time at which cost more tokens fit into w, 0 if that was before
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

// room is the earliest time at which cost more tokens fit into l.
func (u Usage) fits(l Limits, cost int) (at Instant) {
	for _, w := range l.windows() {
		at = max(at, u.fitsIn(w, cost))
	}
	return at
}

// free is how many tokens fit into l at a time, by the minute and by the hour.
func (u Usage) free(l Limits, at Instant) (minute, hour int) {
	left := func(w window) int {
		_, tokens := u.counting(w, at)
		return max(0, w.limit-tokens)
	}
	w := l.windows()
	return left(w[0]), left(w[1])
}

// next is the first time after at when a booking leaves the minute, or the hour; 0 if
// none does.
func (u Usage) nextLeaving(at Instant) (minute, hour Instant) {
	first := func(w window) Instant {
		n, _ := u.counting(w, at)
		if n == 0 {
			return 0
		}
		return w.leaves(u.Bookings[len(u.Bookings)-n])
	}
	w := Limits{}.windows()
	return first(w[0]), first(w[1])
}

// book adds cost tokens at a time that is not before the newest booking, and drops what no
// longer counts then. Nothing else may drop: a booking's own time keeps others from
// counting earlier.
func (u *Usage) add(at Instant, cost int) {
	n, _ := u.counting(Limits{}.windows()[1], at)
	u.Bookings, u.Newest = u.Bookings[len(u.Bookings)-n:], at
	if n > 0 && u.Bookings[n-1].At == at.WholeSecond() {
		u.Bookings[n-1].Tokens += cost
		return
	}
	u.Bookings = append(u.Bookings, Booking{at.WholeSecond(), cost})
}

// together is what several rows have booked.
func mergeUsages(rows []Usage) (u Usage) {
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
// into l. Once an hour of it is its own doing, it repeats.
func (u Usage) forecast(l Limits, from Instant) func(n int) Instant {
	type counted struct {
		window
		first, tokens int // of the bookings that count: the first, and the tokens of all
	}
	var windows []counted
	for _, w := range l.windows() {
		_, all := u.counting(w, 0)
		windows = append(windows, counted{w, 0, all})
	}
	at, all := max(from, u.Newest), slices.Clone(u.Bookings)
	total, gone := 0, []Booking(nil) // tokens gone by a time, in all
	return func(n int) Instant {
		whole, long := l.rounds(n)
		for total < n-whole {
			free, next := math.MaxInt, Instant(0)
			for i := range windows {
				w := &windows[i]
				for ; w.first < len(all) && w.leaves(all[w.first]) <= at; w.first++ {
					w.tokens -= all[w.first].Tokens
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
			all, gone = append(all, Booking{at.WholeSecond(), free}), append(gone, Booking{at, total})
			for i := range windows {
				windows[i].tokens += free
			}
		}
		i, _ := slices.BinarySearchFunc(gone, n-whole, func(b Booking, n int) int { return b.Tokens - n })
		return gone[i].At.Add(long)
	}
}

package window

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"slices"
)

// Reservation is a number of tokens that were reserved at about one time: see window.
type Reservation struct {
	At     Instant
	Tokens int
}

// Usage is what was reserved, so far as it still counts: the one form of it.
type Usage struct {
	Newest       Instant       // the time of the last reservation, 0 without one
	Reservations []Reservation // ascending
}

// clone is a copy that add may change.
func (u Usage) clone() Usage { return Usage{u.Newest, slices.Clone(u.Reservations)} }

// counting is how many of the latest reservations count in w at a time, and their tokens.
func (u Usage) counting(w window, at Instant) (n, tokens int) {
	for i := len(u.Reservations) - 1; i >= 0 && w.leaves(u.Reservations[i]) > at; i-- {
		n, tokens = n+1, tokens+u.Reservations[i].Tokens
	}
	return n, tokens
}

// fitsIn is the earliest time at which cost more tokens fit into w, 0 if that was before
// the last reservation. More than a whole limit fits once nothing else counts.
func (u Usage) fitsIn(w window, cost int) Instant {
	left := max(w.limit, cost) - cost
	for i := len(u.Reservations) - 1; i >= 0 && w.leaves(u.Reservations[i]) > u.Newest; i-- {
		if left -= u.Reservations[i].Tokens; left < 0 {
			return w.leaves(u.Reservations[i])
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

// nextLeaving is the first time after at when a reservation leaves w; 0 if none does.
func (u Usage) nextLeaving(w window, at Instant) Instant {
	n, _ := u.counting(w, at)
	if n == 0 {
		return 0
	}
	return w.leaves(u.Reservations[len(u.Reservations)-n])
}

// add reserves cost tokens at a time that is not before the newest reservation, and drops what no
// longer counts in w then. Nothing else may drop: a reservation's own time keeps others from
// counting earlier.
func (u *Usage) add(w window, at Instant, cost int) {
	n, _ := u.counting(w, at)
	u.Reservations, u.Newest = u.Reservations[len(u.Reservations)-n:], at
	if slot := w.slot(at); n > 0 && u.Reservations[n-1].At == slot {
		u.Reservations[n-1].Tokens += cost
	} else {
		u.Reservations = append(u.Reservations, Reservation{slot, cost})
	}
}

// mergeUsages is what several rows have reserved.
func mergeUsages(rows ...Usage) (u Usage) {
	for _, r := range rows {
		u.Newest, u.Reservations = max(u.Newest, r.Newest), append(u.Reservations, r.Reservations...)
	}
	slices.SortFunc(u.Reservations, func(a, b Reservation) int { return cmp.Compare(a.At, b.At) })
	n := 0
	for i, b := range u.Reservations {
		if i > 0 && u.Reservations[n-1].At == b.At {
			u.Reservations[n-1].Tokens += b.Tokens
			continue
		}
		u.Reservations[n], n = b, n+1
	}
	u.Reservations = u.Reservations[:n]
	return u
}

// part deals out the tokens of u, one after the other, to as many rows, and is what one of
// them gets. Nothing is dropped: only add drops.
func (u Usage) part(row, rows int) Usage {
	p, before := Usage{Newest: u.Newest}, 0
	upTo := func(n int) int { return (n + rows - 1 - row) / rows }
	for _, b := range u.Reservations {
		if n := upTo(before+b.Tokens) - upTo(before); n > 0 {
			p.Reservations = append(p.Reservations, Reservation{b.At, n})
		}
		before += b.Tokens
	}
	return p
}

// forecast says when the nth token goes, if from a time on tokens go as soon as they fit
// into all windows. Once the last of these is full of them, it repeats.
func (u Usage) forecast(from Instant, windows ...window) func(n int) Instant {
	at, all := max(from, u.Newest), slices.Clone(u.Reservations)
	first, counted := make([]int, len(windows)), make([]int, len(windows)) // of the reservations that count, and their tokens
	for i := range windows {
		_, counted[i] = u.counting(windows[i], 0)
	}
	total, gone := 0, []Reservation(nil) // tokens gone by a time, in all
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
			all, gone = append(all, Reservation{windows[0].slot(at), free}), append(gone, Reservation{at, total})
			for i := range windows {
				counted[i] += free
			}
		}
		i, _ := slices.BinarySearchFunc(gone, n-whole, func(b Reservation, n int) int { return b.Tokens - n })
		return gone[i].At.Add(long)
	}
}

// check refuses what add cannot have left.
func (u Usage) check() error {
	before := Instant(0)
	for _, b := range u.Reservations {
		if b.At <= before || b.At > u.Newest.WholeSecond() {
			return errors.New("the times of its usage do not ascend to the newest")
		}
		before = b.At
	}
	return nil
}

// MarshalText is the time of the newest reservation in ms, then of each reservation the seconds
// since the one before and its tokens: varints in Base64.
func (u Usage) MarshalText() ([]byte, error) {
	text := binary.AppendUvarint(make([]byte, 0, 16+4*len(u.Reservations)), uint64(u.Newest))
	before := Instant(0)
	for _, b := range u.Reservations {
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
	u.Newest, u.Reservations = Instant(number()), make([]Reservation, 0, len(text)/2)
	for at := Instant(0); len(text) > 0; {
		at += Instant(number()) * 1000
		u.Reservations = append(u.Reservations, Reservation{at, int(number())})
	}
	return err
}

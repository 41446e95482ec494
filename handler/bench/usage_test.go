package bench

import (
	"slices"
	"syscall"
	"time"
)

// usage is what something took: time on the clock, and time of the processors,
// which other programs on the machine disturb less.
type usage struct {
	elapsed, processor time.Duration
	each               []time.Duration // of the single requests
}

func (u *usage) add(v usage) {
	u.elapsed += v.elapsed
	u.processor += v.processor
	u.each = append(u.each, v.each...)
}

// p99 is the time within which 99 of 100 requests were answered.
func (u *usage) p99() time.Duration { return u.within(99) }

// median is the time within which half of the requests were answered. The few that
// the machine let wait do not count.
func (u *usage) median() time.Duration { return u.within(50) }

func (u *usage) within(percent int) time.Duration {
	slices.Sort(u.each)
	return u.each[len(u.each)*percent/100]
}

// moment is a point in the life of this process.
type moment struct {
	at        time.Time
	processor time.Duration
}

func spent() moment {
	m := moment{at: time.Now()}
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err == nil {
		m.processor = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	return m
}

func (m moment) since(begun moment) usage {
	return usage{elapsed: m.at.Sub(begun.at), processor: m.processor - begun.processor}
}

package bench

import (
	"syscall"
	"time"
)

// usage is what something took: time on the clock, and time of the processors,
// which other programs on the machine disturb less.
type usage struct{ elapsed, processor time.Duration }

func (u *usage) add(v usage) {
	u.elapsed += v.elapsed
	u.processor += v.processor
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
	return usage{m.at.Sub(begun.at), m.processor - begun.processor}
}

package quota

import "time"

// readingLife is how long a reading is used: a local clock that runs wrong by
// 1 in 1,000 is then 30 ms off.
const readingLife = 30 * time.Second

// slowestAnswer is the longest exchange that still tells the time: a token
// booked on it has 2 s to live.
const slowestAnswer = 2 * time.Second

// instant is a time of storage's clock in Unix milliseconds.
type instant int64

func instantOf(t time.Time) instant { return instant(t.UnixMilli()) }

func (i instant) add(d time.Duration) instant { return i + instant(d.Milliseconds()) }

func (i instant) sub(j instant) time.Duration { return time.Duration(i-j) * time.Millisecond }

// wholeSecond rounds up, to what Date can show.
func (i instant) wholeSecond() instant { return (i + 999) / 1000 * 1000 }

// reading is an answer of storage, taken as a look at its clock.
type reading struct {
	date  instant   // the answer's Date, cut to the second
	sent  time.Time // local, before the request
	heard time.Time // local, after the answer
}

// earliest is a time that storage's clock has reached, seen from local.
func (r reading) earliest(local time.Time) instant { return r.date.add(local.Sub(r.heard)) }

// latest is a time that storage's clock has not yet passed, seen from local.
func (r reading) latest(local time.Time) instant {
	const roundUp = time.Millisecond - 1
	return r.date.add(time.Second + local.Sub(r.sent) + roundUp)
}

// until is the local time up to which storage's clock cannot be past i.
func (r reading) until(i instant) time.Time {
	return r.sent.Add(i.sub(r.date) - time.Second)
}

// slow says that the exchange took too long to tell the time.
func (r reading) slow() bool { return r.heard.Sub(r.sent) > slowestAnswer }

// stale says that r is too old, seen from local, or told too little.
func (r reading) stale(local time.Time) bool {
	return r.slow() || local.Sub(r.heard) > readingLife
}

// time is i for those outside; the zero time is i 0.
func (i instant) time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(i)).UTC()
}

package window

import "time"

// ReadingLife is how long a reading is used: a local clock that runs wrong by
// 1 in 1,000 is then 30 ms off.
const ReadingLife = 30 * time.Second

// slowestAnswer is the longest exchange that still tells the time: a token
// reserved on it has 2 s to live.
const slowestAnswer = 2 * time.Second

// Instant is a time of storage's clock in Unix milliseconds.
type Instant int64

// InstantOf is never 0, but for the zero time.
func InstantOf(t time.Time) Instant {
	if t.IsZero() {
		return 0
	}
	return max(1, Instant(t.UnixMilli()))
}

// Add is i and a time more.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d.Milliseconds()) }

// Sub is the time from j to i.
func (i Instant) Sub(j Instant) time.Duration { return time.Duration(i-j) * time.Millisecond }

// WholeSecond rounds up, to what Date can show.
func (i Instant) WholeSecond() Instant { return (i + 999) / 1000 * 1000 }

// Reading is an answer of storage, taken as a look at its clock.
type Reading struct {
	Date  Instant   // the answer's Date, cut to the second
	Sent  time.Time // local, before the request
	Heard time.Time // local, after the answer
}

// Earliest is a time that storage's clock has reached, seen from local.
func (r Reading) Earliest(local time.Time) Instant { return r.Date.Add(local.Sub(r.Heard)) }

// Latest is a time that storage's clock has not yet passed, seen from local.
func (r Reading) Latest(local time.Time) Instant {
	const roundUp = time.Millisecond - 1
	return r.Date.Add(time.Second + local.Sub(r.Sent) + roundUp)
}

// Until is the local time up to which storage's clock cannot be past i.
func (r Reading) Until(i Instant) time.Time {
	return r.Sent.Add(i.Sub(r.Date) - time.Second)
}

// Slow says that the exchange took too long to tell the time.
func (r Reading) Slow() bool { return r.Heard.Sub(r.Sent) > slowestAnswer }

// Stale says that r is too old, seen from local, or told too little.
func (r Reading) Stale(local time.Time) bool {
	return r.Slow() || local.Sub(r.Heard) > ReadingLife
}

// Time is i for those outside; the zero time is i 0.
func (i Instant) Time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(i)).UTC()
}

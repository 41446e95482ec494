// Package clock is the clock of the storage service, as well as one process knows it.
//
// In: the Date of each answer of storage, and when it was asked for. Out: the time now, and
// the last answer that told it. All of a process share one Clock, so that no request is made
// only to learn the time. The package asks storage for nothing.
//
// A Date is cut to the second, and the answer was on its way: both are the error of the time.
package clock

import (
	"sync"
	"time"
)

// Resolution covers the whole seconds of a Date, and the way of an answer. An answer that took
// longer tells no time, unless there is no better one.
const Resolution = 2 * time.Second

// Reading is an answer of storage, taken as a look at its clock.
type Reading struct {
	Date        time.Time // storage's, cut to the second
	Sent, Heard time.Time // local, before the request and after the answer
}

// Clock is safe for concurrent use.
type Clock struct {
	local func() time.Time

	mu   sync.Mutex
	last Reading // zero before the first that was not slow
	// server is the time at a local time, carried on by what passes here.
	server, at time.Time
}

// New makes a Clock that knows no time yet. local is a local clock, of which only differences
// are used.
func New(local func() time.Time) *Clock { return &Clock{local: local} }

// Local is the local clock.
func (c *Clock) Local() time.Time { return c.local() }

// Observe learns from the Date of an answer, zero without one, to what was asked at a local time.
func (c *Clock) Observe(date, asked time.Time) {
	if date.IsZero() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.local()
	slow := now.Sub(asked) > Resolution
	if !slow {
		c.last = Reading{date, asked, now}
	}
	if slow && !c.server.IsZero() {
		return
	}
	// A Date that was cut to the second is behind the estimate most of the time;
	// to follow it would let the clock run backwards.
	if behind := c.server.Add(now.Sub(c.at)).Sub(date); c.server.IsZero() || behind < 0 || behind > Resolution {
		c.server, c.at = date, now
	}
}

// Now is the time; false as long as storage has not answered once.
func (c *Clock) Now() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server.IsZero() {
		return time.Time{}, false
	}
	// A table keeps 100 ns: what is read back shall tell the times it was made with.
	return c.server.Add(c.local().Sub(c.at)).UTC().Truncate(100 * time.Nanosecond), true
}

// Last is the last answer that told the time; zero without one.
func (c *Clock) Last() Reading {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

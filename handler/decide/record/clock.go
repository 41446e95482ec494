package record

import (
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/store"
)

// serverClock is the table service's clock, carried on between its answers by
// the time that passes here. A second and the way of an answer is its error.
type serverClock struct {
	local func() time.Time

	mu     sync.Mutex
	server time.Time
	at     time.Time
}

// observe learns from an answer to what was asked at a local time. One that took long may
// be of long ago: it is believed only if nothing better is known.
func (c *serverClock) observe(r store.Receipt, asked time.Time) {
	if r.Time.IsZero() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.local()
	if now.Sub(asked) > resolution && !c.server.IsZero() {
		return
	}
	// A time that was cut to the second is behind the estimate most of the time;
	// to follow it would let the clock run backwards.
	if behind := c.server.Add(now.Sub(c.at)).Sub(r.Time); c.server.IsZero() || behind < 0 || behind > resolution {
		c.server, c.at = r.Time, now
	}
}

// resolution covers the whole seconds of HTTP's Date, and the way of an answer.
const resolution = 2 * time.Second

// now returns false as long as the service has not answered once.
func (c *serverClock) now() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server.IsZero() {
		return time.Time{}, false
	}
	// A table keeps 100 ns: a record read back shall tell the times it was made with.
	return c.server.Add(c.local().Sub(c.at)).UTC().Truncate(100 * time.Nanosecond), true
}

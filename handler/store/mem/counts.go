package mem

import (
	"maps"
	"slices"
	"sync"
)

// Counts says how many calls there were, whatever became of them. One may count
// for many tables, containers and queues. The zero value has seen none; it is safe
// for concurrent use.
//
// A listing counts as one. In Azure it is one for each page of 1,000 rows or 5,000
// blobs, and ListBefore one more if it begins in the middle of a partition.
type Counts struct {
	mu    sync.Mutex
	calls map[Op]int
}

// Plan counts what it is asked about and does as next says, which may be nil.
func (c *Counts) Plan(next Plan) Plan {
	return func(op Op, key string) Fault {
		c.mu.Lock()
		if c.calls == nil {
			c.calls = map[Op]int{}
		}
		c.calls[op]++
		c.mu.Unlock()
		if next == nil {
			return Fault{}
		}
		return next(op, key)
	}
}

// Take returns the counts since the last Take, or since the beginning.
func (c *Counts) Take() map[Op]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.calls
	c.calls = nil
	return taken
}

// Total is how many calls there were since the last Take; of ops only, if any are
// named.
func (c *Counts) Total(ops ...Op) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(ops) == 0 {
		ops = slices.Collect(maps.Keys(c.calls))
	}
	for _, op := range ops {
		n += c.calls[op]
	}
	return n
}

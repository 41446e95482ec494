package keyring

import (
	"context"
	"sync"
	"time"
)

const (
	// CacheLife is how long a list is believed. A message that leaves at the end of that
	// time has reached its recipient within 30 s: its token lives 5 s, and its call to ACS is
	// short.
	CacheLife = 20 * time.Second
	// renewAge is from what age on a list that is asked for is read anew beside those who use it.
	renewAge = CacheLife * 2 / 3
	// Grace is how long the last list lets callers in while it cannot be read.
	Grace = 5 * time.Minute
	// between is the least time from one read to the next.
	between = time.Second
	// readTime bounds one read.
	readTime = 5 * time.Second
)

// cache keeps one list by name, as fresh as its reader needs it. Many readers at once share
// one read of storage, and no reader waits longer than its context lasts. Storage is read
// once a second at most: within a second of a read that failed, readers get its error. The
// cache is safe for concurrent use. The maps that it returns are not to be changed.
type cache[T any] struct {
	now  func() time.Time
	read func(context.Context) (map[string]T, error)

	mu      sync.Mutex
	list    map[string]T
	asked   time.Time // when the reading of list began
	of      Moment    // the number of that reading
	reads   Moment    // readings that have begun
	began   time.Time // when the last reading did
	failure error     // of the last reading that has ended
	ended   time.Time // when it did
	reading *reading  // under way; nil without one
}

// reading is one read of the list, for all who wait for it.
type reading struct {
	done chan struct{} // closed at its end
	err  error         // then
}

// newCache makes a cache of what read reads. now is a local clock.
func newCache[T any](now func() time.Time, read func(context.Context) (map[string]T, error)) *cache[T] {
	return &cache[T]{now: now, read: read}
}

// fresh is the list, no older than CacheLife. An error comes from the read or from ctx.
func (c *cache[T]) fresh(ctx context.Context) (map[string]T, error) {
	c.renew(ctx)
	return c.wait(ctx, func() bool { return c.now().Sub(c.asked) < CacheLife })
}

// renew begins to read a list that is still good, and will not be for long: so those who ask
// all the time never wait for it.
func (c *cache[T]) renew(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	age := now.Sub(c.asked)
	if c.list != nil && c.reading == nil && age >= renewAge && age < CacheLife && now.Sub(c.began) >= between {
		c.start(ctx)
	}
}

// known is fresh or, while the list cannot be read, the last one, no older than Grace.
func (c *cache[T]) known(ctx context.Context) (map[string]T, error) {
	if known := c.last(ctx, true); known != nil { // the next read will likely fail: do not wait for it
		return known, nil
	}
	known, err := c.fresh(ctx)
	if err != nil {
		if last := c.last(ctx, false); last != nil {
			return last, nil
		}
	}
	return known, err
}

// last is the last list while the reading fails, nil without a list that still holds.
// again lets it be read once more meanwhile.
func (c *cache[T]) last(ctx context.Context, again bool) map[string]T {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if c.failure == nil || c.list == nil || now.Sub(c.asked) >= Grace {
		return nil
	}
	if again && c.reading == nil && now.Sub(c.began) >= between {
		c.start(ctx)
	}
	return c.list
}

// Moment is a time, counted by the reads that had begun.
type Moment int

// moment is now.
func (c *cache[T]) moment() Moment {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reads
}

// rested says that the list can be read at once.
func (c *cache[T]) rested() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reading == nil && c.now().Sub(c.began) >= between
}

// since is the list as it was after a moment. As it is read once a second at most, that may
// take as long. Errors are as in fresh.
func (c *cache[T]) since(ctx context.Context, m Moment) (map[string]T, error) {
	return c.wait(ctx, func() bool { return c.of > m })
}

// wait returns the list when it is good, which is asked with c.mu held.
func (c *cache[T]) wait(ctx context.Context, good func() bool) (map[string]T, error) {
	for {
		c.mu.Lock()
		switch {
		case c.list != nil && good():
			defer c.mu.Unlock()
			return c.list, nil
		case c.reading == nil && c.failure != nil && c.now().Sub(c.ended) < between:
			defer c.mu.Unlock()
			return nil, c.failure
		case c.reading == nil:
			c.start(ctx)
		}
		under := c.reading
		c.mu.Unlock()
		select {
		case <-under.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if under.err != nil {
			return nil, under.err
		}
	}
}

// start begins a reading, which goes on when the reader who asked for it leaves. c.mu is held.
func (c *cache[T]) start(ctx context.Context) {
	wait := between - c.now().Sub(c.began)
	under := &reading{done: make(chan struct{})}
	c.reading = under
	go func() {
		defer close(under.done)
		time.Sleep(wait)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTime)
		defer cancel()
		c.mu.Lock()
		c.reads++
		c.began = c.now()
		c.mu.Unlock()
		known, err := c.read(ctx)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.failure, c.ended, c.reading, under.err = err, c.now(), nil, err; err == nil {
			c.list, c.asked, c.of = known, c.began, c.reads
		}
	}()
}

// Package pool is the memory for what strangers send: bodies that must be read before it
// is known who sent them.
//
// In: guests, each a request with the name that it asks for, who take a piece of PieceBytes
// for what has come, and never for what was announced. Out: a piece or, when there is none,
// the end of the slowest guest, who may be the one that asks. The pieces held never pass
// the pool; one name holds half of it at most. No request that has proved itself is here.
//
// It reads no body and answers nobody: api/rest does, and linger where an answer was
// given already.
package pool

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"
)

// PieceBytes is what is taken at a time.
const PieceBytes = 64 << 10

// ErrSlow ends a guest when others need what it holds or waits for.
var ErrSlow = errors.New("the pool is used up, and this guest was the slowest")

// Pool is safe for concurrent use.
type Pool struct {
	now   func() time.Time
	share int // pieces that one name may hold

	mu      sync.Mutex
	free    int // pieces
	guests  []*Guest
	waiting []*Guest // those of them who wait for a piece, first come first
}

// New makes a pool of so many bytes, in whole pieces, and of two at least. now is a local
// clock.
func New(bytes int64, now func() time.Time) *Pool {
	pieces := max(2, int(bytes/PieceBytes))
	return &Pool{now: now, share: pieces / 2, free: pieces}
}

// Connection is the part of one that ends the wait for bytes, without a wait of its own. An
// http.ResponseController has it.
type Connection interface{ SetReadDeadline(t time.Time) error }

// Guest is one request. Its methods are for one goroutine.
type Guest struct {
	pool       *Pool
	name       string
	connection Connection
	entered    time.Time

	// With pool.mu held:
	pieces int
	lately float64   // bytes that came, half of them forgotten each second
	at     time.Time // when that was so
	whole  bool      // all has come: it leaves soon, and is not ended
	ended  bool
	told   chan struct{} // closed at the end of its wait; nil while it does not wait
}

// Enter lets a request for a name in, which holds nothing yet. Where it is ended, its reading
// from the connection is.
func (p *Pool) Enter(name string, c Connection) *Guest {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	g := &Guest{pool: p, name: name, connection: c, entered: now, at: now}
	p.guests = append(p.guests, g)
	return g
}

// SetReadDeadline sets the deadline of the connection until the guest is ended: no deadline
// gives the guest more time then.
func (g *Guest) SetReadDeadline(t time.Time) error {
	g.pool.mu.Lock()
	defer g.pool.mu.Unlock()
	if g.ended {
		return nil
	}
	return g.connection.SetReadDeadline(t)
}

// Came says that more bytes came, and with whole that these were the last. It is ErrSlow if
// the guest was ended before.
func (g *Guest) Came(bytes int, whole bool) error {
	g.pool.mu.Lock()
	defer g.pool.mu.Unlock()
	if g.ended {
		return ErrSlow
	}
	now := g.pool.now()
	g.lately, g.at, g.whole = g.recent(now)+float64(bytes), now, whole
	return nil
}

// recent is how much came lately.
func (g *Guest) recent(now time.Time) float64 {
	return g.lately * half(now.Sub(g.at))
}

// speed is what came lately over what would have come at one byte a second. So who has just
// begun, with little to say, is no slower than who said much and then stopped.
func (g *Guest) speed(now time.Time) float64 {
	return g.recent(now) / (1 - half(max(youngest, now.Sub(g.entered))))
}

// youngest is as if a guest had been here so long, at least: one byte is no great speed.
const youngest = 100 * time.Millisecond

// half is what a second halves.
func half(d time.Duration) float64 { return math.Exp2(-d.Seconds()) }

// Take waits for a piece until ctx ends. Without one it is ErrSlow, or the error of ctx.
func (g *Guest) Take(ctx context.Context) error {
	p := g.pool
	p.mu.Lock()
	if g.ended {
		p.mu.Unlock()
		return ErrSlow
	}
	held, told := g.pieces, make(chan struct{})
	g.told = told
	p.waiting = append(p.waiting, g)
	p.handOut()
	p.mu.Unlock()
	select {
	case <-told:
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case g.pieces > held:
		return nil
	case g.ended:
		return ErrSlow
	}
	p.dismiss(g)
	return ctx.Err()
}

// Leave gives back what the guest holds.
func (g *Guest) Leave() {
	p := g.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free += g.pieces
	g.pieces = 0
	p.guests = slices.DeleteFunc(p.guests, func(other *Guest) bool { return other == g })
	p.handOut()
}

// Held is how many bytes are held now.
func (p *Pool) Held() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	pieces := 0
	for _, g := range p.guests {
		pieces += g.pieces
	}
	return int64(pieces) * PieceBytes
}

// handOut gives out what is free, in turn, and sees to it that enough comes back for all who
// go on waiting. p.mu is held, here and below.
func (p *Pool) handOut() {
	for _, g := range slices.Clone(p.waiting) {
		if p.free > 0 && p.heldBy(g.name) < p.share {
			p.free--
			g.pieces++
			p.dismiss(g)
		}
	}
	if len(p.waiting) == 0 {
		return
	}
	for _, g := range slices.Clone(p.waiting) {
		if p.heldBy(g.name) >= p.share {
			p.press(func(other *Guest) bool { return other.name == g.name })
		}
	}
	p.press(func(*Guest) bool { return true })
}

// dismiss ends a guest's wait.
func (p *Pool) dismiss(g *Guest) {
	p.waiting = slices.DeleteFunc(p.waiting, func(other *Guest) bool { return other == g })
	close(g.told)
	g.told = nil
}

func (p *Pool) heldBy(name string) (pieces int) {
	for _, g := range p.guests {
		if g.name == name {
			pieces += g.pieces
		}
	}
	return pieces
}

// press ends the slowest of some guests until no more of them wait than pieces of theirs
// are on their way back.
func (p *Pool) press(of func(*Guest) bool) {
	for {
		waiting, coming := 0, 0
		var slowest *Guest
		least, now := 0.0, p.now()
		for _, g := range p.guests {
			switch {
			case !of(g):
				continue
			case g.told != nil:
				waiting++
			}
			if g.ended || g.whole {
				coming += g.pieces
			} else if g.pieces > 0 || g.told != nil {
				if speed := g.speed(now); slowest == nil || speed < least {
					slowest, least = g, speed
				}
			}
		}
		if waiting <= coming || slowest == nil {
			return
		}
		slowest.ended = true
		if slowest.told != nil {
			p.dismiss(slowest)
		}
		_ = slowest.connection.SetReadDeadline(time.Unix(1, 0)) // long ago; a test's knows none
	}
}

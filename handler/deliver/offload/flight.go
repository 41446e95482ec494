package offload

import (
	"context"
	"sync"
)

const (
	// BlockBytes is the size of a staged block, 4 MiB: the fastest with a checksum
	// for each block, and 195 GiB with the 50,000 blocks that a blob may have.
	// Source: learn.microsoft.com, "Put Block List".
	BlockBytes = 4 << 20
	// BlocksInFlight is how many blocks of a message are on their way at once.
	BlocksInFlight = 2
	// BlocksHeld is how many there are at all: one more is filled meanwhile.
	BlocksHeld = BlocksInFlight + 1
)

// block is the memory of one staged block.
type block [BlockBytes]byte

// pool lends blocks; sync.Pool is one.
type pool interface {
	Get() any
	Put(block any)
}

// flight is blocks on their way to storage. Whoever has taken a turn, of which
// there are BlocksHeld, sends a block or gives the turn back. It is for one
// goroutine.
type flight struct {
	blobs   Blobs
	ctx     context.Context
	cancel  context.CancelFunc
	turns   chan struct{} // full when all are taken
	sending chan struct{} // holds BlocksInFlight
	kept    int           // turns that nobody gets
	group   sync.WaitGroup

	mu  sync.Mutex
	err error // the first
}

// newFlight makes a flight that goes on until it is closed, though ctx may end.
func newFlight(ctx context.Context, blobs Blobs) *flight {
	f := &flight{blobs: blobs, turns: make(chan struct{}, BlocksHeld), sending: make(chan struct{}, BlocksInFlight)}
	f.ctx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return f
}

// turn waits until there is one. An error is Unavailable, and is that of an
// earlier block, if one has failed.
func (f *flight) turn(ctx context.Context) error {
	select {
	case f.turns <- struct{}{}:
	case <-ctx.Done():
		return notStored(ctx.Err())
	}
	if err := f.failure(); err != nil {
		f.giveBack()
		return err
	}
	return nil
}

func (f *flight) giveBack() { <-f.turns }

// send stages a block and then calls done, after which its memory is not looked at.
// The block has its checksum before it has its turn: none that may be sent waits for
// its own.
func (f *flight) send(name string, n int, b *filling, done func()) {
	b.end()
	f.group.Go(func() {
		defer f.giveBack()
		defer done()
		sum := <-b.sum
		f.sending <- struct{}{}
		defer func() { <-f.sending }()
		if f.failure() != nil {
			return // the blob will not be committed
		}
		if err := f.blobs.Stage(f.ctx, name, n, b.data[:b.filled], sum); err != nil {
			f.fail(err)
		}
	})
}

// keep takes so many turns out of play, or puts them back.
func (f *flight) keep(ctx context.Context, turns int) error {
	for ; f.kept < turns; f.kept++ {
		if err := f.turn(ctx); err != nil {
			return err
		}
	}
	for ; f.kept > turns; f.kept-- {
		f.giveBack()
	}
	return nil
}

// settle waits until all blocks have arrived.
func (f *flight) settle(ctx context.Context) error {
	before := f.kept
	err := f.keep(ctx, BlocksHeld)
	for ; f.kept > before; f.kept-- {
		f.giveBack()
	}
	return err
}

// close stops what is under way and returns when all of it has stopped.
func (f *flight) close() {
	f.cancel()
	f.group.Wait()
}

func (f *flight) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = notStored(err)
	}
}

func (f *flight) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

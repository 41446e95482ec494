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
	// BlocksHeld is how many a message has at all: one more is filled meanwhile.
	BlocksHeld = BlocksInFlight + 1
	// SpareBlocks are there for all messages together. One that has filled all of
	// its own takes another, so that there are two to follow when both that were on
	// their way arrive at once.
	SpareBlocks = 2
)

// block is the memory of one staged block.
type block [BlockBytes]byte

// pool lends blocks; sync.Pool is one.
type pool interface {
	Get() any
	Put(block any)
}

// flight is blocks on their way to storage. Whoever has taken a turn, of which
// there are BlocksHeld and those of the spare blocks, sends a block or gives the
// turn back. It is for one goroutine.
type flight struct {
	blobs   Blobs
	ctx     context.Context
	cancel  context.CancelFunc
	turns   chan struct{} // full when all are taken
	spare   chan struct{} // the same of the spare blocks, which all flights share
	sending chan struct{} // holds BlocksInFlight
	kept    int           // turns that nobody gets
	group   sync.WaitGroup

	mu       sync.Mutex
	err      error // the first
	borrowed int   // turns taken of spare
}

// newFlight makes a flight that goes on until it is closed, though ctx may end. spare
// may be nil.
func newFlight(ctx context.Context, blobs Blobs, spare chan struct{}) *flight {
	f := &flight{blobs: blobs, turns: make(chan struct{}, BlocksHeld), spare: spare, sending: make(chan struct{}, BlocksInFlight)}
	f.ctx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return f
}

// turn waits until there is one, and takes a spare one when its own are taken. An
// error is Unavailable, and is that of an earlier block, if one has failed.
func (f *flight) turn(ctx context.Context) error {
	select {
	case f.turns <- struct{}{}:
		return f.unlessFailed()
	default:
	}
	select {
	case f.turns <- struct{}{}:
	case f.spare <- struct{}{}:
		f.mu.Lock()
		f.borrowed++
		f.mu.Unlock()
	case <-ctx.Done():
		return notStored(ctx.Err())
	}
	return f.unlessFailed()
}

// ownTurn is turn without the spare ones.
func (f *flight) ownTurn(ctx context.Context) error {
	select {
	case f.turns <- struct{}{}:
		return f.unlessFailed()
	case <-ctx.Done():
		return notStored(ctx.Err())
	}
}

// unlessFailed lets keep a turn unless a block has failed.
func (f *flight) unlessFailed() error {
	err := f.failure()
	if err != nil {
		f.giveBack()
	}
	return err
}

// giveBack gives a spare turn back before an own one: nobody has a turn any more
// when all own ones are back.
func (f *flight) giveBack() {
	f.mu.Lock()
	spare := f.borrowed > 0
	if spare {
		f.borrowed--
	}
	f.mu.Unlock()
	if spare {
		<-f.spare
		return
	}
	<-f.turns
}

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

// keep takes so many of its own turns out of play, or puts them back.
func (f *flight) keep(ctx context.Context, turns int) error {
	for ; f.kept < turns; f.kept++ {
		if err := f.ownTurn(ctx); err != nil {
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

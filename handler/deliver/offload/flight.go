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
	// BlocksInFlight is how many blocks of a message are on their way at once; one
	// that is being filled counts.
	BlocksInFlight = 2
)

// block is the memory of one staged block.
type block [BlockBytes]byte

// pool lends blocks; sync.Pool is one.
type pool interface {
	Get() any
	Put(block any)
}

// flight is blocks on their way to storage, at most BlocksInFlight at once.
// Whoever has taken a turn sends a block or gives the turn back. It is for one
// goroutine.
type flight struct {
	blobs    Blobs
	ctx      context.Context
	cancel   context.CancelFunc
	turns    chan struct{}
	narrowed bool // one turn is taken for good
	group    sync.WaitGroup

	mu  sync.Mutex
	err error // the first
}

// newFlight makes a flight that goes on until it is closed, though ctx may end.
func newFlight(ctx context.Context, blobs Blobs) *flight {
	f := &flight{blobs: blobs, turns: make(chan struct{}, BlocksInFlight)}
	f.ctx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return f
}

// turn waits until a block may be sent. An error is Unavailable, and is that of
// an earlier block, if one has failed.
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

// send stages a block and then calls done, after which data is not looked at.
func (f *flight) send(name string, n int, data []byte, done func()) {
	f.group.Go(func() {
		defer f.giveBack()
		defer done()
		if err := f.blobs.Stage(f.ctx, name, n, data); err != nil {
			f.fail(err)
		}
	})
}

// settle waits until all blocks have arrived.
func (f *flight) settle(ctx context.Context) error {
	all := cap(f.turns)
	if f.narrowed {
		all--
	}
	for taken := range all {
		if err := f.turn(ctx); err != nil {
			for range taken {
				f.giveBack()
			}
			return err
		}
	}
	for range all {
		f.giveBack()
	}
	return nil
}

// narrow waits until all blocks have arrived and sends one at a time from then on.
func (f *flight) narrow(ctx context.Context) error {
	if f.narrowed {
		return nil
	}
	if err := f.settle(ctx); err != nil {
		return err
	}
	f.narrowed = true
	return f.turn(ctx)
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

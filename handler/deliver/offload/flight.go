package offload

import (
	"context"

	"golang.org/x/sync/errgroup"
)

const (
	// BlockBytes is the size of a staged block, 4 MiB: the fastest with a checksum
	// for each block, and 195 GiB with the 50,000 blocks that a blob may have.
	// Source: learn.microsoft.com, "Put Block List".
	BlockBytes = 4 << 20
	// BlocksHeld is how many blocks of a message are in memory at once, being filled or
	// on their way: with two on their way a third is filled meanwhile.
	BlocksHeld = 3
)

// block is the memory of one staged block.
type block [BlockBytes]byte

// pool lends blocks; sync.Pool is one.
type pool interface {
	Get() any
	Put(block any)
}

// flight is blocks on their way to storage, BlocksHeld at once. The first error ends it.
// It is for one goroutine.
type flight struct {
	blobs  Blobs
	group  *errgroup.Group
	ctx    context.Context // ends with the first error
	cancel context.CancelCauseFunc
}

func newFlight(ctx context.Context, blobs Blobs) *flight {
	f := &flight{blobs: blobs}
	ctx, f.cancel = context.WithCancelCause(ctx)
	f.group, f.ctx = errgroup.WithContext(ctx)
	f.group.SetLimit(BlocksHeld)
	return f
}

// send stages a block and then calls done, after which its memory is not looked at. By
// then failure tells an error: who gets the memory next looks there.
func (f *flight) send(name string, n int, block []byte, done func()) {
	f.group.Go(func() error {
		err := f.stage(name, n, block)
		if err != nil {
			f.cancel(err)
		}
		done()
		return err
	})
}

func (f *flight) stage(name string, n int, block []byte) error {
	if err := f.ctx.Err(); err != nil {
		return err // the blob will not be committed
	}
	sum := f.blobs.Checksum()
	_, _ = sum.Write(block) // never fails
	return f.blobs.Stage(f.ctx, name, n, block, sum.Sum(nil))
}

// failure is the first error of a block, as Unavailable.
func (f *flight) failure() error {
	if f.ctx.Err() == nil {
		return nil
	}
	return notStored(context.Cause(f.ctx))
}

// close stops what is under way and returns when all of it has stopped.
func (f *flight) close() {
	f.cancel(nil)
	_ = f.group.Wait() // failure has told it
}

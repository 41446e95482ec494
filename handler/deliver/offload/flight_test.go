package offload

import (
	"context"
	"errors"
	"hash"
	"hash/crc32"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// slowSum is a checksum that is not made until goOn is closed.
type slowSum struct {
	hash.Hash
	goOn chan struct{}
}

func (s slowSum) Sum(b []byte) []byte {
	<-s.goOn
	return s.Hash.Sum(b)
}

// log is storage that says which blocks it was given.
type log struct {
	Blobs
	staged chan int
}

func (l log) Stage(_ context.Context, _ string, n int, _, _ []byte) error {
	l.staged <- n
	return nil
}

// TestABlockWithoutChecksumTakesNobodysTurn: as many as may be on their way wait for
// their checksums, and the one after them goes.
func TestABlockWithoutChecksumTakesNobodysTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		storage := log{staged: make(chan int, BlocksHeld)}
		f := newFlight(t.Context(), storage, nil)
		goOn := make(chan struct{})
		for n := range BlocksHeld {
			if err := f.turn(t.Context()); err != nil {
				t.Fatal(err)
			}
			var sum hash.Hash = crc32.NewIEEE()
			if n < BlocksInFlight {
				sum = slowSum{sum, goOn}
			}
			f.send("b", n, newFilling(make([]byte, 1), sum), func() {})
			synctest.Wait()
		}
		if len(storage.staged) != 1 || <-storage.staged != BlocksInFlight {
			t.Error("the block that has its checksum was not the one to be sent")
		}
		close(goOn)
		if err := f.settle(t.Context()); err != nil {
			t.Error(err)
		}
		f.close()
		if len(storage.staged) != BlocksInFlight {
			t.Errorf("%d more blocks were sent, want %d", len(storage.staged), BlocksInFlight)
		}
	})
}

// TestABlockIsSummedWhileItFills, and all of it in the end.
func TestABlockIsSummedWhileItFills(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		content := noise(1, 3*partBytes)
		early, whole := crc32.NewIEEE(), crc32.NewIEEE()
		f := newFilling(make([]byte, len(content)), early)
		f.add(copy(f.space(), content[:partBytes]))
		synctest.Wait()
		if _, _ = whole.Write(content[:partBytes]); early.Sum32() != whole.Sum32() {
			t.Error("what the block has by now is not in its checksum")
		}
		for part := range slices.Chunk(content[partBytes:], 1000) {
			f.add(copy(f.space(), part))
		}
		f.end()
		if _, _ = whole.Write(content[partBytes:]); !slices.Equal(<-f.sum, whole.Sum(nil)) {
			t.Error("the checksum is not that of the block")
		}
	})
}

// TestSpareTurnsAreForWhoComesFirst and go back before a flight's own.
func TestSpareTurnsAreForWhoComesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		spare := make(chan struct{}, SpareBlocks)
		first, second := newFlight(t.Context(), nil, spare), newFlight(t.Context(), nil, spare)
		if err := second.keep(t.Context(), BlocksHeld); err != nil {
			t.Fatal(err)
		}
		for range BlocksHeld + SpareBlocks {
			if err := first.turn(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		got := make(chan error, 1)
		go func() { got <- second.turn(t.Context()) }()
		synctest.Wait()
		if len(got) != 0 {
			t.Error("there is a turn, and all were taken")
		}
		first.giveBack()
		if err := <-got; err != nil {
			t.Error(err)
		}
		for range BlocksHeld + SpareBlocks - 1 {
			first.giveBack()
		}
		if len(first.turns) != 0 || len(spare) != 1 {
			t.Errorf("%d turns and %d spare ones are taken, want 0 and 1", len(first.turns), len(spare))
		}
		second.giveBack()
		if len(spare) != 0 || len(second.turns) != BlocksHeld {
			t.Errorf("%d spare turns and %d for what is kept, want 0 and %d", len(spare), len(second.turns), BlocksHeld)
		}
	})
}

func TestSpareTurnsAreNotForWhatIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFlight(t.Context(), nil, make(chan struct{}, SpareBlocks))
		for range BlocksHeld {
			if err := f.turn(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := f.keep(ctx, 1); !errors.Is(err, context.DeadlineExceeded) || len(f.spare) != 0 {
			t.Errorf("got %v and %d spare turns", err, len(f.spare))
		}
	})
}

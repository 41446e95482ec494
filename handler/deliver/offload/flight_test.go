package offload

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// crowded is one of several intakes at work.
type crowded struct {
	sizes  []int         // of its attachments
	leaves time.Duration // when its caller goes; 0 if it stays
}

// TestIntakesDoNotWaitForEachOther: however many there are, however slow storage is, whatever
// it refuses and which caller goes, each ends and gives all of its memory back.
func TestIntakesDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		all := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) crowded {
			return crowded{
				rapid.SliceOfN(rapid.SampledFrom([]int{0, 1, 500_000, wholeMiB, BlockBytes + 1, 2*BlockBytes + 1}), 1, 4).Draw(rt, "sizes"),
				time.Duration(rapid.IntRange(0, 5).Draw(rt, "leaves")) * time.Second,
			}
		}), 1, 4).Draw(rt, "intakes")
		slow := time.Duration(rapid.IntRange(0, 3000).Draw(rt, "ms of a block")) * time.Millisecond
		refused := rapid.IntRange(0, 6).Draw(rt, "refused block")
		synctest.Test(t, func(t *testing.T) {
			s, p := pooled()
			s.cloud.fault = func(call string, nth int) mem.Fault {
				if call == "stage" && nth == refused {
					return mem.Fault{Outcome: mem.Refused}
				}
				return mem.Fault{Before: slow}
			}
			var group sync.WaitGroup
			for _, c := range all {
				group.Go(func() { c.run(t, s) })
			}
			group.Wait()
			p.assertReturned(t)
			time.Sleep(DropTimeout) // what was staged is being dropped
		})
	})
}

func (c crowded) run(t *testing.T, s *setting) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if c.leaves > 0 {
		defer time.AfterFunc(c.leaves, cancel).Stop()
	}
	in := s.NewIntake(noLength, wholeMiB)
	var err error
	for i, size := range c.sizes {
		if err = in.Attachment(ctx, i, mail.Attachment{}, bytes.NewReader(make([]byte, size))); err != nil {
			break
		}
	}
	if err == nil {
		err = in.drain(ctx)
	}
	if err != nil && !problem.Is(err, problem.Unavailable) {
		t.Errorf("got %v, want Unavailable", err)
	}
	in.Close()
	if free := in.budget - int64(cap(in.held)); !in.memory.TryAcquire(free) {
		t.Errorf("less than %d bytes are free", free)
	}
}

// TestASlowIntakeHoldsNoOtherUp: storage that answers one message never does not keep the
// blocks of another.
func TestASlowIntakeHoldsNoOtherUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := pooled()
		s.cloud.fault = func(call string, nth int) mem.Fault {
			if call == "stage" && nth <= BlocksHeld {
				return mem.Fault{Before: time.Hour}
			}
			return mem.Fault{}
		}
		stuck, other := s.NewIntake(noLength, wholeMiB), s.NewIntake(noLength, wholeMiB)
		ctx, leave := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- stuck.Attachment(ctx, 0, placed(mail.PlacementLink, mail.Attachment{}), new(counter))
		}()
		synctest.Wait()
		began := time.Now()
		if err := other.Attachment(t.Context(), 0, placed(mail.PlacementLink, mail.Attachment{}), bytes.NewReader(make([]byte, 5*BlockBytes))); err != nil {
			t.Error(err)
		}
		if err := other.drain(t.Context()); err != nil || time.Since(began) != 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		leave()
		if err := <-done; !problem.Is(err, problem.Unavailable) || time.Since(began) != 0 {
			t.Errorf("the caller has gone: got %v after %v", err, time.Since(began))
		}
		stuck.Close()
		other.Close()
		p.assertReturned(t)
		time.Sleep(DropTimeout) // what was staged is being dropped
	})
}

// TestAFailureIsKnownBeforeItsMemoryIsFree: else the next block would be read as if all was
// well, and so would the end of a message whose last block has failed.
func TestAFailureIsKnownBeforeItsMemoryIsFree(t *testing.T) {
	t.Parallel()
	f := newFlight(t.Context(), mem.NewContainer(time.Now, func(mem.Op, string) mem.Fault { return mem.Fault{Outcome: mem.Refused} }))
	defer f.close()
	known := make(chan error, 1)
	f.send("blob", 0, []byte("a"), func() { known <- f.failure() })
	if err := <-known; !problem.Is(err, problem.Unavailable) || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("when the block is done, %v is known", err)
	}
}

package offload

import (
	"context"
	"testing"
	"testing/synctest"
)

// stuck is storage that does not answer until answer is closed.
type stuck struct {
	Blobs
	answer chan struct{}
	sums   int
}

func (s *stuck) Checksum([]byte) []byte { s.sums++; return nil }

func (s *stuck) Stage(context.Context, string, int, []byte, []byte) error {
	<-s.answer
	return nil
}

func TestABlockHasItsChecksumBeforeItsTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &stuck{answer: make(chan struct{})}
		f := newFlight(t.Context(), s)
		for n := range BlocksHeld {
			if err := f.turn(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.send("b", n, make([]byte, 1), func() {})
			if s.sums != n+1 {
				t.Errorf("%d checksums after %d blocks", s.sums, n+1)
			}
		}
		close(s.answer)
		if err := f.settle(t.Context()); err != nil {
			t.Error(err)
		}
		f.close()
	})
}

package offload

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/mem"
)

func TestIntakeWhenAStageFails(t *testing.T) {
	t.Parallel()
	const blocks = 6
	for nth := 1; nth <= blocks; nth++ {
		t.Run(fmt.Sprintf("at block %d", nth), func(t *testing.T) {
			t.Parallel()
			s, p := pooled()
			s.cloud.fault = failing("stage", nth, mem.Refused)
			in := s.NewIntake(noLength, wholeMiB)
			err := in.Attachment(t.Context(), 0, mail.Attachment{}, bytes.NewReader(make([]byte, blocks*BlockBytes)))
			if err == nil {
				err = in.drain(t.Context())
			}
			if !problem.Is(err, problem.Unavailable) || !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("got %v, want Unavailable", err)
			}
			if again := in.Attachment(t.Context(), 1, placed(mail.PlacementLink, mail.Attachment{}), strings.NewReader("x")); !problem.Is(again, problem.Unavailable) {
				t.Errorf("the next attachment: got %v, want Unavailable", again)
			}
			in.Close()
			p.assertReturned(t)
			if n := s.cloud.calls["stage"]; n > nth+BlocksHeld {
				t.Errorf("%d blocks were sent, though the %d. failed", n, nth)
			}
		})
	}
}

// counter counts what was read.
type counter struct{ n atomic.Int64 }

func (c *counter) Read(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

// TestSlowStorageHoldsTheReaderBack: no more is read than there are blocks for.
func TestSlowStorageHoldsTheReaderBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, slowStorage)
}

func slowStorage(t *testing.T) {
	t.Helper()
	s, p := pooled()
	s.cloud.fault = func(string, int) mem.Fault { return mem.Fault{Before: time.Minute} }
	in := s.NewIntake(noLength, wholeMiB)
	read := new(counter)
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- in.Attachment(ctx, 0, placed(mail.PlacementLink, mail.Attachment{}), read) }()
	for minute := range 4 {
		synctest.Wait()
		if want := int64((minute+1)*BlocksHeld) * BlockBytes; read.n.Load() != want {
			t.Errorf("after %d minutes %d bytes were read, want %d", minute, read.n.Load(), want)
		}
		time.Sleep(time.Minute)
	}
	leave()
	if err := <-done; !problem.Is(err, problem.Unavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("the caller has gone: got %v", err)
	}
	began := time.Now()
	in.Close()
	if took := time.Since(began); took != 0 {
		t.Errorf("Close took %v", took)
	}
	p.assertReturned(t)
	if p.most != BlocksHeld {
		t.Errorf("%d blocks at once, want %d", p.most, BlocksHeld)
	}
	time.Sleep(DropTimeout) // what was staged is being dropped
}

// TestIntakeOutlivesTheReading: what is under way goes on when the context of the
// reading ends, until Close.
func TestIntakeOutlivesTheReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := pooled()
		s.cloud.fault = func(call string, _ int) mem.Fault {
			if call == "stage" {
				return mem.Fault{Before: time.Second}
			}
			return mem.Fault{}
		}
		in := s.NewIntake(noLength, wholeMiB)
		ctx, end := context.WithCancel(t.Context())
		a := placed(mail.PlacementLink, attached("a", 5))
		if err := in.Attachment(ctx, 0, bare(a), bytes.NewReader(a.Content)); err != nil {
			t.Fatal(err)
		}
		end()
		m := message(bare(a))
		in.Fill(m)
		mv, err := s.Plan(t.Context(), m, in, owner, time.Hour, wholeMiB, wireSize)
		if err != nil {
			t.Fatal(err)
		}
		commit(t, mv)
		in.Close()
		p.assertReturned(t)
	})
}

// BenchmarkIntake is of one attachment of 75 MB into storage in memory, against
// the same bytes hashed and copied.
func BenchmarkIntake(b *testing.B) {
	const size = 75_000_000
	content := noise(1, size)
	s := newSetting()
	s.config.Blobs = dropping{}
	buffer := make([]byte, BlockBytes)
	var intake, plain time.Duration
	b.SetBytes(size)
	for b.Loop() {
		began := time.Now()
		in := s.NewIntake(100_000_000, mail.MaxACSRequestBytes)
		if err := in.Attachment(b.Context(), 0, mail.Attachment{}, bytes.NewReader(content)); err != nil {
			b.Fatal(err)
		}
		if err := in.drain(b.Context()); err != nil {
			b.Fatal(err)
		}
		in.Close()
		intake += time.Since(began)

		began = time.Now()
		hash := sha256.New()
		for chunk := range slices.Chunk(content, BlockBytes) {
			_, _ = hash.Write(buffer[:copy(buffer, chunk)]) // never fails
		}
		plain += time.Since(began)
	}
	b.ReportMetric(float64(intake)/float64(plain), "times-plain")
}

// dropping is storage that is as fast as can be.
type dropping struct{ Blobs }

func (dropping) Stage(context.Context, string, int, []byte, []byte) error { return nil }

func (dropping) Checksum() hash.Hash { return crc32.NewIEEE() }

func (dropping) Commit(context.Context, string, int, store.BlobHeaders) error { return nil }

func (dropping) Delete(context.Context, string) error { return nil }

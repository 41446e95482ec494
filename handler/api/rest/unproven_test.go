package rest

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/pool"
)

// nobody has no connection.
type nobody struct{}

func (nobody) SetReadDeadline(time.Time) error { return nil }

// What is gathered is what came, in whatever steps, and no more is held than that; a small
// body, or the small end of one, stands beside the pool.
func TestABodyInPieces(t *testing.T) {
	t.Parallel()
	whole := make([]byte, 200_000)
	for i, r := 0, rand.New(rand.NewPCG(1, 2)); i < len(whole); i++ {
		whole[i] = byte(r.Uint32())
	}
	for _, size := range []int{0, 1, headBytes, headBytes + 1, pool.PieceBytes - 1, pool.PieceBytes, pool.PieceBytes + 1, len(whole)} {
		for name, reader := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "by halves": iotest.HalfReader,
			"by bytes": iotest.OneByteReader, "with its end": iotest.DataErrReader,
		} {
			for _, announced := range []int64{int64(size), -1} {
				p := pool.New(1<<20, time.Now)
				guest := p.Enter("x", nobody{})
				pieces, err := inPieces(t.Context(), guest, reader(bytes.NewReader(whole[:size])), announced)
				if err != nil || !bytes.Equal(joined(pieces), whole[:size]) {
					t.Errorf("%d bytes %s, announced %d: %d came, %v", size, name, announced, len(joined(pieces)), err)
				}
				most := int64(size/pool.PieceBytes+1) * pool.PieceBytes
				if held := p.Held(); held < int64(size-headBytes) || held > most || size < headBytes && held > 0 {
					t.Errorf("%d bytes %s, announced %d: %d are held", size, name, announced, held)
				}
				total := 0
				for _, piece := range pieces {
					total += cap(piece)
				}
				if announced >= 0 && total > size+headBytes {
					t.Errorf("%d bytes %s: %d were made", size, name, total)
				}
				if guest.Leave(); p.Held() != 0 {
					t.Errorf("%d bytes stay", p.Held())
				}
			}
		}
	}
	lost := errors.New("lost")
	p := pool.New(1<<20, time.Now)
	guest := p.Enter("x", nobody{})
	if _, err := inPieces(t.Context(), guest, io.MultiReader(bytes.NewReader(whole), iotest.ErrReader(lost)), -1); !errors.Is(err, lost) {
		t.Errorf("a connection that is lost: %v", err)
	}
}

// Who is ended while the next byte is waited for wakes at once, and a deadline that is set
// at that moment gives no more time.
func TestWhoIsEndedIsInterrupted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		p := pool.New(2*pool.PieceBytes, time.Now)
		guest := p.Enter("x", http.NewResponseController(connection{Conn: server}))
		ended := make(chan error, 1)
		go func() {
			body := &steadyBody{body: server, connection: guest, now: time.Now, end: time.Now().Add(time.Hour), stranger: true}
			_, err := inPieces(t.Context(), guest, body, -1)
			guest.Leave()
			ended <- err
		}()
		_, _ = client.Write(make([]byte, headBytes))
		synctest.Wait()
		other := p.Enter("x", nobody{})
		_ = other.Came(10_000, false)
		begin := time.Now()
		if err := other.Take(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, pool.ErrSlow) {
			t.Errorf("who is ended: %v", err)
		}
		_ = guest.SetReadDeadline(time.Now().Add(time.Hour))
		if _, err := server.Read(make([]byte, 1)); err == nil || time.Since(begin) != 0 {
			t.Errorf("it reads on: %v after %s", err, time.Since(begin))
		}
	})
}

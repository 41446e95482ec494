package front

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
)

func TestTheBudgetIsNeverPassedAndAlwaysGivenBack(t *testing.T) {
	t.Parallel()
	const shares, large = 32, 12 << 20
	a := NewAdmission(shares*large, 0)
	var all sync.WaitGroup
	var mu sync.Mutex
	var admitted []func()
	for range 100 {
		all.Go(func() {
			release, err := a.take(large)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				admitted = append(admitted, release)
			case !problem.Is(err, problem.Unavailable) || problem.Of(err).RetryAfter == 0:
				t.Errorf("got %v", err)
			}
		})
	}
	all.Wait()
	if len(admitted) != shares {
		t.Errorf("%d were admitted, want %d", len(admitted), shares)
	}
	for _, release := range admitted {
		release()
	}
	if _, err := a.take(shares * large); err != nil {
		t.Errorf("not all was given back: %v", err)
	}
}

func TestLargeRequestsLeaveRoomForSmallOnes(t *testing.T) {
	t.Parallel()
	a := NewAdmission(12<<20, 2*SmallBytes)
	releaseLarge, err := a.take(12 << 20)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.take(SmallBytes + 1); !problem.Is(err, problem.Unavailable) {
		t.Errorf("a large request beside another: %v", err)
	}
	for range 2 {
		if _, err := a.take(SmallBytes); err != nil {
			t.Errorf("a small request: %v", err)
		}
	}
	if _, err := a.take(1); !problem.Is(err, problem.Unavailable) {
		t.Errorf("past the reserve: %v", err)
	}
	releaseLarge()
	if _, err := a.take(1); err != nil {
		t.Errorf("past the reserve, with room: %v", err)
	}
}

func TestABodyOfUnknownLengthIsSmallUntilItIsNot(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		bytes int
		room  int64
		ok    bool
	}{
		{"small, without room", SmallBytes, 0, true},
		{"larger, with room", SmallBytes + 1, 12 << 20, true},
		{"larger, without room", SmallBytes + 1, 12<<20 - 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := NewAdmission(c.room, 0)
			body := &growingBody{body: bytes.NewReader(make([]byte, c.bytes)), grow: func() (func(), error) { return a.take(12 << 20) }}
			n, err := io.Copy(io.Discard, body)
			if c.ok && (err != nil || n != int64(c.bytes)) || !c.ok && !problem.Is(err, problem.Unavailable) {
				t.Errorf("read %d, %v", n, err)
			}
			body.close()
			if left := a.common.Load(); left != c.room {
				t.Errorf("%d bytes are left, want %d", left, c.room)
			}
		})
	}
}

// connection is the least that http.ResponseController needs.
type connection struct {
	http.ResponseWriter
	net.Conn
}

func (c connection) SetReadDeadline(t time.Time) error { return c.Conn.SetReadDeadline(t) }
func (connection) Write(p []byte) (int, error)         { return len(p), nil }

func TestABodyThatDribblesIsGivenUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name         string
		chunk        int
		every, until time.Duration
		slowReader   time.Duration // how long we take between reads
		ok           bool
	}{
		{"a byte a second", 1, time.Second, 10 * time.Minute, 0, false},
		{"just fast enough", 10_500, time.Second, 3 * time.Minute, 0, true},
		{"just fast enough, but for too long", 10_500, time.Second, 5 * time.Minute, 0, false},
		{"just too slow", 9_500, time.Second, 5 * time.Minute, 0, false},
		{"in gulps with long pauses", 400_000, 20 * time.Second, 3 * time.Minute, 0, true},
		{"fast, and we are slow", 32 << 10, time.Millisecond, 100 * time.Millisecond, 2 * time.Second, true},
		{"short and done in time", 1, time.Second, 20 * time.Second, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				var writer sync.WaitGroup
				writer.Go(func() {
					for waited := time.Duration(0); waited < c.until; waited += c.every {
						if _, err := client.Write(make([]byte, c.chunk)); err != nil {
							return
						}
						time.Sleep(c.every)
					}
					client.Close()
				})
				body := &steadyBody{body: server, connection: http.NewResponseController(connection{Conn: server}), now: time.Now, end: time.Now().Add(4 * time.Minute)}
				buf, start := make([]byte, 64<<10), time.Now()
				var err error
				for err == nil {
					_, err = body.Read(buf)
					time.Sleep(c.slowReader)
				}
				server.Close()
				writer.Wait()
				if c.ok && !errors.Is(err, io.EOF) {
					t.Errorf("got %v after %s", err, time.Since(start))
				}
				if !c.ok && (!problem.Is(err, problem.RequestTimeout) || time.Since(start) > 4*time.Minute+5*time.Second) {
					t.Errorf("got %v after %s", err, time.Since(start))
				}
			})
		})
	}
}

// oneConn is a listener for the far end of a pipe, which a synctest bubble can hold.
type oneConn chan net.Conn

func (l oneConn) Accept() (net.Conn, error) {
	if c, ok := <-l; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l oneConn) Close() error { close(l); return nil }
func (oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// A patience for the body is none for the work after it: a reader that looks once
// more for the end does not make net/http think that the caller has gone.
func TestTheWorkMayTakeLongerThanTheBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, far := net.Pipe()
		listener := make(oneConn, 1)
		listener <- far
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			body := &steadyBody{body: req.Body, connection: http.NewResponseController(w), now: time.Now, end: time.Now().Add(time.Minute)}
			for range 3 {
				_, _ = io.ReadAll(body)
			}
			select {
			case <-req.Context().Done():
				t.Error("the caller is said to have gone")
			case <-time.After(time.Hour):
			}
		})}
		var ended sync.WaitGroup
		ended.Go(func() { _ = server.Serve(listener) })
		if _, err := io.WriteString(client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
		client.Close()
		_ = server.Close()
		ended.Wait()
	})
}

package rest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
)

func TestTheBudgetIsNeverPassedAndAlwaysGivenBack(t *testing.T) {
	t.Parallel()
	const shares, large = 32, 12 << 20
	a := NewAdmission(Budget{Common: shares * large}, time.Now)
	var all sync.WaitGroup
	var mu sync.Mutex
	var admitted []func()
	for range 100 {
		all.Go(func() {
			release, err := a.take("shop", large)
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
	if _, err := a.take("shop", shares*large); err != nil {
		t.Errorf("not all was given back: %v", err)
	}
}

func TestLargeRequestsLeaveRoomForSmallOnes(t *testing.T) {
	t.Parallel()
	a := NewAdmission(Budget{Common: 12 << 20, Reserve: 2 * SmallBytes}, time.Now)
	releaseLarge, err := a.take("shop", 12<<20)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.take("shop", SmallBytes+1); !problem.Is(err, problem.Unavailable) {
		t.Errorf("a large request beside another: %v", err)
	}
	for range 2 {
		if _, err := a.take("shop", SmallBytes); err != nil {
			t.Errorf("a small request: %v", err)
		}
	}
	if _, err := a.take("shop", 1); !problem.Is(err, problem.Unavailable) {
		t.Errorf("past the reserve: %v", err)
	}
	releaseLarge()
	if _, err := a.take("shop", 1); err != nil {
		t.Errorf("past the reserve, with room: %v", err)
	}
}

// Who is alone may have all; who is not has half, and a little while after the others came.
func TestNobodyHasMoreThanHalfBesideOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const large = 12 << 20
		a := NewAdmission(Budget{Common: 32 * large, Forms: 4}, time.Now)
		var shop []func()
		takes := func(name, who string, most int) (all []func()) {
			t.Helper()
			for {
				release, err := a.take(who, large)
				if err != nil {
					if len(all) != most || !problem.Is(err, problem.Unavailable) || problem.Of(err).RetryAfter == 0 {
						t.Errorf("%s: %d, then %v; want %d", name, len(all), err, most)
					}
					return all
				}
				all = append(all, release)
			}
		}
		shop = takes("alone", "shop", 32)
		takes("beside one who has all", "bank", 0)
		for _, release := range shop[:20] {
			release()
		}
		bank := takes("beside 12", "bank", 16)
		takes("with room for four, and not alone", "shop", 4)
		_, err := a.take("shop", large)
		if err == nil || strings.Contains(err.Error(), "This caller's") {
			t.Errorf("with no room: %v", err)
		}
		bank[0]()
		_, err = a.take("bank", large)
		if err != nil {
			t.Errorf("up to half: %v", err)
		}
		bank[1]()
		bank[2]()
		if _, err := a.take("shop", large); err == nil || !strings.Contains(err.Error(), "This caller's other requests hold 201 MB") {
			t.Errorf("beyond half, with room: %v", err)
		}
		for _, release := range bank[3:] {
			release()
		}
		if _, err := a.take("shop", large); err == nil {
			t.Error("the bank asked a moment ago, and still has one")
		}
		if _, err := a.takeForForm("contact", 3); err != nil {
			t.Errorf("a form: %v", err)
		}
		if _, err := a.takeForForm("other", 2); !problem.Is(err, problem.Unavailable) {
			t.Errorf("forms without room: %v", err)
		}
		if _, err := a.takeForForm("other", 5); !problem.Is(err, problem.TooLarge) {
			t.Errorf("a form that has never room: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		a := NewAdmission(Budget{Common: 10}, time.Now)
		_, _ = a.take("shop", 5)
		release, _ := a.take("bank", 1)
		release()
		if _, err := a.take("shop", 1); err == nil {
			t.Error("the bank came a moment ago")
		}
		time.Sleep(aloneTime)
		if _, err := a.take("shop", 5); err != nil {
			t.Errorf("alone again: %v", err)
		}
	})
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
			a := NewAdmission(Budget{Common: c.room}, time.Now)
			body := &growingBody{body: bytes.NewReader(make([]byte, c.bytes)), grow: func() (func(), error) { return a.take("shop", 12<<20) }}
			n, err := io.Copy(io.Discard, body)
			if c.ok && (err != nil || n != int64(c.bytes)) || !c.ok && !problem.Is(err, problem.Unavailable) {
				t.Errorf("read %d, %v", n, err)
			}
			body.close()
			if left := a.common.left; left != c.room {
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
		first        time.Duration // until the first byte of a stranger's
		gone         time.Duration // when it is given up
	}{
		{"a byte a second", 1, time.Second, 10 * time.Minute, 0, false, 0, 0},
		{"just fast enough", 10_500, time.Second, 3 * time.Minute, 0, true, 0, 0},
		{"just fast enough, but for too long", 10_500, time.Second, 5 * time.Minute, 0, false, 0, 0},
		{"just too slow", 9_500, time.Second, 5 * time.Minute, 0, false, 0, 0},
		{"in gulps with long pauses", 400_000, 20 * time.Second, 3 * time.Minute, 0, true, 0, 0},
		{"fast, and we are slow", 32 << 10, time.Millisecond, 100 * time.Millisecond, 2 * time.Second, true, 0, 0},
		{"short and done in time", 1, time.Second, 20 * time.Second, 0, true, 0, 0},
		{"a stranger who begins in time", 20_000, time.Second, 2 * time.Minute, 0, true, firstByteTime - 1, 0},
		{"a stranger who does not", 1 << 20, time.Second, 20 * time.Second, 0, false, firstByteTime + 1, firstByteTime},
		{"a stranger who begins, and then waits", 1, time.Minute, 5 * time.Minute, 0, false, 1, progressTime},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				var writer sync.WaitGroup
				writer.Go(func() {
					time.Sleep(c.first)
					for waited := time.Duration(0); waited < c.until; waited += c.every {
						if _, err := client.Write(make([]byte, c.chunk)); err != nil {
							return
						}
						time.Sleep(c.every)
					}
					client.Close()
				})
				body := &steadyBody{body: server, connection: http.NewResponseController(connection{Conn: server}), now: time.Now, end: time.Now().Add(4 * time.Minute), stranger: c.first > 0}
				buf, start := make([]byte, 64<<10), time.Now()
				var err error
				for err == nil {
					_, err = body.Read(buf)
					time.Sleep(c.slowReader)
				}
				took := time.Since(start)
				server.Close()
				writer.Wait()
				if c.gone > 0 && took.Round(time.Second) != c.gone {
					t.Errorf("it is given up after %s, want %s", took, c.gone)
				}
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

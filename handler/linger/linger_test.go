package linger_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/linger"
)

// refuse answers when it has read a part of the body.
func refuse(share int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if share > 0 {
			_, _ = io.CopyN(io.Discard, req.Body, max(req.ContentLength, 1000)/share)
		}
		w.Header().Set("Content-Length", "2")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, "no")
	})
}

func head(more string) string {
	return "POST / HTTP/1.1\r\nHost: test\r\n" + more + "\r\n\r\n"
}

// A client that sends all before it looks finds the answer.
func TestTheAnswerArrivesAfterTheWholeBody(t *testing.T) {
	t.Parallel()
	const size = 16 << 20 // more than the sockets between hold
	length := "Content-Length: " + strconv.Itoa(size)
	for _, c := range []struct {
		name, head, after string
		handler           http.Handler
	}{
		{"nothing read", length, "", refuse(0)},
		{"a quarter read", length, "", refuse(4)},
		{"of a client that does not wait for leave", "Expect: 100-continue\r\n" + length, "", refuse(0)},
		{"of such a client, a quarter read", "Expect: 100-continue\r\n" + length, "", refuse(4)},
		{"chunked", "Transfer-Encoding: chunked\r\n\r\n" + strconv.FormatInt(size, 16), "\r\n0\r\n\r\n", refuse(0)},
		{"chunked, some read", "Transfer-Encoding: chunked\r\n\r\n" + strconv.FormatInt(size, 16), "\r\n0\r\n\r\n", refuse(4)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(linger.Handler(c.handler, linger.Limits{Bytes: size, Time: time.Minute, Number: 1}))
			t.Cleanup(server.Close)
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			start := strings.TrimSuffix(head(c.head), "\r\n")
			if !strings.Contains(c.head, "chunked") {
				start += "\r\n"
			}
			for _, part := range []string{start, strings.Repeat(" ", size), c.after} {
				if _, err := io.WriteString(conn, part); err != nil {
					t.Fatal(err)
				}
			}
			assertRefused(t, bufio.NewReader(conn))
		})
	}
}

// A client that does not go on loses its connection.
func TestTheRestIsNotAwaitedForEver(t *testing.T) {
	t.Parallel()
	const ask = 500 * time.Millisecond // net/http's own, before it closes
	for _, c := range []struct {
		name  string
		head  string
		pause time.Duration // between two bytes; 0: no byte
		limit linger.Limits
		ends  time.Duration
	}{
		{"nothing comes", "Content-Length: 1000000", 0, linger.Limits{Bytes: 1 << 20, Time: time.Minute, Number: 1}, 10*time.Second + ask},
		{"no leave was given", "Expect: 100-continue\r\nContent-Length: 1000000", 0, linger.Limits{Bytes: 1 << 20, Time: time.Minute, Number: 1}, ask},
		{"it dribbles", "Content-Length: 1000000", 9 * time.Second, linger.Limits{Bytes: 1 << 20, Time: time.Minute, Number: 1}, time.Minute + ask},
		{"it sends too much", "Transfer-Encoding: chunked\r\n\r\nfffff\r\n" + strings.Repeat("x", 400_000), time.Second, linger.Limits{Bytes: 1000, Time: time.Minute, Number: 1}, ask},
		{"it announces too much", "Content-Length: 1000000", 0, linger.Limits{Bytes: 999_999, Time: time.Minute, Number: 1}, ask},
		{"a small body, before the answer", "Content-Length: 1000", 0, linger.Limits{Bytes: 1 << 20, Time: time.Minute, Number: 1}, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				conn := pipe(t, linger.Handler(refuse(0), c.limit))
				start := time.Now()
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					_, err := io.WriteString(conn, head(c.head))
					for c.pause > 0 && err == nil {
						time.Sleep(c.pause)
						_, err = io.WriteString(conn, "x")
					}
				}()
				answers := bufio.NewReader(conn)
				assertRefused(t, answers)
				if _, err := answers.ReadByte(); err != io.EOF {
					t.Errorf("got %v, want the end of the connection", err)
				}
				if took := time.Since(start); took.Round(time.Second/10) != c.ends {
					t.Errorf("it took %v, want %v", took, c.ends)
				}
				_ = conn.Close()
				<-sent
			})
		})
	}
}

// Strangers who dribble have all the room, and give it up for a client that sends.
func TestWhoSendsLeastMakesRoom(t *testing.T) {
	t.Parallel()
	const size = 16 << 20 // more than the sockets between hold
	server := httptest.NewServer(linger.Handler(refuse(0), linger.Limits{Bytes: size, Time: time.Minute, Number: 2}))
	t.Cleanup(server.Close)
	dial := func() net.Conn {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_, _ = io.WriteString(conn, head("Content-Length: "+strconv.Itoa(size)))
		return conn
	}
	for range 4 {
		assertRefused(t, bufio.NewReader(dial()))
	}
	for range 3 {
		conn := dial()
		if _, err := io.WriteString(conn, strings.Repeat(" ", size)); err != nil {
			t.Fatal(err)
		}
		assertRefused(t, bufio.NewReader(conn))
	}
}

// A limit of time for the body is none for the work after it.
func TestTheWorkMayTakeLongerThanTheBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := pipe(t, linger.Handler(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body)
			select {
			case <-req.Context().Done():
				t.Error("the caller is said to have gone")
			case <-time.After(time.Hour):
			}
			refuse(0).ServeHTTP(w, req)
		}), linger.Limits{Bytes: 1 << 20, Time: time.Minute, Number: 1}))
		go func() { _, _ = io.WriteString(conn, head("Content-Length: 3")+"abc") }()
		assertRefused(t, bufio.NewReader(conn))
	})
}

// pipe is a connection to a server. A synctest bubble can hold both.
func pipe(t *testing.T, handler http.Handler) net.Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	l := &oneConn{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
	l.conns <- theirs
	server := &http.Server{Handler: handler}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() {
		_ = ours.Close()
		_ = server.Shutdown(context.WithoutCancel(t.Context()))
		<-done
	})
	return ours
}

type oneConn struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error   { close(l.closed); return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

func assertRefused(t *testing.T, answers *bufio.Reader) {
	t.Helper()
	for {
		res, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode == http.StatusContinue {
			continue
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized || string(text) != "no" || err != nil {
			t.Errorf("got %s %q, %v", res.Status, text, err)
		}
		return
	}
}

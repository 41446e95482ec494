package front

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/propagation"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// expecting is the head of a request of so many bytes from a client that may not
// wait for 100 Continue.
func expecting(size int) string {
	return "POST /emails:send HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: " + strconv.Itoa(size) + "\r\n\r\n"
}

// lonely is a whole front that knows no caller.
func lonely(now func() time.Time) http.Handler {
	return New(Config{
		Callers: caller.NewRegistry(mem.NewTable(time.Now, nil), caller.Masters{bytes.Repeat([]byte("m"), 32)}, false, time.Now),
		Public:  &url.URL{Scheme: "https", Host: "mail.example.com"}, Now: now, NewID: func() string { return "id" },
		Log: slog.New(slog.DiscardHandler), Tracer: tracenoop.NewTracerProvider().Tracer(""), Propagator: propagation.TraceContext{},
	})
}

// midway refuses when it has read a quarter of a body.
func midway(now func() time.Time) http.Handler {
	return lingering(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.CopyN(io.Discard, req.Body, req.ContentLength/4)
		writeText(w, http.StatusUnauthorized, "text/plain", []byte("no"))
	}), now)
}

// TestAnswerBeforeTheEndOfTheBody: who sends on without looking is not cut off, and
// finds the answer afterwards.
func TestAnswerBeforeTheEndOfTheBody(t *testing.T) {
	t.Parallel()
	const size = 16 << 20 // more than the sockets between hold
	patient := func() time.Time { return time.Now().Add(time.Minute) }
	for name, handler := range map[string]http.Handler{"a caller that is not known": lonely(patient), "a fault midway": midway(patient)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := connect(t, handler)
			for _, part := range []string{expecting(size), strings.Repeat(" ", size)} {
				if _, err := io.WriteString(conn, part); err != nil {
					t.Fatal(err)
				}
			}
			assertRefused(t, bufio.NewReader(conn))
		})
	}
}

// TestTheEndOfTheBodyIsNotAwaitedForLong: a client that never sends it loses its
// connection.
func TestTheEndOfTheBodyIsNotAwaitedForLong(t *testing.T) {
	t.Parallel()
	past := func() time.Time { return time.Now().Add(-time.Minute) }
	conn := connect(t, lonely(past))
	if _, err := io.WriteString(conn, expecting(1000)); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(conn)
	assertRefused(t, answers)
	if _, err := answers.ReadByte(); err != io.EOF {
		t.Errorf("got %v, want the end of the connection", err)
	}
}

func connect(t *testing.T, handler http.Handler) net.Conn {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil { // ends a test that would hang
		t.Fatal(err)
	}
	return conn
}

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
		_ = res.Body.Close() // it is read
		if res.StatusCode != http.StatusUnauthorized || len(text) == 0 || err != nil {
			t.Errorf("got %s %q, %v", res.Status, text, err)
		}
		return
	}
}

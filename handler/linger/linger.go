// Package linger lets an answer arrive that was given before its request had been
// read.
//
// A connection that is closed with something unread is reset, and a client that still
// sends loses the answer to that. The Functions host does: it sends a body whole
// before it looks. So what is left of a body is read on and thrown away after the
// answer, within limits of bytes, time and number. Where there are too many, the client that
// sends least is let go: strangers who dribble keep nobody's answer from arriving.
//
// net/http lingers for half a second, and not at all where a client has sent
// `Expect: 100-continue`. Source: RFC 9112, section 9.6.
package linger

import (
	"io"
	"net/http"
	"time"

	"github.com/posthorn/posthorn/handler/pool"
)

const (
	// quietTime ends the reading when nothing comes. continueTime does before the
	// first byte from a client that waits for leave to send: it has heard no.
	quietTime    = 10 * time.Second
	continueTime = 500 * time.Millisecond
	bufferBytes  = 16 << 10
)

// Limits bound what is read for nothing.
type Limits struct {
	// Bytes is the largest body, from its start, that is read to its end.
	Bytes int64
	// Time is how long a request may take to arrive, also while it is being handled.
	Time time.Duration
	// Number is how many requests may be read on at the same time, with bufferBytes
	// each.
	Number int
}

// Handler is next, whose answers arrive.
func Handler(next http.Handler, l Limits) http.Handler {
	room := pool.New(2*int64(l.Number)*pool.PieceBytes, time.Now) // one name has half
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.ContentLength == 0 {
			next.ServeHTTP(w, req)
			return
		}
		end := time.Now().Add(l.Time)
		connection := http.NewResponseController(w)
		body := &body{ReadCloser: req.Body}
		// net/http reads the end of a small body before it answers, and has no limit.
		_ = connection.SetReadDeadline(end) // a test's writer knows none
		mine := *req                        // net/http looks at the body that it has made
		mine.Body = body
		next.ServeHTTP(w, &mine)
		if body.err != nil || req.ContentLength > l.Bytes || connection.Flush() != nil {
			return
		}
		body.guest = room.Enter("", connection)
		defer body.guest.Leave()
		_ = body.guest.Came(bufferBytes, false) // who comes is no slower than who is there
		if body.guest.Take(req.Context()) != nil {
			return // net/http does what it can
		}
		body.discard(l.Bytes, end, req.Header.Get("Expect") != "" && body.size == 0)
	})
}

// body knows how far it was read.
type body struct {
	io.ReadCloser
	guest *pool.Guest // while it is read for nothing
	size  int64
	err   error // what ended it
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.size += int64(n)
	b.err = err
	return n, err
}

// discard reads to the end or to a limit. Whatever ends it, it was enough.
func (b *body) discard(limit int64, end time.Time, waits bool) {
	patience := quietTime
	if waits {
		patience = continueTime
	}
	for rubbish := make([]byte, bufferBytes); b.err == nil && b.size < limit; patience = quietTime {
		deadline := time.Now().Add(patience)
		if end.Before(deadline) {
			deadline = end
		}
		if b.guest.SetReadDeadline(deadline) != nil {
			return
		}
		n, err := b.Read(rubbish)
		if b.guest.Came(n, false) == nil && err == nil && b.size >= limit {
			_ = b.guest.SetReadDeadline(time.Now()) // or net/http reads 256 KiB more
		}
	}
}

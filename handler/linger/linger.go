// Package linger lets an answer arrive that was given before its request had been
// read.
//
// A connection that is closed with something unread is reset, and whoever still
// sends loses the answer to that. The Functions host does: it sends a body whole
// before it looks. So what is left of a body is read on and thrown away after the
// answer, within limits of bytes, time and number.
//
// net/http lingers for half a second, and not at all where a client has sent
// `Expect: 100-continue`. Source: RFC 9112, section 9.6.
package linger

import (
	"io"
	"net/http"
	"time"
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
	room := make(chan struct{}, l.Number)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.ContentLength == 0 {
			next.ServeHTTP(w, req)
			return
		}
		end := time.Now().Add(l.Time)
		body := &body{ReadCloser: req.Body, connection: http.NewResponseController(w)}
		// net/http reads the end of a small body before it answers, and has no limit.
		_ = body.connection.SetReadDeadline(end) // a test's writer knows none
		mine := *req                             // net/http looks at the body that it has made
		mine.Body = body
		next.ServeHTTP(w, &mine)
		if body.err != nil || req.ContentLength > l.Bytes || body.connection.Flush() != nil {
			return
		}
		select {
		case room <- struct{}{}:
			defer func() { <-room }()
			body.discard(l.Bytes, end, req.Header.Get("Expect") != "" && body.size == 0)
		default: // net/http does what it can
		}
	})
}

// body knows how far it was read.
type body struct {
	io.ReadCloser
	connection *http.ResponseController
	size       int64
	err        error // what ended it
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
		if b.connection.SetReadDeadline(deadline) != nil {
			return
		}
		if _, err := b.Read(rubbish); err == nil && b.size >= limit {
			_ = b.connection.SetReadDeadline(time.Now()) // or net/http reads 256 KiB more
		}
	}
}

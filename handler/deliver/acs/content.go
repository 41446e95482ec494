package acs

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
)

// wholeBytes is up to what size a message is encoded before it is written.
const wholeBytes = 32 << 10

// content is the JSON of one message, as azcore reads it.
type content interface {
	io.ReadSeekCloser
	length() int64
	// again returns a second body over the same message, at its start.
	again(p *progress) io.ReadCloser
}

// content returns m as one piece if it is small and the client's connections are
// its own, else as a stream.
func (c *Client) content(m *Message) content {
	if size := m.Size(); c.owns && size <= wholeBytes {
		text := m.appendTo(make([]byte, 0, size+maxEscapeBytes))
		return &whole{Reader: bytes.NewReader(text), text: text}
	}
	return newBody(m)
}

func (b *body) length() int64 { return b.size }

func (b *body) again(p *progress) io.ReadCloser {
	return &watched{body: &body{parts: b.parts, size: b.size}, progress: p}
}

// whole is a message, or an answer, in one piece. net/http writes a body of this kind together
// with the headers, in one packet and one record of TLS; before any other, the
// headers go out by themselves.
type whole struct {
	*bytes.Reader
	text []byte
}

func (*whole) Close() error { return nil }

func (w *whole) length() int64 { return int64(len(w.text)) }

// again has the very type that net/http knows to be in memory, which reports to
// nobody: the context of watch does.
func (w *whole) again(*progress) io.ReadCloser { return io.NopCloser(bytes.NewReader(w.text)) }

type wholeKey struct{}

// watchedWhole is a message in one piece and what is known of it.
type watchedWhole struct {
	bytes    int64
	progress *progress
}

// watch lets p know what connections take of w, by a context that transport.Do
// understands; a credential's own requests, made under it, must not count.
func (w *whole) watch(ctx context.Context, p *progress) context.Context {
	return context.WithValue(ctx, wholeKey{}, watchedWhole{w.length(), p})
}

// trace counts a message in one piece as taken just before its first byte is. If
// net/http then takes a second connection, nothing at all had been written to the
// first: it repeats no other POST.
func trace(r *http.Request) *http.Request {
	w, ok := r.Context().Value(wholeKey{}).(watchedWhole)
	if !ok {
		return r
	}
	before := w.progress.bytes.Load() // of an earlier try
	return r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GetConn:      func(string) { w.progress.bytes.Store(before) },
		WroteHeaders: func() { w.progress.reached(w.bytes) },
	}))
}

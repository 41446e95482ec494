package host

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// tries, and the waits between them, bridge a handler that does not listen yet.
	// Source: RetryProxyHandler.cs.
	tries       = 10
	firstWait   = 50 * time.Millisecond
	longestWait = 250 * time.Millisecond
	// quietTime ends a request in which nothing moves. Source: the host's
	// ForwarderRequestConfig.ActivityTimeout.
	quietTime = 240 * time.Second
)

// Transport reaches a handler as the HTTP client of the real host does. A request
// goes out whole before a byte of its answer is read: an answer is lost if the
// connection is reset before the handler has taken the whole body. A request is
// sent again, whatever went wrong, as long as no byte of a body has been read.
//
// Sources: .NET, HttpConnection.SendAsync; YARP, StreamCopyHttpContent.cs.
type Transport struct {
	plain *http.Transport
}

// NewTransport heeds no proxy of the environment and compresses nothing.
func NewTransport() *Transport {
	return &Transport{&http.Transport{
		DialContext:           dial,
		DisableCompression:    true,
		MaxIdleConnsPerHost:   100,
		IdleConnTimeout:       time.Minute,
		ExpectContinueTimeout: time.Second,
	}}
}

// CloseIdleConnections is what http.Client calls.
func (t *Transport) CloseIdleConnections() { t.plain.CloseIdleConnections() }

// RoundTrip sends r, and leaves the closing of its body to the server that it came
// from.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	once, body := t.plain.RoundTrip, &content{}
	if r.Body != nil && r.Body != http.NoBody {
		body.from = r.Body
		r = r.WithContext(r.Context()) // a copy, to be given another body
		r.Body = body
		if r.Header.Get("Expect") == "" { // else .NET too looks for an answer before it sends the body
			once = wholeFirst
		}
	}
	for try, wait := 1, firstWait; ; try++ {
		answer, err := once(r)
		if err == nil || try == tries || body.begun.Load() || !sleep(r.Context(), wait) {
			return answer, err
		}
		wait = min(2*wait, longestWait)
	}
}

// content is a body that knows whether it can still be sent from its start.
type content struct {
	from  io.Reader
	begun atomic.Bool
}

func (c *content) Read(p []byte) (int, error) {
	c.begun.Store(true)
	return c.from.Read(p)
}

func (c *content) Close() error { return nil }

func wholeFirst(r *http.Request) (*http.Response, error) {
	conn, err := dial(r.Context(), "tcp", r.URL.Host)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(r.Context(), func() { conn.Close() })
	end := func() error { stop(); return conn.Close() }
	answer, err := exchange(conn, r)
	if err != nil {
		_ = end()
		return nil, err
	}
	answer.Body = &answerBody{answer.Body, end}
	return answer, nil
}

func exchange(conn net.Conn, r *http.Request) (*http.Response, error) {
	if err := r.Write(conn); err != nil {
		return nil, err
	}
	for answers := bufio.NewReader(conn); ; {
		answer, err := http.ReadResponse(answers, r)
		if err != nil || answer.StatusCode >= http.StatusOK {
			return answer, err
		}
	}
}

// answerBody ends the connection with the answer.
type answerBody struct {
	io.Reader
	end func() error
}

func (a *answerBody) Close() error { return a.end() }

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return quietConn{conn}, nil
}

// quietConn breaks when nothing has moved for quietTime.
type quietConn struct{ net.Conn }

func (q quietConn) Read(p []byte) (int, error) {
	_ = q.SetDeadline(time.Now().Add(quietTime)) // a connection that is closed says so below
	return q.Conn.Read(p)
}

func (q quietConn) Write(p []byte) (int, error) {
	_ = q.SetDeadline(time.Now().Add(quietTime))
	return q.Conn.Write(p)
}

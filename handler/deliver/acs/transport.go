package acs

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// MaxAnswerBytes is what is read of an answer; the rest is thrown away. The
// service's own answers have a few hundred bytes.
const MaxAnswerBytes = 64 << 10

// Defaults of ClientOptions, and what is not worth an option.
const (
	// DefaultMaxConns leaves room for four processes: the service allows 250
	// authenticated connections a subscription.
	DefaultMaxConns = 64
	// DefaultAnswerTimeout counts from the last byte of the request.
	DefaultAnswerTimeout = 30 * time.Second

	// A token of the quota is soon too old: a connection that takes longer to open is
	// not worth waiting for.
	dialTimeout         = 2 * time.Second
	tlsHandshakeTimeout = 2 * time.Second
	// idleTimeout is well below the minutes after which the far side drops an
	// idle connection: a POST that meets that moment is a message in doubt.
	idleTimeout = 30 * time.Second
)

// newConnections is the transport if the options bring none. It speaks HTTP/1.1
// only: one request a connection makes the bound on connections exact, and a
// connection that breaks leaves one message in doubt, not all that shared it.
func newConnections(maxConns int, answerTimeout time.Duration) connections {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return connections{&http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   tlsHandshakeTimeout,
		ResponseHeaderTimeout: answerTimeout,
		MaxConnsPerHost:       maxConns,
		MaxIdleConnsPerHost:   maxConns,
		IdleConnTimeout:       idleTimeout,
		Protocols:             protocols,
	}}
}

// connections needs nothing of what http.Client adds: it follows no redirect, keeps
// no cookie, and calls end with their context.
type connections struct{ *http.Transport }

func (c connections) Do(r *http.Request) (*http.Response, error) { return c.RoundTrip(r) }

// transport is the last step of the pipeline, below everything in azcore.
type transport struct{ inner policy.Transporter }

// newTransport keeps an http.Client from following redirects: one that led
// elsewhere would carry the message there.
func newTransport(inner policy.Transporter) transport {
	if given, ok := inner.(*http.Client); ok {
		own := *given
		own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		inner = &own
	}
	return transport{inner: inner}
}

// Do gives every try a body of its own. azcore rewinds one body and hands it
// out again, while the connection of an earlier try may still be reading it
// (net/http: RoundTripper). It then reads the answer, so that nothing above
// reads without a bound, and so that an answer whose body breaks off is still
// an answer.
func (t transport) Do(r *http.Request) (*http.Response, error) {
	if r.GetBody != nil {
		own, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		r.Body = own
	}
	resp, err := t.inner.Do(trace(r))
	if err != nil || resp == nil {
		return nil, err
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, MaxAnswerBytes))
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(text))
	return resp, nil
}

// credential marks the errors of a TokenCredential, to tell a fault of the
// identity from one of the service.
type credential struct{ azcore.TokenCredential }

type credentialError struct{ error }

func (e credentialError) Unwrap() error { return e.error }

func (c credential) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := c.TokenCredential.GetToken(ctx, o)
	if err != nil {
		return azcore.AccessToken{}, credentialError{err}
	}
	return token, nil
}

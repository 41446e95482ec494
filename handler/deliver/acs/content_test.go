package acs

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

const testID = "0f8fad5b-d9cb-469f-a165-70867728950e"

// clientThrough is one with the connections that it has by default, but dialed so.
func clientThrough(t *testing.T, url string, dial func(ctx context.Context, network, address string) (net.Conn, error)) *Client {
	t.Helper()
	own := newConnections(1, DefaultAnswerTimeout)
	own.DialContext = dial
	t.Cleanup(own.CloseIdleConnections)
	o := new(ClientOptions)
	o.Transport = own
	c, err := NewClientWithKey(url, "a2V5", o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSmallMessageLeavesWithItsHeaders(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		one  bool
	}{
		"small": {"Hello.", true},
		"large": {strings.Repeat("Hello. ", wholeBytes), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &Message{SenderAddress: "a@example.com", PlainText: c.text}
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if n, err := io.Copy(io.Discard, r.Body); err != nil || n != m.Size() {
					t.Errorf("%d bytes of %d, %v", n, m.Size(), err)
				}
				w.WriteHeader(http.StatusAccepted)
			}))
			t.Cleanup(s.Close)
			var writes atomic.Int64
			client := clientThrough(t, s.URL, func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, address)
				return &countedConn{Conn: conn, writes: &writes}, err
			})
			if _, err := client.Send(t.Context(), testID, m); err != nil {
				t.Fatal(err)
			}
			if got := writes.Load(); (got == 1) != c.one {
				t.Errorf("%d writes", got)
			}
		})
	}
}

type countedConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// A connection that took nothing is left for a new one, which is refused here.
func TestSmallMessageOnConnectionThatDied(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		takes   int // of the second message
		wrote   bool
		verdict Acceptance
	}{
		"and takes nothing": {0, false, NotAccepted},
		"and takes a byte":  {1, true, MayBeAccepted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
			t.Cleanup(s.Close)
			var dials atomic.Int64
			var dead atomic.Bool
			client := clientThrough(t, s.URL, func(ctx context.Context, network, address string) (net.Conn, error) {
				if dials.Add(1) > 1 {
					return nil, syscall.ECONNREFUSED
				}
				conn, err := new(net.Dialer).DialContext(ctx, network, address)
				return &mortalConn{Conn: conn, dead: &dead, takes: c.takes}, err
			})
			m := &Message{PlainText: "Hello."}
			if _, err := client.Send(t.Context(), testID, m); err != nil {
				t.Fatal(err)
			}
			dead.Store(true)
			_, err := client.Send(t.Context(), testID, m)
			e, ok := errors.AsType[*Error](err)
			if !ok || (e.Wrote > 0) != c.wrote || e.Accepted != c.verdict {
				t.Errorf("after %d dials: %v", dials.Load(), err)
			}
		})
	}
}

type mortalConn struct {
	net.Conn
	dead  *atomic.Bool
	takes int
}

func (c *mortalConn) Write(p []byte) (int, error) {
	if c.dead.Load() {
		return c.takes, syscall.EPIPE
	}
	return c.Conn.Write(p)
}

// asking is a credential that makes a request of its own and has no token then.
type asking struct{ url string }

func (a asking) GetToken(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, strings.NewReader("token, please"))
	if err != nil {
		return azcore.AccessToken{}, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return azcore.AccessToken{}, err
	}
	return azcore.AccessToken{}, errors.Join(errors.New("no token"), res.Body.Close())
}

func TestRequestOfTheCredentialIsNotTheMessage(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	client, err := NewClient("https://name.example.com", asking{s.URL}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Send(t.Context(), testID, &Message{PlainText: "Hello."})
	if e, ok := errors.AsType[*Error](err); !ok || e.Wrote != 0 || e.Accepted != NotAccepted {
		t.Errorf("got %v", err)
	}
}

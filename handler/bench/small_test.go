package bench

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/local/emulator"
	"github.com/posthorn/posthorn/handler/test/world"
)

const (
	sendTarget = "/emails:send?api-version=2025-09-01"
	// atOnce is how many messages are under way.
	atOnce = 8
	// turns of turnMessages go to the gateway and to the proxy, one after the
	// other, so that both see the same machine.
	turns        = 24
	turnMessages = 500
)

// BenchmarkSmallMessages sends small messages through a gateway over storage in
// memory, and the same through a reverse proxy, each to an emulator of its own.
//
// Both emulators check an HMAC signature on every message. The gateway makes its
// own; to the proxy the client gives one signature, made once, which its emulator
// takes for 5 minutes, so that nobody signs on the proxy's side.
func BenchmarkSmallMessages(b *testing.B) {
	var through, past usage
	for b.Loop() {
		gateway, proxy := newGatewayClient(b), newProxyClient(b)
		for range turns {
			through.add(gateway.send(b, turnMessages))
			past.add(proxy.send(b, turnMessages))
		}
	}
	rate := func(d time.Duration) float64 { return float64(turns*turnMessages*b.N) / d.Seconds() }
	report(b, figure{
		name: "small messages", unit: "msg/s", value: rate(through.elapsed),
		baseline: rate(past.elapsed), of: "a reverse proxy", goal: goal{atLeast: 0.6},
	})
	if through.processor > 0 {
		report(b, figure{
			name: "small messages, by processor time", unit: "msg/cpu-s", value: rate(through.processor),
			baseline: rate(past.processor), of: "a reverse proxy",
		})
	}
}

func newGatewayClient(b *testing.B) *client {
	b.Helper()
	address, key := newGateway(b, newEmulator(b).URL, nil)
	return newClient(b, address, http.Header{"Authorization": {"Bearer " + key}})
}

func newProxyClient(b *testing.B) *client {
	b.Helper()
	target, err := url.Parse(newEmulator(b).URL)
	if err != nil {
		b.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		// The default keeps two connections and would open one for most messages.
		Transport: &http.Transport{MaxIdleConnsPerHost: atOnce},
	})
	b.Cleanup(proxy.Close)
	return newClient(b, proxy.URL, signature(target.Host))
}

// signature signs world.Message for a host. Source: learn.microsoft.com,
// "Sign an HTTP request" of Azure Communication Services.
func signature(host string) http.Header {
	date := time.Now().UTC().Format(http.TimeFormat)
	hash := sha256.Sum256([]byte(world.Message()))
	content := base64.StdEncoding.EncodeToString(hash[:])
	key, _ := base64.StdEncoding.DecodeString(emulator.DevelopmentKey) // a constant
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "POST\n%s\n%s;%s;%s", sendTarget, date, host, content)
	return http.Header{
		"X-Ms-Date": {date}, "X-Ms-Content-Sha256": {content},
		"Authorization": {"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=" + base64.StdEncoding.EncodeToString(mac.Sum(nil))},
	}
}

// client sends small messages to one address.
type client struct {
	http   *http.Client
	url    string
	header http.Header
	body   string
}

func newClient(b *testing.B, address string, header http.Header) *client {
	b.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: atOnce}
	b.Cleanup(transport.CloseIdleConnections)
	header.Set("Content-Type", "application/json")
	c := &client{http: &http.Client{Transport: transport}, url: address + sendTarget, header: header, body: world.Message()}
	c.send(b, atOnce) // opens connections and fills caches
	return c
}

// send sends n messages, atOnce at a time, and says what that took.
func (c *client) send(b *testing.B, n int64) usage {
	b.Helper()
	var left atomic.Int64
	left.Store(n)
	var all sync.WaitGroup
	each := make([][]time.Duration, atOnce)
	begun := spent()
	for i := range atOnce {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				start := time.Now()
				if err := c.sendOne(b.Context()); err != nil {
					b.Error(err)
					return
				}
				each[i] = append(each[i], time.Since(start))
			}
		})
	}
	all.Wait()
	if b.Failed() {
		b.FailNow()
	}
	u := spent().since(begun)
	u.each = slices.Concat(each...)
	return u
}

func (c *client) sendOne(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, strings.NewReader(c.body))
	if err != nil {
		return err
	}
	req.Header = c.header
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusAccepted && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, answer)
	}
	return err
}

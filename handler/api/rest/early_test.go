package rest_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/api/hook"
	"github.com/posthorn/posthorn/handler/api/rest"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/local/host"
)

const megabyte = 1_000_000

// throughHost sends start and spaces behind it, so many bytes in all, as the
// Functions host does: whole, and with no patience for a reset.
func (d *deployment) throughHost(t *testing.T, method, path, start string, size int, chunked bool, headers ...string) answer {
	t.Helper()
	transport := host.NewTransport()
	defer transport.CloseIdleConnections()
	req := d.request(t, method, path, "", headers...)
	req.Body = io.NopCloser(io.MultiReader(strings.NewReader(start), io.LimitReader(spaces{}, int64(size-len(start)))))
	if req.ContentLength = int64(size); chunked {
		req.ContentLength = -1
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s with %d bytes: %v", method, path, size, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res, string(text)}
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestEveryRouteAnswersBesideALargeBody(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	parameters := strings.NewReplacer("{id}", "11111111-1111-4111-8111-111111111111", "{token}", "x", "{number}", "1", "{name}", "x")
	paths := []string{"/nowhere"}
	for path := range rest.Routes() {
		paths = append(paths, parameters.Replace(path))
	}
	for _, path := range paths {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			try := func(method, key string, chunked bool) {
				res := d.throughHost(t, method, path, "x", 3*megabyte, chunked, "Authorization", key)
				if res.StatusCode >= http.StatusBadRequest && res.text == "" {
					t.Errorf("%s, key %q: %s without a word", method, key, res.Status)
				}
			}
			for _, method := range []string{"GET", "PUT", "PATCH", "DELETE", "OPTIONS"} {
				try(method, "Bearer "+d.key, false)
			}
			for _, key := range []string{"", "Bearer " + d.key} {
				try("POST", key, false)
				try("POST", key, true)
			}
		})
	}
}

func TestEveryErrorArrivesBesideALargeBody(t *testing.T) {
	t.Parallel()
	roomy := func(limits quota.Limits) *deployment {
		d := newDeployment(t, limits)
		secrets, err := d.callers.Add(t.Context(), "large", caller.Policy{Senders: []string{"*@example.com"}, RecipientDomains: []string{"example.com"}})
		if err != nil {
			t.Fatal(err)
		}
		d.key = secrets.Key
		return d
	}
	whole, small, busy, spent, away := roomy(plenty), newDeployment(t, plenty), roomy(plenty), roomy(quota.Limits{PerMinute: 1, PerHour: 1}), roomy(plenty)
	busy.memory.Store(2 << 30)
	if res := spent.do(t, spent.request(t, "POST", "/emails:send", gatewaytest.Small("x"))); res.StatusCode != http.StatusAccepted {
		t.Fatal(res.Status, res.text)
	}
	away.storageDown(true)
	_, events := whole.hooked(t, "events", "event-grid")
	const send = "/emails:send"
	const all, below, above = 0, 1, 2 // of hook.MaxBodyBytes, beyond which the size is what is wrong
	message, stranger := gatewaytest.Small("x"), []string{"Authorization", ""}
	for _, c := range []struct {
		name        string
		deployment  *deployment
		path, start string
		headers     []string
		status      int
		slug        string
		sizes       int
	}{
		{"no key", whole, send, message, stranger, 401, "unauthenticated", all},
		{"no JSON", whole, send, "x", nil, 400, "malformed-json", all},
		{"unknown member", whole, send, strings.Replace(message, `"content"`, `"subject":"x","content"`, 1), nil, 400, "invalid-message", all},
		{"api-version", whole, send + "?api-version=1999-01-01", message, nil, 400, "invalid-request", all},
		{"another sender", whole, send, strings.Replace(message, "donotreply@example.com", "a@example.org", 1), nil, 403, "forbidden", all},
		{"method", whole, "/callers/me", message, nil, 405, "method-not-allowed", all},
		{"path", whole, "/nowhere", message, nil, 404, "not-found", all},
		{"too large", small, send, message, nil, 413, "too-large", all},
		{"media type", whole, send, message, []string{"Content-Type", "text/xml"}, 415, "unsupported-media-type", all},
		{"encoding", whole, send, message, []string{"Content-Encoding", "gzip"}, 415, "unsupported-media-type", all},
		{"quota", spent, send, gatewaytest.Refusing(message), nil, 429, "over-quota", all},
		{"no room", busy, send, message, nil, 503, "unavailable", all},
		{"storage away", away, send, message, nil, 503, "unavailable", all},
		{"no such hook", whole, "/hooks/nothere", "{}", nil, 401, "unauthenticated", all},
		{"no key of the hook", whole, "/hooks/events", "{}", nil, 401, "unauthenticated", all},
		{"encoding for a hook", whole, events, "{}", []string{"Authorization", "", "Content-Encoding", "gzip"}, 415, "unsupported-media-type", all},
		{"too large for a hook", whole, events, "{}", stranger, 413, "too-large", above},
		{"no JSON for a hook", whole, events, "x", stranger, 400, "malformed-json", below},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{300_000, 3 * megabyte, 30 * megabyte, 100 * megabyte} {
				if large := size > hook.MaxBodyBytes; c.sizes == below && large || c.sizes == above && !large || testing.Short() && size > 30*megabyte {
					continue
				}
				t.Run(fmt.Sprintf("%d bytes", size), func(t *testing.T) {
					res := c.deployment.throughHost(t, http.MethodPost, c.path, c.start, size, size == 3*megabyte, c.headers...)
					if res.StatusCode != c.status || res.slug(t) != c.slug {
						t.Errorf("%s %s", res.Status, res.text)
					}
				})
			}
		})
	}
}

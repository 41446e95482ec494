package test

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/posthorn/posthorn/handler/test/require"
	"github.com/posthorn/posthorn/handler/test/world"
)

// Whatever is wrong with a request is told as a problem of the caller's, and
// nothing comes of it.
func (p *product) testWrongRequests(t *testing.T) {
	const send = "/emails:send"
	w := newDeployment(t, p, world.Options{Settings: []string{"POSTHORN_MAX_REQUEST_BYTES=100000"}})
	good := world.Message()
	replace := func(part, by string) string { return strings.Replace(good, part, by, 1) }
	recipients := func(n int) []string {
		list := make([]string, n)
		for i := range list {
			list[i] = "canary-" + strconv.Itoa(i) + "@example.net"
		}
		return list
	}
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		slug                     string
	}{
		{"nothing", "POST", send, "", nil, 400, "malformed-json"},
		{"no JSON", "POST", send, "canary", nil, 400, "malformed-json"},
		{"two objects", "POST", send, good + good, nil, 400, "malformed-json"},
		{"a comma too many", "POST", send, replace(`{"content"`, `{,"content"`), nil, 400, "malformed-json"},
		{"a byte order mark", "POST", send, "\ufeff" + good, nil, 400, "malformed-json"},
		{"UTF-16", "POST", send, "{\x00\"\x00", nil, 400, "malformed-json"},
		{"Latin-1", "POST", send, replace(world.Subject, "canary \xfc"), nil, 400, "malformed-json"},
		{"a lone surrogate", "POST", send, replace(world.Subject, `\ud800`), nil, 400, "malformed-json"},
		{"a NUL", "POST", send, replace(world.Subject, `canary\u0000`), nil, 400, "invalid-message"},
		{"deep nesting", "POST", send, strings.Repeat("[", 10_000), nil, 400, "malformed-json"},
		{"a member twice", "POST", send, replace(`"senderAddress"`, `"senderAddress":"canary","senderAddress"`), nil, 400, "invalid-message"},
		{"a list", "POST", send, "[" + good + "]", nil, 400, "invalid-message"},
		{"null", "POST", send, "null", nil, 400, "invalid-message"},
		{"an empty object", "POST", send, "{}", nil, 400, "invalid-message"},
		{"an unknown member", "POST", send, replace(`{"content"`, `{"canary":1,"content"`), nil, 400, "invalid-message"},
		{"a number for a text", "POST", send, replace(`"`+world.Subject+`"`, "1e999"), nil, 400, "invalid-message"},
		{"no recipient", "POST", send, world.Message(world.To()), nil, 400, "invalid-message"},
		{"51 recipients", "POST", send, world.Message(world.To(recipients(51)...)), nil, 400, "invalid-message"},
		{"a header in the subject", "POST", send, replace(world.Subject, `canary\r\nBcc: canary@example.net`), nil, 400, "invalid-message"},
		{"a reserved header", "POST", send, world.Message(world.With("headers", map[string]string{"Bcc": "canary@example.net"})), nil, 400, "invalid-message"},
		{"no Base64", "POST", send, world.Message(world.With("attachments", []any{map[string]string{"name": "a.txt", "contentType": "text/plain", "contentInBase64": "canary!"}})), nil, 400, "invalid-message"},
		{"a time too far ahead", "POST", send, world.Message(world.With("delivery", map[string]string{"sendAt": "2130-01-01T00:00:00Z"})), nil, 400, "invalid-message"},
		{"another sender", "POST", send, replace(world.Sender, "canary@example.com"), nil, 403, "forbidden"},
		{"no key", "POST", send, good, []string{"Authorization", ""}, 401, "unauthenticated"},
		{"a key that is none", "POST", send, good, []string{"Authorization", "Bearer ph_canary_1_" + strings.Repeat("0", 64)}, 401, "unauthenticated"},
		{"a signature that is none", "POST", send, good, []string{"Authorization", "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=canary"}, 401, "unauthenticated"},
		{"text", "POST", send, good, []string{"Content-Type", "text/plain"}, 415, "unsupported-media-type"},
		{"compressed", "POST", send, good, []string{"Content-Encoding", "gzip"}, 415, "unsupported-media-type"},
		{"too large", "POST", send, strings.Repeat(" ", 100_001), nil, 413, "too-large"},
		{"a version that is none", "POST", send + "?api-version=canary", good, nil, 400, "invalid-request"},
		{"an id that is none", "POST", send, good, []string{"Operation-Id", "canary"}, 400, "invalid-request"},
		{"a key that is too long", "POST", send, good, []string{"Idempotency-Key", strings.Repeat("k", 256)}, 400, "invalid-request"},
		{"another method", "PUT", send, good, nil, 405, "method-not-allowed"},
		{"another path", "POST", "/emails:sendcanary", good, nil, 404, "not-found"},
		{"an operation that is none", "GET", "/emails/operations/canary", "", nil, 404, "not-found"},
		{"a host's trigger without an envelope", "GET", "/cleanup", "", nil, 404, "not-found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := w.Do(t, c.method, c.path, strings.NewReader(c.body), c.headers...)
			a.Want(t, c.status, c.slug)
		})
	}
	t.Run("too large, of unknown length", func(t *testing.T) {
		body := struct{ *strings.Reader }{strings.NewReader(strings.Repeat(" ", 100_001))} // net/http sends chunks
		w.Do(t, http.MethodPost, send, body).Want(t, http.StatusRequestEntityTooLarge, "too-large")
	})
	if calls := len(w.ACS.Arrivals(t)); calls != 0 {
		t.Errorf("ACS saw %d calls", calls)
	}
	w.MustSend(t, good)
}

// Strings that have broken programs elsewhere either arrive as they were sent or
// are refused as the caller's fault.
func (p *product) testNaughtyStrings(t *testing.T) {
	naughty := require.NaughtyStrings(t)
	w := newDeployment(t, p, world.Options{Emulator: []string{"-max-messages", "10000"}})
	type offer struct{ number, subject, name, body string }
	next := make(chan offer)
	var mu sync.Mutex
	accepted := map[string]offer{}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for o := range next {
				a := w.Send(t, world.Message(
					world.With("content", map[string]string{"subject": o.subject, "plainText": o.body}),
					world.With("recipients", map[string]any{"to": []world.Address{mailbox(world.Recipient, o.name)}}),
					world.With("headers", map[string]string{"X-Number": o.number}),
				))
				switch a.StatusCode {
				case http.StatusAccepted:
					mu.Lock()
					accepted[o.number] = o
					mu.Unlock()
				case http.StatusBadRequest:
				default:
					t.Errorf("%+q: %s %s", o, a.Status, a.Body)
				}
			}
		})
	}
	for i, s := range naughty {
		next <- offer{strconv.Itoa(i) + " body", world.Subject, "", s}
		next <- offer{strconv.Itoa(i) + " header", s, s, world.Text}
	}
	close(next)
	all.Wait()
	t.Logf("%d of %d were accepted", len(accepted), 2*len(naughty))
	for _, m := range w.ACS.Messages(t) {
		number := m.Headers["X-Number"]
		o, ok := accepted[number]
		if !ok || m.Subject != o.subject || m.Text != o.body || m.Recipients.To[0].DisplayName != o.name {
			t.Errorf("%+q arrived as %+v", o, m)
		}
		delete(accepted, number)
	}
	for _, o := range accepted {
		t.Errorf("%+q did not arrive", o)
	}
}

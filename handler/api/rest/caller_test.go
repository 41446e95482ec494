package rest_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// signed is a request as ACS's clients make it, whose signature is for body, and
// whose content is what follows. Its name is X-Forwarded-Host's, if there is one.
func (d *deployment) signed(t *testing.T, method, path, body, content string, headers ...string) *http.Request {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(d.access)
	if err != nil {
		t.Fatal(err)
	}
	req := d.request(t, method, path, content, headers...)
	sum := sha256.Sum256([]byte(body))
	hash := base64.StdEncoding.EncodeToString(sum[:])
	date := time.Now().UTC().Format(http.TimeFormat)
	m := hmac.New(sha256.New, key)
	m.Write([]byte(method + "\n" + req.URL.RequestURI() + "\n" + date + ";" + cmp.Or(req.Header.Get("X-Forwarded-Host"), req.URL.Host) + ";" + hash))
	req.Header.Set("x-ms-date", date)
	req.Header.Set("x-ms-content-sha256", hash)
	req.Header.Set("Authorization", "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature="+base64.StdEncoding.EncodeToString(m.Sum(nil)))
	return req
}

// withFile is a message whose attachment becomes a link.
func withFile(letter string) string {
	content := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte(letter), 60_000))
	return strings.TrimSuffix(gatewaytest.Small("file"), "}") + `,"attachments":[{"name":"a.bin","contentType":"application/octet-stream","contentInBase64":"` + content + `"}]}`
}

// Of a body that is not the one that was signed nothing is committed, sent or
// recorded, however late that shows.
func TestNothingOfAForgedBodyCounts(t *testing.T) {
	t.Parallel()
	part := func(content string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\n" + gatewaytest.Small("parts") +
			"\r\n--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\r\n" + content + "\r\n--b--"
	}
	const multipart = "multipart/form-data; boundary=b"
	small, file, parts := gatewaytest.Small("1"), withFile("a"), part(strings.Repeat("p", 60_000))
	for _, c := range []struct{ name, signed, sent, contentType string }{
		{"another message", small, gatewaytest.Small("2"), "application/json"},
		{"another recipient", small, strings.Replace(small, "ann@", "eve@", 1), "application/json"},
		{"a space at the end", small, small + " ", "application/json"},
		{"a line break before", small, "\n" + small, "application/json"},
		{"one letter of an attachment", file, strings.Replace(file, "YWFh", "YWFi", 1), "application/json"},
		{"the last letter of it", file, file[:len(file)-6] + "i" + file[len(file)-5:], "application/json"},
		{"another attachment", file, withFile("b"), "application/json"},
		{"a space after an attachment", file, file + " ", "application/json"},
		{"a file that comes as a part", parts, part(strings.Repeat("q", 60_000)), multipart},
		{"a line break behind the last part", parts, parts + "\r\n", multipart},
		{"an empty body", "", small, "application/json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, plenty)
			forged := d.signed(t, "POST", "/emails:send", c.signed, c.sent, "Content-Type", c.contentType, "Idempotency-Key", "order-1")
			if res := d.do(t, forged); res.StatusCode != http.StatusUnauthorized || res.slug(t) != "unauthenticated" {
				t.Errorf("%d %s", res.StatusCode, res.text)
			}
			if n := d.Visible(t); n != 0 || len(d.ACS.Arrivals) != 0 {
				t.Errorf("%d files were committed, ACS was called %d times", n, len(d.ACS.Arrivals))
			}
			if c.signed == "" {
				return
			}
			// The key is as free as before.
			right := d.signed(t, "POST", "/emails:send", c.signed, c.signed, "Content-Type", c.contentType, "Idempotency-Key", "order-1")
			if res := d.do(t, right); res.StatusCode != http.StatusAccepted || res.Header.Get("Idempotency-Replayed") != "" {
				t.Errorf("the right body: %d %s", res.StatusCode, res.text)
			}
		})
	}
}

// What has no body is signed with the hash of nothing, whatever the method.
func TestTheHashOfNoBody(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	id := d.do(t, d.request(t, "POST", "/emails:send", twoFiles())).document(t).ID
	d.end(t, id, record.Accepted, nil)
	for _, c := range []struct {
		name, method, path string
		status             int
	}{
		{"a status", "GET", "/emails/operations/" + id, 200},
		{"an end", "GET", "/emails/operations/" + id + "/result", 200},
		{"a slot", "POST", "/attachments", 201},
		{"who I am", "GET", "/callers/me", 200},
		{"links withdrawn", "DELETE", "/emails/operations/" + id + "/links", 204},
	} {
		if res := d.do(t, d.signed(t, c.method, c.path, "another body", "")); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s, signed for another body: %d %s", c.name, res.StatusCode, res.text)
		}
		if res := d.do(t, d.signed(t, c.method, c.path, "", "")); res.StatusCode != c.status {
			t.Errorf("%s: %d %s", c.name, res.StatusCode, res.text)
		}
	}
}

// A client that repeats a signed request within its five minutes has the first answer
// again, or is refused: nothing is sent twice under one name.
func TestARepeatedSignatureSendsNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, header, value string }{
		{"an operation id", "Operation-Id", "6f1c9a54-0b1e-4e55-9d53-c2f8e2c0a7d1"},
		{"an idempotency key", "Idempotency-Key", "order-4711"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, plenty)
			first := d.signed(t, "POST", "/emails:send", gatewaytest.Small("1"), gatewaytest.Small("1"), c.header, c.value)
			id := d.do(t, first).document(t).ID
			again := d.request(t, "POST", "/emails:send", gatewaytest.Small("1"))
			again.Header = first.Header.Clone()
			if res := d.do(t, again); res.StatusCode != http.StatusAccepted || res.document(t).ID != id || res.Header.Get("Idempotency-Replayed") != "true" {
				t.Errorf("a repeat: %d %s", res.StatusCode, res.text)
			}
			other := d.signed(t, "POST", "/emails:send", gatewaytest.Small("2"), gatewaytest.Small("2"), c.header, c.value)
			if res := d.do(t, other); res.StatusCode != http.StatusUnprocessableEntity || res.slug(t) != "key-reused" {
				t.Errorf("another message: %d %s", res.StatusCode, res.text)
			}
			if len(d.ACS.Sent) != 1 {
				t.Errorf("%d messages were sent", len(d.ACS.Sent))
			}
		})
	}
}

// tokens takes one token.
type tokens struct{ err error }

func (k tokens) Verify(_ context.Context, token string) (caller.Identity, error) {
	if token != "a.good.token" {
		return caller.Identity{}, problem.New(problem.Unauthenticated, "The Entra ID token was not accepted: it has expired.")
	}
	return caller.Identity{App: "aaaaaaaa-1111-4111-8111-111111111111"}, k.err
}

func TestACallerIsToldWhoItIs(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	d.callers.Trust(tokens{})
	if _, err := d.callers.Add(t.Context(), "flow", caller.Policy{Senders: []string{"*@example.com"}, EntraApps: []string{"aaaaaaaa-1111-4111-8111-111111111111"}}); err != nil {
		t.Fatal(err)
	}
	type me struct {
		Name, Proof string
		Policy      caller.Policy
		Key         *struct {
			Generation int64
			Made       time.Time
		}
	}
	for _, c := range []struct {
		name string
		req  *http.Request
		want me
	}{
		{"by its key", d.request(t, "GET", "/callers/me", ""), me{Name: "shop", Proof: "key"}},
		{"by its signature", d.signed(t, "GET", "/callers/me", "", ""), me{Name: "shop", Proof: "signature"}},
		{"by its signature for the name that the host has kept", d.signed(t, "GET", "/callers/me", "", "", "X-Forwarded-Host", "shop.azurewebsites.net"), me{Name: "shop", Proof: "signature"}},
		{"by its token", d.request(t, "GET", "/callers/me", "", "Authorization", "Bearer a.good.token"), me{Name: "flow", Proof: "token"}},
	} {
		res := d.do(t, c.req)
		var got me
		if err := json.Unmarshal([]byte(res.text), &got); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", c.name, res.StatusCode, res.text)
		}
		if got.Name != c.want.Name || got.Proof != c.want.Proof || !slices.Equal(got.Policy.Senders, []string{"*@example.com"}) {
			t.Errorf("%s: %s", c.name, res.text)
		}
		if byKey := c.want.Proof != "token"; byKey != (got.Key != nil) || byKey && (got.Key.Generation != 1 || time.Since(got.Key.Made) > time.Hour) {
			t.Errorf("%s: its key: %s", c.name, res.text)
		}
		if strings.Contains(res.text, d.key) {
			t.Error("a key is told")
		}
	}
	for _, c := range []struct {
		name, authorization string
		status              int
	}{
		{"nobody", "", 401}, {"a bad token", "Bearer a.bad.token", 401}, {"a bad key", "Bearer ph_x", 401},
	} {
		if res := d.do(t, d.request(t, "GET", "/callers/me", "", "Authorization", c.authorization)); res.StatusCode != c.status {
			t.Errorf("%s: %d %s", c.name, res.StatusCode, res.text)
		}
	}
	renamed := d.signed(t, "GET", "/callers/me", "", "", "X-Forwarded-Host", "shop.azurewebsites.net")
	renamed.Header.Set("X-Forwarded-Host", "shop.example.com")
	if res := d.do(t, renamed); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a signature for another name: %d %s", res.StatusCode, res.text)
	}
	if err := d.callers.SetPolicy(t.Context(), "flow", caller.Policy{Senders: []string{"*"}}); err != nil {
		t.Fatal(err)
	}
	fresh := newDeployment(t, plenty)
	fresh.callers.Trust(tokens{})
	res := fresh.do(t, fresh.request(t, "GET", "/callers/me", "", "Authorization", "Bearer a.good.token"))
	if res.StatusCode != http.StatusForbidden || !strings.Contains(res.text, "--entra-app aaaaaaaa-1111-4111-8111-111111111111") {
		t.Errorf("nobody's token: %d %s", res.StatusCode, res.text)
	}
	fresh.callers.Trust(tokens{problem.New(problem.Unavailable, "Not now.")})
	if res := fresh.do(t, fresh.request(t, "GET", "/callers/me", "", "Authorization", "Bearer a.good.token")); res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("no keys of the issuer: %d %s", res.StatusCode, res.text)
	}
}

// Location is where a client waits that knows only HTTP.
func TestTheEndOfAMessage(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	sent := d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("1")))
	id := sent.document(t).ID
	location, ok := strings.CutPrefix(sent.Header.Get("Location"), d.server.URL)
	if want := "/emails/operations/" + id + "/result"; !ok || location != want {
		t.Fatalf("Location is %s, want %s", sent.Header.Get("Location"), want)
	}
	d.end(t, id, record.Accepted, nil)
	if res := d.do(t, d.request(t, "GET", location, "")); res.StatusCode != http.StatusOK || res.document(t).Status != "Succeeded" {
		t.Errorf("%d %s", res.StatusCode, res.text)
	}
	if res := d.do(t, d.request(t, "GET", location, "", "Authorization", "")); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a stranger: %d %s", res.StatusCode, res.text)
	}
	refused := problem.New(problem.RefusedByACS, "ACS refused the message: no such user")
	refused.Upstream = "InvalidEmailAddress"
	const name = "6f1c9a54-0b1e-4e55-9d53-c2f8e2c0a7d1"
	d.ACS.Answer = func(*mail.Message) (bool, error) { return false, refused }
	d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("2"), "Operation-Id", name))
	end := "/emails/operations/" + name + "/result"
	res := d.do(t, d.request(t, "GET", end, ""))
	if doc := res.document(t); res.StatusCode != http.StatusUnprocessableEntity || res.slug(t) != "message-failed" || doc.Error.Code != "InvalidEmailAddress" || !strings.Contains(doc.Detail, "no such user") {
		t.Errorf("refused: %d %s", res.StatusCode, res.text)
	}
}

// While ACS is thinking the result is 202, with the same place to ask again.
func TestTheEndIsAwaited(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	const name = "6f1c9a54-0b1e-4e55-9d53-c2f8e2c0a7d1"
	const path = "/emails/operations/" + name + "/result"
	asked := make(chan answer, 1)
	d.ACS.Answer = func(*mail.Message) (bool, error) {
		asked <- d.do(t, d.request(t, "GET", path, ""))
		return true, nil
	}
	d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("1"), "Operation-Id", name))
	res := <-asked
	if res.StatusCode != http.StatusAccepted || res.Header.Get("Location") != d.server.URL+path || res.Header.Get("Retry-After") == "" || res.document(t).Status != "Running" {
		t.Errorf("%d %v %s", res.StatusCode, res.Header, res.text)
	}
	if res := d.do(t, d.request(t, "GET", path, "")); res.StatusCode != http.StatusAccepted || res.Header.Get("Retry-After") != "3" {
		t.Errorf("while ACS is at work: %d %v %s", res.StatusCode, res.Header, res.text)
	}
	d.end(t, name, record.Accepted, nil)
	if res := d.do(t, d.request(t, "GET", path, "")); res.StatusCode != http.StatusOK {
		t.Errorf("%d %s", res.StatusCode, res.text)
	}
}

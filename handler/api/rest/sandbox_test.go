package rest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
)

// sandboxed puts the shop into the sandbox.
func sandboxed(t *testing.T, limits ...func(*caller.Policy)) *deployment {
	t.Helper()
	d := newDeployment(t, plenty)
	p := caller.Policy{Senders: []string{"*@example.com"}, RecipientDomains: []string{"example.com"}, MaxRequestBytes: 100_000, Sandbox: true}
	for _, edit := range limits {
		edit(&p)
	}
	if err := d.callers.SetPolicy(t.Context(), "shop", p); err != nil {
		t.Fatal(err)
	}
	return d
}

// On every route a message of a caller in the sandbox is answered as ever, and the answer
// says that it was not sent. A repeat hears the same.
func TestTheSandboxAnswersOnEveryRoute(t *testing.T) {
	t.Parallel()
	people := `{"personalizations":[{"to":[{"email":"a@example.com"}]},{"to":[{"email":"b@example.com"}]}],"from":{"email":"donotreply@example.com"},"subject":"Hi","content":[{"type":"text/plain","value":"Hello"}]}`
	for _, c := range []struct {
		name, path, body string
		status           int
		told             string
	}{
		{"ACS's own", "/emails:send", gatewaytest.Small("Hi"), http.StatusAccepted, `"delivery":{"state":"accepted","sandbox":true,`},
		{"ACS's own, with a file", "/emails:send", gatewaytest.Large(), http.StatusAccepted, `"sandbox":true`},
		{"Resend", "/emails", fmt.Sprintf(inResend, ""), http.StatusOK, `{"id":"`},
		{"Resend, a batch", "/emails/batch", batch(inResend, "1", "2"), http.StatusOK, `{"data":[{"id":"`},
		{"Postmark", "/email", fmt.Sprintf(inPostmark, ""), http.StatusOK, `"To":"ann@example.com","SubmittedAt"`},
		{"Postmark, its words", "/email", fmt.Sprintf(inPostmark, ""), http.StatusOK, `"ErrorCode":0,"Message":"Test job accepted"`},
		{"Postmark, a batch", "/email/batch", batch(inPostmark, "1", "2"), http.StatusOK, `"Message":"Test job accepted"},{`},
		{"SendGrid, several", "/v3/mail/send", people, http.StatusAccepted, ""},
		{"SendGrid's own sandbox mode", "/v3/mail/send", strings.TrimSuffix(people, "}") + `,"mail_settings":{"sandbox_mode":{"enable":true}}}`, http.StatusOK, ""},
		{"too large a file", "/emails:send", strings.Replace(gatewaytest.Large(), `"name"`, `"placement":"inline","name"`, 1), http.StatusBadRequest, "/attachments/0/placement"},
		{"a stranger", "/emails:send", strings.Replace(gatewaytest.Small("Hi"), "ann@example.com", "ann@example.org", 1), http.StatusForbidden, "recipientDomains"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := sandboxed(t)
			for range 2 {
				res := d.do(t, d.request(t, "POST", c.path, c.body, "Idempotency-Key", "k", "X-Batch-Validation", "permissive"))
				if res.StatusCode != c.status || !strings.Contains(res.text, c.told) {
					t.Errorf("%d %s", res.StatusCode, res.text)
				}
				if says := res.Header.Get("Posthorn-Sandbox"); says == "true" != (c.status < 300) {
					t.Errorf("the header says %q", says)
				}
				if c.status == http.StatusAccepted && c.path == "/emails:send" {
					d.polls(t, res)
				}
			}
			if len(d.ACS.Arrivals) != 0 || d.Visible(t) != 0 {
				t.Error("something was sent or stored")
			}
		})
	}
}

// polls follows an answer of ACS's route to its end, as its clients do.
func (d *deployment) polls(t *testing.T, res answer) {
	t.Helper()
	var o struct{ ID string }
	if err := json.Unmarshal([]byte(res.text), &o); err != nil {
		t.Fatal(err)
	}
	for path, told := range map[string]string{"": `"status":"Succeeded"`, "/result": `"status":"Succeeded"`} {
		end := d.do(t, d.request(t, "GET", "/emails/operations/"+o.ID+path, ""))
		if end.StatusCode != http.StatusOK || !strings.Contains(end.text, told) || !strings.Contains(end.text, `"sandbox":true`) || end.Header.Get("Posthorn-Sandbox") != "true" {
			t.Errorf("%s: %d %s", path, end.StatusCode, end.text)
		}
	}
	if end := d.do(t, d.request(t, "GET", "/emails/"+o.ID, "")); end.StatusCode != http.StatusOK || end.Header.Get("Posthorn-Sandbox") != "true" {
		t.Errorf("Resend's poll: %d %s", end.StatusCode, end.text)
	}
}

func TestAHookOfACallerInTheSandbox(t *testing.T) {
	t.Parallel()
	d := sandboxed(t)
	_, path := d.hooked(t, "alerts", "generic")
	for range 2 {
		res := d.post(t, path, `{"a":1}`)
		if res.StatusCode != http.StatusAccepted || res.Header.Get("Posthorn-Sandbox") != "true" || !strings.Contains(res.text, `"sandbox":true`) {
			t.Errorf("%d %s", res.StatusCode, res.text)
		}
	}
	if len(d.ACS.Arrivals) != 0 {
		t.Error("it was sent")
	}
}

// What SendGrid's sandbox mode says yes to could be sent.
func TestSendGridsSandboxModeLooksAtTheSize(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	body := `{"personalizations":[{"to":[{"email":"a@example.com"}]}],"from":{"email":"donotreply@example.com"},"subject":"Hi","content":[{"type":"text/plain","value":"` +
		strings.Repeat("Hello ", gatewaytest.MaxRequestBytes/6) + `"}],"mail_settings":{"sandbox_mode":{"enable":true}}}`
	res := d.do(t, d.request(t, "POST", "/v3/mail/send", body))
	if res.StatusCode != http.StatusRequestEntityTooLarge || res.Header.Get("Posthorn-Sandbox") != "" {
		t.Errorf("%d %s", res.StatusCode, res.text)
	}
}

// A redirected message goes to one mailbox by whatever route it came, and its answer names
// the true recipients where the API has room for them.
func TestARedirectionOnEveryRoute(t *testing.T) {
	t.Parallel()
	d := sandboxed(t, func(p *caller.Policy) { p.Sandbox, p.RecipientDomains, p.RedirectTo = false, nil, "qa@example.org" })
	shop, err := d.callers.Named(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	d.Lists.Set(shop)
	_, hook := d.hooked(t, "alerts", "generic")
	for _, c := range []struct{ name, path, body, told string }{
		{"ACS's own", "/emails:send", gatewaytest.Small("Hi"), `"redirected":true`},
		{"Resend", "/emails", fmt.Sprintf(inResend, ""), `{"id":"`},
		{"Resend, a batch", "/emails/batch", batch(inResend, "1"), `{"data":[{"id":"`},
		{"Postmark", "/email", fmt.Sprintf(inPostmark, ""), `"To":"ann@example.com"`},
		{"Postmark, a batch", "/email/batch", batch(inPostmark, "1"), `"To":"ann@example.com"`},
		{"a hook", hook, `{"a":1}`, `"state":"accepted"`},
	} {
		d.ACS.Sent = nil
		post := func(path, body string) answer { return d.do(t, d.request(t, "POST", path, body)) }
		if c.path == hook {
			post = func(path, body string) answer { return d.post(t, path, body) }
		}
		res := post(c.path, c.body)
		if res.StatusCode >= 300 || !strings.Contains(res.text, c.told) {
			t.Errorf("%s: %d %s", c.name, res.StatusCode, res.text)
		}
		if len(d.ACS.Sent) != 1 || d.ACS.Sent[0].Recipients.All()[0].Address != "qa@example.org" || !strings.HasPrefix(d.ACS.Sent[0].Content.PlainText, "Redirected.") {
			t.Errorf("%s: sent %+v", c.name, d.ACS.Sent)
		}
	}
}

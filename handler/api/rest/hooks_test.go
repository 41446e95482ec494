package rest_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/api/hook"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// hooked adds a hook for the shop, and returns its path with its key.
func (d *deployment) hooked(t *testing.T, name, builtin string, edit ...func(*hook.Policy)) (hook.Hook, string) {
	t.Helper()
	p := hook.Policy{Caller: "shop", Sender: "alerts@example.com", To: []string{"team@example.com"}, Builtin: builtin}
	for _, e := range edit {
		e(&p)
	}
	secret := ""
	if builtin == "stripe" {
		secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	}
	h := hook.Hook{Holder: keyring.Holder{Name: name}, Policy: p}
	if builtin != "form" { // ACS takes little in these tests
		h.Template = hook.Template{Subject: `{{hook}}{{with .issue}}: {{.title}}{{end}}`, Text: `{{clip 300 (text .)}}`}
	}
	h, err := d.hooks.Add(t.Context(), h, secret)
	if err != nil {
		t.Fatal(err)
	}
	return h, "/hooks/" + name + "?key=" + d.hooks.Key(h)
}

// post delivers without the caller's own key, as strangers do.
func (d *deployment) post(t *testing.T, path, body string, headers ...string) answer {
	t.Helper()
	return d.do(t, d.request(t, "POST", path, body, append([]string{"Authorization", ""}, headers...)...))
}

func sampleOf(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../hook/testdata/samples/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

type delivered struct {
	Messages []struct {
		ID, State, Error string
		Replayed         bool
		Fallback         bool
	}
}

func (a answer) delivered(t *testing.T) delivered {
	t.Helper()
	var all delivered
	if err := json.Unmarshal([]byte(a.text), &all); err != nil || a.StatusCode != http.StatusAccepted {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	return all
}

func TestADeliveryBecomesAMessageOnce(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	_, path := d.hooked(t, "events", "event-grid")
	two := sampleOf(t, "event-grid-two.json")
	first := d.post(t, path, two).delivered(t)
	if len(first.Messages) != 2 || first.Messages[0].State != "accepted" || first.Messages[0].Replayed {
		t.Fatalf("%+v", first)
	}
	if again := d.post(t, path, two).delivered(t); again.Messages[1].ID != first.Messages[1].ID || !again.Messages[1].Replayed {
		t.Errorf("again: %+v", again)
	}
	if put := d.do(t, d.request(t, "PUT", path, two, "Authorization", "", "Content-Type", "application/json")).delivered(t); put.Messages[1].ID != first.Messages[1].ID {
		t.Errorf("by PUT: %+v", put)
	}
	if len(d.ACS.Sent) != 2 || d.ACS.Sent[0].SenderAddress != "alerts@example.com" || d.ACS.Sent[0].Headers["Auto-Submitted"] != "auto-generated" {
		t.Errorf("sent %+v", d.ACS.Sent)
	}
	// It is the caller's message, whose key tells of it.
	if res := d.do(t, d.request(t, "GET", "/emails/operations/"+first.Messages[0].ID, "")); res.StatusCode != http.StatusOK {
		t.Errorf("the status: %d %s", res.StatusCode, res.text)
	}
	if strings.Contains(d.log.String(), "ph_hook") || strings.Contains(d.log.String(), "key=") {
		t.Errorf("the key is in the log: %s", d.log.String())
	}
}

// Who makes a hook anew, for other people, sees the test of Azure Monitor again: it has the
// same ids each time.
func TestAHookThatWasMadeAnewKnowsNoRepeat(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	alert := sampleOf(t, "azure-monitor.json")
	for range 2 {
		_, path := d.hooked(t, "alerts", "azure-monitor")
		if first := d.post(t, path, alert).delivered(t); first.Messages[0].Replayed {
			t.Errorf("the first delivery: %+v", first)
		}
		if again := d.post(t, path, alert).delivered(t); !again.Messages[0].Replayed {
			t.Errorf("a repeat: %+v", again)
		}
		if err := d.hooks.End(t.Context(), "alerts"); err != nil {
			t.Fatal(err)
		}
	}
	if len(d.ACS.Sent) != 2 {
		t.Errorf("%d sent", len(d.ACS.Sent))
	}
}

// Stripe counts the attempts in the body, so a repeat may read differently.
func TestADeliveryThatReadsDifferentlyIsTheSame(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	_, path := d.hooked(t, "mine", "generic")
	first := d.post(t, path, `{"attempt":1}`, "Idempotency-Key", "4711").delivered(t)
	again := d.post(t, path, `{"attempt":2}`, "Idempotency-Key", "4711").delivered(t)
	if !again.Messages[0].Replayed || again.Messages[0].ID != first.Messages[0].ID || len(d.ACS.Sent) != 1 {
		t.Errorf("%+v, then %+v, %d sent", first, again, len(d.ACS.Sent))
	}
}

func TestDeliveriesThatAreRefused(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	_, path := d.hooked(t, "mine", "grafana")
	_, other := d.hooked(t, "other", "grafana")
	_, cursed := d.hooked(t, "cursed", "generic", func(p *hook.Policy) { p.To, p.ToFrom, p.Allow = nil, "/to", []string{"*@example.com"} })
	d.hooked(t, "signed", "github")
	_, key, _ := strings.Cut(other, "?")
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		slug                     string
	}{
		{"no key", "POST", "/hooks/mine", "{}", nil, 401, "unauthenticated"},
		{"another hook's key", "POST", "/hooks/mine?" + key, "{}", nil, 401, "unauthenticated"},
		{"no key and a body that is too large", "POST", "/hooks/mine", strings.Repeat(" ", hook.MaxBodyBytes+1), nil, 401, "unauthenticated"},
		{"a caller's key", "POST", "/hooks/mine", "{}", []string{"Authorization", "Bearer " + d.key}, 401, "unauthenticated"},
		{"no such hook", "POST", "/hooks/nobody?" + key, "{}", nil, 401, "unauthenticated"},
		{"a name that is none", "POST", "/hooks/..%2Femails?" + key, "{}", nil, 401, "unauthenticated"},
		{"no signature", "POST", "/hooks/signed", "{}", nil, 401, "unauthenticated"},
		{"a wrong signature", "POST", "/hooks/signed", "{}", []string{"X-Hub-Signature-256", "sha256=" + strings.Repeat("0", 64)}, 401, "unauthenticated"},
		{"no JSON", "POST", path, "hello", nil, 400, "malformed-json"},
		{"XML", "POST", path, "<a/>", []string{"Content-Type", "text/xml"}, 415, "unsupported-media-type"},
		{"gzip", "POST", path, "{}", []string{"Content-Encoding", "gzip"}, 415, "unsupported-media-type"},
		{"too large", "POST", path, strings.Repeat(" ", hook.MaxBodyBytes+1), nil, 413, "too-large"},
		{"a recipient who is not allowed", "POST", cursed, `{"to":"eve@evil.example"}`, nil, 400, "invalid-message"},
		{"looking without a key", "GET", "/hooks/mine", "", nil, 401, "unauthenticated"},
		{"asking to deliver without a key", "OPTIONS", "/hooks/mine", "", []string{"WebHook-Request-Origin", "eventgrid.azure.net"}, 401, "unauthenticated"},
		{"asking with a name that is none", "OPTIONS", path, "", []string{"WebHook-Request-Origin", "a b"}, 400, "invalid-request"},
		{"a method", "PATCH", path, "", nil, 405, "method-not-allowed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			headers := append([]string{"Authorization", "", "Content-Type", "application/json"}, c.headers...)
			res := d.do(t, d.request(t, c.method, c.path, c.body, headers...))
			if res.StatusCode != c.status || res.slug(t) != c.slug {
				t.Errorf("got %d %s", res.StatusCode, res.text)
			}
		})
	}
	t.Cleanup(func() {
		if len(d.ACS.Sent) != 0 {
			t.Errorf("%d messages were sent", len(d.ACS.Sent))
		}
	})
}

// What waits safely is accepted; what cannot be kept is 503 with Retry-After,
// whatever it is called inside.
func TestWhatCanGoLaterMakesTheSenderComeAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		limits quota.Limits
		broken func(*testing.T, *deployment)
		status int
	}{
		{"ACS is busy", plenty, func(_ *testing.T, d *deployment) {
			d.ACS.Answer = func(*mail.Message) (bool, error) { return false, problem.New(problem.ACSBusy, "wait") }
		}, 202},
		{"ACS failed", plenty, func(_ *testing.T, d *deployment) {
			d.ACS.Answer = func(*mail.Message) (bool, error) { return false, problem.New(problem.ACSFailed, "no") }
		}, 202},
		{"there is no quota", quota.Limits{PerMinute: 1, PerHour: 1}, func(t *testing.T, d *deployment) {
			if res := d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("first"))); res.StatusCode != http.StatusAccepted {
				t.Fatal(res.text)
			}
		}, 202},
		{"storage is away", plenty, func(_ *testing.T, d *deployment) { d.Failing("", mem.Refused) }, 503},
		{"ACS is misconfigured", plenty, func(_ *testing.T, d *deployment) {
			d.ACS.Answer = func(*mail.Message) (bool, error) { return false, problem.New(problem.ACSMisconfigured, "no") }
		}, 503},
		{"the caller's policy says no", plenty, func(t *testing.T, d *deployment) {
			if err := d.callers.SetPolicy(t.Context(), "shop", caller.Policy{Senders: []string{"other@example.com"}}); err != nil {
				t.Fatal(err)
			}
		}, 503},
		{"the caller is gone", plenty, func(t *testing.T, d *deployment) {
			if err := d.callers.End(t.Context(), "shop"); err != nil {
				t.Fatal(err)
			}
		}, 503},
		{"ACS refuses the message", plenty, func(_ *testing.T, d *deployment) {
			d.ACS.Answer = func(*mail.Message) (bool, error) { return false, problem.New(problem.RefusedByACS, "no") }
		}, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, c.limits)
			_, path := d.hooked(t, "mine", "alertmanager")
			c.broken(t, d)
			res := d.post(t, path, sampleOf(t, "alertmanager.json"))
			if res.StatusCode != c.status || c.status == http.StatusServiceUnavailable && res.Header.Get("Retry-After") == "" {
				t.Errorf("got %d %s, Retry-After %q", res.StatusCode, res.text, res.Header.Get("Retry-After"))
			}
			if c.status == http.StatusAccepted && res.delivered(t).Messages[0].State != "waiting" {
				t.Errorf("the message does not wait: %s", res.text)
			}
		})
	}
}

func TestTheHandshakesOfSenders(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	_, path := d.hooked(t, "mine", "event-grid")
	const validation = `[{"id":"2d1781af","topic":"/subscriptions/x","subject":"","data":{"validationCode":"512d38b6-c7b8-40c8-89fe-f46f9e9622b6"},
		"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","eventTime":"2018-01-25T22:12:19.4556811Z","metadataVersion":"1","dataVersion":"1"}]`
	res := d.post(t, path, validation, "Aeg-Event-Type", "SubscriptionValidation")
	if res.StatusCode != http.StatusOK || strings.TrimSpace(res.text) != `{"validationResponse":"512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}` {
		t.Errorf("Event Grid: %d %s", res.StatusCode, res.text)
	}
	if res := d.post(t, "/hooks/mine", validation, "Aeg-Event-Type", "SubscriptionValidation"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("Event Grid without the key: %d %s", res.StatusCode, res.text)
	}
	res = d.do(t, d.request(t, "OPTIONS", path, "", "Authorization", "", "WebHook-Request-Origin", "eventgrid.azure.net", "WebHook-Request-Rate", "120"))
	if res.StatusCode != http.StatusOK || res.Header.Get("WebHook-Allowed-Origin") != "eventgrid.azure.net" || res.Header.Get("WebHook-Allowed-Rate") != "*" || !strings.Contains(res.Header.Get("Allow"), "POST") {
		t.Errorf("CloudEvents: %d %v", res.StatusCode, res.Header)
	}
	for _, method := range []string{"GET", "HEAD"} {
		if res := d.do(t, d.request(t, method, path, "", "Authorization", "")); res.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", method, res.StatusCode, res.text)
		}
	}
	if len(d.ACS.Sent) != 0 {
		t.Errorf("%d messages were sent", len(d.ACS.Sent))
	}
}

// signedBy is GitHub's signature.
func signedBy(secret, body string) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(m.Sum(nil))
}

func TestASignedDeliveryNeedsNoKey(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	h, _ := d.hooked(t, "mine", "github")
	body := "payload=" + strings.NewReplacer("%", "%25", "&", "%26", "+", "%2B", "\n", "%0A", " ", "+", ";", "%3B").Replace(sampleOf(t, "github-issues.json"))
	told := d.post(t, "/hooks/mine", body, "Content-Type", "application/x-www-form-urlencoded",
		"X-GitHub-Event", "issues", "X-Hub-Signature-256", signedBy(d.hooks.Secret(h), body)).delivered(t)
	if len(told.Messages) != 1 || d.ACS.Sent[0].Content.Subject != "mine: Spelling error in the README file" {
		t.Errorf("%+v, sent %+v", told, d.ACS.Sent)
	}
}

func asForm(origins ...string) func(*hook.Policy) {
	return func(p *hook.Policy) { p.Form = &hook.Form{Origins: origins} }
}

const (
	formType = "application/x-www-form-urlencoded"
	browser  = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	site     = "https://www.example.com"
	filled   = "name=Ann&email=ann%40example.com&m=Hi"
)

func TestForms(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	d.hooked(t, "plain", "form", asForm(site))
	d.hooked(t, "leading", "form", asForm(site), func(p *hook.Policy) { p.Form.Redirect = "https://www.example.com/thanks" })
	d.hooked(t, "open", "form", asForm("*"))
	for i, c := range []struct {
		name, hook, body string
		headers          []string
		status           int
		location         string
		sends            bool
	}{
		{"a browser sees a page", "plain", filled, []string{"Accept", browser, "Origin", site}, 200, "", true},
		{"a browser is led on", "leading", filled, []string{"Accept", browser, "Origin", site}, 303, "https://www.example.com/thanks", true},
		{"the form names a page of its site", "leading", filled + "&_next=https%3A%2F%2Fwww.example.com%2Fok", []string{"Accept", browser, "Origin", site}, 303, "https://www.example.com/ok", true},
		{"the form names a page elsewhere", "leading", filled + "&_next=https%3A%2F%2Fevil.example%2F", []string{"Accept", browser, "Origin", site}, 303, "https://www.example.com/thanks", true},
		{"the form names a page elsewhere, and all sites are allowed", "open", filled + "&_next=https%3A%2F%2Fevil.example%2F", []string{"Accept", browser, "Origin", "https://evil.example"}, 200, "", true},
		{"a script gets JSON", "plain", filled, []string{"Accept", "application/json", "Origin", site}, 202, "", true},
		{"a browser that hides its origin says where it comes from", "plain", filled, []string{"Accept", browser, "Origin", "null", "Referer", site + "/contact"}, 200, "", true},
		{"a robot fills in all fields", "plain", filled + "&_gotcha=buy", []string{"Accept", browser, "Origin", site}, 200, "", false},
		{"another site", "plain", filled, []string{"Accept", browser, "Origin", "https://evil.example"}, 403, "", false},
		{"another site that begins like ours", "plain", filled, []string{"Accept", browser, "Origin", site + ".evil.example"}, 403, "", false},
		{"no site", "plain", filled, []string{"Accept", browser}, 403, "", false},
		{"a file", "plain", "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\nMZ\r\n--x--\r\n", []string{"Accept", browser, "Origin", site, "Content-Type", "multipart/form-data; boundary=x"}, 400, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(d.ACS.Sent)
			body := c.body
			if !strings.HasPrefix(body, "--") {
				body += "&n=" + string(rune('a'+i)) // no two are the same delivery
			}
			res := d.post(t, "/hooks/"+c.hook, body, append([]string{"Content-Type", formType}, c.headers...)...)
			if res.StatusCode != c.status || res.Header.Get("Location") != c.location {
				t.Errorf("%d, Location %q: %s", res.StatusCode, res.Header.Get("Location"), res.text)
			}
			if sent := len(d.ACS.Sent) > before; sent != c.sends {
				t.Errorf("sent: %t", sent)
			} else if sent {
				m := d.ACS.Sent[before]
				if m.Recipients.To[0].Address != "team@example.com" || m.ReplyTo[0].Address != "ann@example.com" || strings.Contains(m.Content.PlainText, "_next") {
					t.Errorf("sent %+v", m)
				}
			}
		})
	}
}

func TestCORSOfForms(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	d.hooked(t, "plain", "form", asForm(site))
	for _, c := range []struct {
		origin string
		status int
	}{{site, 204}, {"https://evil.example", 403}, {"null", 403}} {
		res := d.do(t, d.request(t, "OPTIONS", "/hooks/plain", "", "Authorization", "", "Origin", c.origin, "Access-Control-Request-Method", "POST"))
		allowed := res.Header.Get("Access-Control-Allow-Origin")
		if res.StatusCode != c.status || (allowed == c.origin) != (c.status == 204) {
			t.Errorf("%s: %d %v", c.origin, res.StatusCode, res.Header)
		}
	}
	res := d.post(t, "/hooks/plain", filled, "Origin", site, "Content-Type", formType, "Accept", "application/json")
	if res.Header.Get("Access-Control-Allow-Origin") != site || res.Header.Get("Vary") != "Origin" {
		t.Errorf("the answer has %v", res.Header)
	}
}

// What a hook sends is known as the hook's: when it is removed, nothing of it leaves.
func TestAMessageKnowsItsHook(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	_, path := d.hooked(t, "alerts", "generic")
	d.Lists.Remove("/alerts")
	if a := d.post(t, path, `{"a":1}`); a.StatusCode != http.StatusServiceUnavailable || len(d.ACS.Arrivals) != 0 {
		t.Errorf("%d %s, %d sent", a.StatusCode, a.text, len(d.ACS.Arrivals))
	}
	if a := d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("1"))); a.StatusCode != http.StatusAccepted {
		t.Errorf("by its caller: %d %s", a.StatusCode, a.text)
	}
}

// A stranger who sends a form is not told what the operator said of a pause; a sender with
// a key is.
func TestWhoHearsWhyAHookIsPaused(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	_, form := d.hooked(t, "contact", "form", func(p *hook.Policy) { p.Form = &hook.Form{Origins: []string{"https://www.example.com"}} })
	_, alerts := d.hooked(t, "alerts", "generic")
	if err := d.callers.Pause(t.Context(), "shop", "a loop", true); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		answer answer
		told   bool
	}{
		{"a script", d.post(t, form, "name=Ann", "Content-Type", "application/x-www-form-urlencoded", "Origin", "https://www.example.com"), false},
		{"a browser", d.post(t, form, "name=Ann", "Content-Type", "application/x-www-form-urlencoded", "Origin", "https://www.example.com", "Accept", "text/html"), false},
		{"a sender", d.post(t, alerts, `{"a":1}`), true},
	} {
		a := c.answer
		if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") != "60" || strings.Contains(a.text, "a loop") != c.told {
			t.Errorf("%s: %d %s", c.name, a.StatusCode, a.text)
		}
	}
	if len(d.ACS.Arrivals) != 0 {
		t.Error("something was sent")
	}
}

// A hook that is paused lets what comes wait, or refuses it and says that it is the hook.
func TestAHookIsPaused(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	_, alerts := d.hooked(t, "alerts", "generic")
	_, orders := d.hooked(t, "orders", "generic")
	if err := d.hooks.Suspend(t.Context(), "alerts", "ACS refuses it."); err != nil {
		t.Fatal(err)
	}
	if err := d.hooks.Pause(t.Context(), "orders", "a loop", true); err != nil {
		t.Fatal(err)
	}
	if a := d.post(t, alerts, `{"a":1}`); a.StatusCode != http.StatusAccepted || !strings.Contains(a.text, `"state":"waiting"`) {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a := d.post(t, orders, `{"a":2}`); a.StatusCode != http.StatusServiceUnavailable || !strings.Contains(a.text, "The operator has paused this hook: a loop.") {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if len(d.ACS.Arrivals) != 0 {
		t.Error("something was sent")
	}
}

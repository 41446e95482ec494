package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/posthorn/posthorn/handler/local/emulator"
	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/operate/azure/azuretest"
	"github.com/posthorn/posthorn/handler/problem"
)

// probeLogins gives the operator tokens: of ARM, and of all else one that looks like a JWT.
type probeLogins struct{}

var anyJWT = strings.Repeat(base64.RawURLEncoding.EncodeToString([]byte(`{"a":1}`))+".", 2) + "c2lnbmF0dXJl"

func (probeLogins) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token := anyJWT
	if strings.Contains(o.Scopes[0], "management.azure.com") {
		token = "operator"
	}
	return azcore.AccessToken{Token: token, ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// probeOperator is an operator with a deployment, whose parts are what a test makes of them.
type probeOperator struct {
	*testOperator
	file   string // of the connection
	mu     sync.Mutex
	clock  time.Time
	asleep func(time.Duration) // called before each sleep; may be nil
	typed  string
	person bool
}

func newProbeOperator(t *testing.T, settings map[string]string) *probeOperator {
	t.Helper()
	d := &probeOperator{testOperator: newTestOperator(t), clock: time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC)}
	d.file = strings.TrimPrefix(d.environ[0], "POSTHORN_CONNECTION=")
	var at connection
	text, err := os.ReadFile(d.file)
	if err == nil {
		err = json.Unmarshal(text, &at)
	}
	for name, value := range settings {
		at.Settings[name] = value
	}
	if text, _ = json.Marshal(at); err == nil {
		err = os.WriteFile(d.file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *probeOperator) now() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.clock
}

func (d *probeOperator) pass(wait time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clock = d.clock.Add(wait)
}

// run gives words to `posthorn doctor --probe`. Whatever happens, no address and no token
// is printed or kept.
func (d *probeOperator) run(t *testing.T, words string) (out, said string, code int) {
	t.Helper()
	return d.runUntil(t.Context(), t, words)
}

func (d *probeOperator) runUntil(ctx context.Context, t *testing.T, words string) (out, said string, code int) {
	t.Helper()
	var o, s bytes.Buffer
	code = run(ctx, append([]string{"doctor", "--probe"}, strings.Fields(words)...), &console{
		environ: d.environ, in: strings.NewReader(d.typed), out: &o, said: &s, person: d.person, now: d.now,
		arm: func() (*azure.Client, error) { return d.Client(t, probeLogins{}), nil },
		sleep: func(ctx context.Context, wait time.Duration) error {
			if d.asleep != nil {
				d.asleep(wait)
			}
			d.pass(wait)
			return ctx.Err()
		},
	})
	kept, _ := os.ReadFile(filepath.Join(filepath.Dir(d.file), "probes.json"))
	for what, text := range map[string]string{"printed": o.String(), "said": s.String(), "kept": string(kept)} {
		for _, secret := range []string{"ann@", "@example", "nobody@", anyJWT, "Bearer"} {
			if strings.Contains(strings.ToLower(text), strings.ToLower(secret)) && !strings.Contains(text, "Usage:") {
				t.Errorf("%q is %s:\n%s", secret, what, text)
			}
		}
	}
	return o.String(), s.String(), code
}

// findings reads what was kept.
func (d *probeOperator) findings(t *testing.T) map[string]*probeFinding {
	t.Helper()
	f, err := (&console{environ: d.environ}).openFindings(testService)
	if err != nil {
		t.Fatal(err)
	}
	return f.here
}

// scriptedACS is a service that answers as it is told: each answer is a status, then a code
// or a state. The last one is given again and again.
type scriptedACS struct {
	mu        sync.Mutex
	post, get []string
	bodies    [][]byte
}

func (s *scriptedACS) serve(t *testing.T) map[string]string {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return map[string]string{"POSTHORN_ACS_ENDPOINT": server.URL, "POSTHORN_QUOTA": "managed-domain"}
}

func (s *scriptedACS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	list := &s.get
	if r.Method == http.MethodPost {
		list = &s.post
		s.bodies = append(s.bodies, body)
	}
	line := (*list)[0]
	if len(*list) > 1 {
		*list = (*list)[1:]
	}
	s.mu.Unlock()
	status, rest, _ := strings.Cut(line, " ")
	code, _ := strconv.Atoi(status)
	if code == 0 {
		panic(http.ErrAbortHandler) // no answer
	}
	if code == http.StatusTooManyRequests {
		window, wait, _ := strings.Cut(rest, " ")
		w.Header().Set("Retry-After", wait)
		rest = "TooManyRequests"
		w.Header().Set("X-Window", window)
	}
	w.Header().Set("MS-CV", "vector.0")
	w.Header().Set("X-Ms-Secret", "ann@example.org said so")
	w.WriteHeader(code)
	word, failure, _ := strings.Cut(rest, " ")
	answer := map[string]any{"status": word, "error": nil}
	if failure != "" {
		answer["error"] = map[string]string{"code": failure, "message": "ann@example.org"}
	}
	if code >= 300 {
		answer = map[string]any{"error": map[string]string{"code": word, "message": "PerSubscriptionPer" + w.Header().Get("X-Window") + "LimitExceeded - ann@example.org"}}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// withACS has the emulator as the service. Its clock is the operator's.
func withACS(t *testing.T, settings map[string]string, c emulator.Config) (*probeOperator, *[]string) {
	t.Helper()
	d := newProbeOperator(t, nil)
	c.Now = d.now
	var mu sync.Mutex
	var mails []string
	c.Deliver = func(_ string, _ time.Time, request []byte) error {
		mu.Lock()
		defer mu.Unlock()
		mails = append(mails, string(request))
		return nil
	}
	e, err := emulator.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	all := map[string]string{"POSTHORN_ACS_ENDPOINT": server.URL}
	for name, value := range settings {
		all[name] = value
	}
	withSettings := newProbeOperator(t, all)
	d.testOperator, d.file = withSettings.testOperator, withSettings.file
	return d, &mails
}

const toAnn = " --yes --sender donotreply@example.com --to ann@example.org"

// Every answer that a probe can give is given once. What goes on from it later has a
// table of its own.
func TestProbesAnswer(t *testing.T) {
	t.Parallel()
	type setup func(t *testing.T) *probeOperator
	scripted := func(post, get string) setup {
		return func(t *testing.T) *probeOperator {
			s := &scriptedACS{post: strings.Split(post, ","), get: strings.Split(get, ",")}
			return newProbeOperator(t, s.serve(t))
		}
	}
	withEmulator := func(c emulator.Config) setup {
		return func(t *testing.T) *probeOperator {
			d, _ := withACS(t, map[string]string{"POSTHORN_QUOTA": "managed-domain"}, c)
			return d
		}
	}
	site := func(status int, body string) setup {
		return func(t *testing.T) *probeOperator {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
			}))
			t.Cleanup(s.Close)
			return newProbeOperator(t, map[string]string{"POSTHORN_PUBLIC_URL": s.URL})
		}
	}
	limits := emulator.Limits{Send: emulator.Limit{PerMinute: 5}}
	three := " --to ben@example.org --to cat@example.org"
	for _, c := range []struct {
		probe, answer, words string
		setup                setup
	}{
		{"P1", "routed", "", site(401, `{"type":"`+problem.TypeBase+`unauthenticated"}`)},
		{"P1", "not-found", "", site(404, "")},
		{"P1", "other", "", site(200, "<html>Your app is up.</html>")},
		{"P2", "accepted", "", withEmulator(emulator.Config{})},
		{"P2", "refused", "", withEmulator(emulator.Config{Repeat: emulator.RepeatRefuse})},
		{"P2", "conflict", "", scripted("202 Running,409 Conflict", "")},
		{"P2.1m", "accepted", "", withEmulator(emulator.Config{})},
		{"P2.1m", "refused", "", scripted("202 Running,202 Running,400 BadRequest", "")},
		{"P2.1m", "conflict", "", scripted("202 Running,202 Running,409 Conflict", "")},
		{"P3", "accepted", "", withEmulator(emulator.Config{Repeat: emulator.RepeatDouble})},
		{"P3", "refused", "", withEmulator(emulator.Config{Repeat: emulator.RepeatRefuse})},
		{"P3", "conflict", "", withEmulator(emulator.Config{})},
		{"P4", "accepted", "", withEmulator(emulator.Config{Repeat: emulator.RepeatDouble})},
		{"P4", "refused", "", withEmulator(emulator.Config{})},
		{"P4", "conflict", "", scripted("202 Running,409 Conflict", "")},
		{"P4", "failed", "", scripted("202 Running", "200 Running,200 Failed EmailDropped")},
		{"P6", "accepted", "", withEmulator(emulator.Config{})},
		{"P6", "refused", "", scripted("400 BadRequest", "")},
		{"P6.case", "accepted", "", withEmulator(emulator.Config{})},
		{"P6.case", "refused", "", scripted("202 Running,400 BadRequest", "")},
		{"P7", "message", three, withEmulator(emulator.Config{Limits: limits})},
		{"P7", "recipients", three, scripted("202 Running,429 Minute 40", "")},
		{"P8", "free", " --exhaust", withEmulator(emulator.Config{Limits: limits})},
		{"P8", "counted", " --exhaust", withEmulator(emulator.Config{Limits: limits, CountRefused: true})},
		{"P8", "hour", " --exhaust", scripted("202 Running,429 Hour 3100", "")},
		{"P8", "none", " --exhaust", withEmulator(emulator.Config{})},
		{"P9", "401", "", scripted("401 Denied", "")},
		{"P9", "403", "", scripted("403 Forbidden", "")},
		{"P9.wait", "1m", "", scripted("401 Denied,401 Denied,400 BadRequest", "")},
		{"P9.wait", "5m", "", scripted(strings.Repeat("401 Denied,", 4)+"400 BadRequest", "")},
		{"P9.wait", "15m", "", scripted(strings.Repeat("401 Denied,", 12)+"400 BadRequest", "")},
		{"P9.wait", "30m", "", scripted(strings.Repeat("401 Denied,", 22)+"400 BadRequest", "")},
		{"P9.wait", "longer", "", scripted("401 Denied", "")},
		{"P10", "smaller", "", scripted("413 TooLarge", "")},
		{"P10", "10000000", "", scripted("400 BadRequest,202 Running", "")},
		{"P10", "10485760", "", withEmulator(emulator.Config{})},
		{"P10", "between", "", scripted("202 Running,202 Running,413 TooLarge", "")},
		{"P10", "before-base64", "", scripted("202 Running,202 Running,202 Running,413 TooLarge", "")},
		{"P10", "larger", "", scripted("202 Running", "")},
		{"P11", "accepted", "", withEmulator(emulator.Config{})},
		{"P11", "refused", "", scripted("400 BadRequest", "")},
		{"P12", "known", "", withEmulator(emulator.Config{})},
		{"P12", "later", "", withEmulator(emulator.Config{VisibleAfter: 4 * time.Second})},
		{"P13", "timestamp", "", withReports(`"data":{"messageId":"%s","status":"Delivered","recipient":"ann@example.org","deliveryAttemptTimestamp":"2026-11-29T09:00:05.99+00:00","deliveryStatusDetails":{"statusMessage":"ann@example.org"}},"eventTime":"2026-11-29T09:02:00Z"`, true)},
		{"P13", "time-stamp", "", withReports(`"specversion":"1.0","subject":"sender/donotreply@example.com/message/1","time":"2026-11-29T09:02:00Z","data":{"messageId":"%s","status":"Delivered","deliveryAttemptTimeStamp":"2026-11-29T09:00:05Z"}`, false)},
		{"P13", "neither", "", withReports(`"data":{"messageId":"%s"}`, true)},
		{"P14", "base64", "", withReports(`"data":{}`, true)},
		{"P14", "plain", "", withReports(`"data":{}`, false)},
		{"P15", "accepted", "", withEmulator(emulator.Config{})},
		{"P15", "refused", "", scripted("400 UnsupportedApiVersion", "")},
		{"P17", "failed", "", withSuppression("202 Running", "200 Failed EmailDroppedAllRecipientsSuppressed")},
		{"P17", "succeeded", "", withSuppression("202 Running", "200 Succeeded")},
		{"P17", "refused", "", withSuppression("400 BadRequest", "")},
		{"P20", "empties", "", func(t *testing.T) *probeOperator { return newProbeOperator(t, nil) }},
		{"P20", "keeps", "", func(t *testing.T) *probeOperator { return keepingLinks(newProbeOperator(t, nil)) }},
	} {
		t.Run(c.probe+"="+c.answer, func(t *testing.T) {
			t.Parallel()
			d := c.setup(t)
			base, _, _ := strings.Cut(c.probe, ".")
			out, said, code := d.run(t, "--only "+base+toAnn+c.words)
			if c.probe == "P9.wait" { // only when it is named
				d.run(t, "--answer P9=401")
				out, said, code = d.run(t, "--only P9.wait")
			}
			k := d.findings(t)[c.probe]
			if code != 0 || k == nil || k.Answer != c.answer || len(k.Evidence) == 0 || k.At.IsZero() || k.Version == "" {
				t.Fatalf("exit code %d, %+v, want %s\n%s\n%s", code, k, c.answer, out, said)
			}
			if !strings.Contains(out, c.probe) || !strings.Contains(out, c.answer) {
				t.Errorf("printed is %s", out)
			}
			for _, left := range d.findings(t) {
				if len(left.Left) != 0 {
					t.Errorf("%v is left", left.Left)
				}
			}
			for _, r := range d.Requests() {
				if r.Method != http.MethodGet && strings.HasSuffix(r.Path, testService) {
					t.Errorf("%s of what is connected", r.Method)
				}
			}
		})
	}
}

// withReports has a queue of reports, one for each mail that was sent, or one for none.
func withReports(event string, encoded bool) func(t *testing.T) *probeOperator {
	return func(t *testing.T) *probeOperator {
		var mu sync.Mutex
		ids := []string{"another"}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if r.Method == http.MethodPost {
				ids = append(ids, r.Header.Get("Operation-Id"))
				w.WriteHeader(http.StatusAccepted)
				_, _ = io.WriteString(w, `{"status":"Running"}`)
				return
			}
			fmt.Fprint(w, `<?xml version="1.0"?><QueueMessagesList>`)
			for _, id := range ids {
				text := "{" + strings.Replace(event, "%s", id, 1) + "}"
				if encoded {
					text = base64.StdEncoding.EncodeToString([]byte(text))
				}
				fmt.Fprintf(w, "<QueueMessage><MessageText>%s</MessageText></QueueMessage>", text)
			}
			fmt.Fprint(w, `</QueueMessagesList>`)
		}))
		t.Cleanup(server.Close)
		return newProbeOperator(t, map[string]string{"POSTHORN_ACS_ENDPOINT": server.URL, "POSTHORN_QUEUE_ENDPOINT": server.URL})
	}
}

// withSuppression has the domain of the sender.
func withSuppression(post, get string) func(t *testing.T) *probeOperator {
	return func(t *testing.T) *probeOperator {
		s := &scriptedACS{post: strings.Split(post, ","), get: strings.Split(get, ",")}
		d := newProbeOperator(t, s.serve(t))
		d.Put(testEmails+"/domains/example.com", azuretest.Object{"properties": azuretest.Object{"fromSenderDomain": "example.com"}})
		return d
	}
}

// keepingLinks has an Azure whose PUT keeps linkedDomains that it does not say.
func keepingLinks(d *probeOperator) *probeOperator {
	linked := []any{}
	for _, method := range []string{http.MethodPut, http.MethodGet} {
		for _, suffix := range []string{"-tmp", "-tmp/domains/AzureManagedDomain"} {
			d.Answer(method, suffix, -1, func(r azuretest.Request) azuretest.Answer {
				properties, _ := r.Body["properties"].(map[string]any)
				if list, ok := properties["linkedDomains"].([]any); ok {
					linked = list
				}
				return azuretest.Answer{Status: http.StatusOK, Body: azuretest.Object{"id": r.Path, "properties": azuretest.Object{"linkedDomains": linked}}}
			})
		}
	}
	return d
}

// All that a probe may answer stands in a case above, or is typed by a person.
func TestProbesAreWhole(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, p := range probes() {
		if seen[p.id] || p.question == "" || len(p.answers) < 2 || p.ask == nil && p.steps == "" {
			t.Errorf("%+v", p)
		}
		seen[p.id] = true
		if p.after != "" && !seen[p.after] {
			t.Errorf("%s stands before %s", p.id, p.after)
		}
		for _, o := range p.answers {
			if o.means == "" || o.word != plainWord(o.word) {
				t.Errorf("%s=%s means %q", p.id, o.word, o.means)
			}
			if name, value, found := strings.Cut(o.setting, "="); o.setting != "" && (!found || value == "" || !strings.HasPrefix(name, "POSTHORN_")) {
				t.Errorf("%s=%s: %s", p.id, o.word, o.setting)
			}
		}
		if p.mails > 0 && p.to == 0 {
			t.Errorf("%s sends to nobody", p.id)
		}
	}
	for n := 1; n <= 20; n++ {
		if !seen["P"+strconv.Itoa(n)] {
			t.Errorf("P%d is missing", n)
		}
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	testKey = "ph_shop_1_canary"
	testTo  = "canary-recipient@example.net"
)

// says is an answer with a body, which is JSON unless it begins with a letter or a <.
func says(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Retry-After", "1")
		if !strings.HasPrefix(body, "{") {
			w.Header().Set("Content-Type", "text/html")
		}
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func refuses(status int, slug, detail string, headers ...string) http.HandlerFunc {
	return says(status, fmt.Sprintf(`{"type":"https://example.com/problems.md#%s","title":"T","status":%d,"detail":%q,"errors":[{"pointer":"/senderAddress","detail":"It is wrong."}]}`, slug, status, detail), headers...)
}

// stands is a gateway that knows the key and does the rest as it is told; without a word
// a message is accepted, and has succeeded when it is asked for.
func stands(t *testing.T, me, send, poll http.HandlerFunc) string {
	t.Helper()
	or := func(h http.HandlerFunc, status int, body string) http.HandlerFunc {
		if h != nil {
			return h
		}
		return says(status, body)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /callers/me", or(me, 200, `{"name":"shop","policy":{"senders":["*@example.com","shop@example.com"]}}`))
	mux.Handle("POST /emails:send", or(send, 202, `{"id":"1","status":"Running","delivery":{"state":"accepted"}}`))
	mux.Handle("GET /healthz", says(200, `{"status":"ok","version":"v1.2.3"}`))
	mux.Handle("GET /emails/operations/{id}", or(poll, 200, `{"id":"1","status":"Succeeded","delivery":{"state":"accepted"}}`))
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

func sendsTest(t *testing.T, url string, words ...string) (code int, out, said string) {
	t.Helper()
	var o, s bytes.Buffer
	c := &console{environ: []string{"POSTHORN_PUBLIC_URL=" + url, "POSTHORN_KEY=" + testKey}, in: strings.NewReader(""), out: &o, said: &s, now: time.Now}
	code = run(t.Context(), append([]string{"send-test", testTo}, words...), c)
	if strings.Contains(o.String()+s.String(), testKey) {
		t.Errorf("it tells the key: %s%s", o.String(), s.String())
	}
	return code, o.String(), s.String()
}

// Whatever the gateway, its host or a proxy answers, is a sentence, what to do, and an
// exit code.
func TestBadAnswersOfTheGateway(t *testing.T) {
	t.Parallel()
	const stopped = "<!DOCTYPE html><html><head><title>Web App -\n Unavailable</title></head><body>Error 403 - This web app is stopped.</body></html>"
	for _, c := range []struct {
		name           string
		me, send, poll http.HandlerFunc
		words          string
		code           int
		says           []string
	}{
		{name: "wrong key", me: refuses(401, "unauthenticated", "The key is not known."), code: 1, says: []string{"The gateway says: The key is not known. (401 unauthenticated)", "callers rotate NAME"}},
		{name: "outside the policy", send: refuses(403, "forbidden", "The caller may not send from there."), code: 1, says: []string{"(403 forbidden)", "/senderAddress: It is wrong.", "callers set"}},
		{name: "not valid", send: refuses(400, "invalid-message", "The message has 1 fault, listed in errors."), code: 1, says: []string{"listed in errors. (400 invalid-message)\n/senderAddress: It is wrong.\n"}},
		{name: "too many wait", send: refuses(429, "too-many-queued", "Too many wait.", "Retry-After", "60"), code: 1, says: []string{"(429 too-many-queued)", "posthorn messages list"}},
		{name: "over quota", send: refuses(429, "over-quota", "None is left.", "Retry-After", "61"), code: 1, says: []string{"(429 over-quota)", "Try again in 1m1s."}},
		{name: "paused", send: refuses(503, "paused", "The operator has paused sending."), code: 4, says: []string{"(503 paused)", "posthorn sending show"}},
		{name: "ACS refuses the deployment", send: refuses(502, "acs-misconfigured", "ACS does not let it."), code: 4, says: []string{"(502 acs-misconfigured)", "--direct"}},
		{name: "storage is away", send: refuses(503, "unavailable", "Try again.", "Retry-After", "5"), code: 4, says: []string{"(503 unavailable)", "/readyz"}},
		{name: "stopped app", me: says(403, stopped), code: 4, says: []string{"answered 403 Forbidden", `"Web App - Unavailable"`, "the app is stopped"}},
		{name: "no function", me: says(404, ""), code: 4, says: []string{"answered 404 Not Found", "it is empty", "no such function"}},
		{name: "another site", me: says(200, "<html>\n<title></title><body>Grüß\u00a0Gott,\u202e nginx</body></html>"), code: 4, says: []string{`"Grüß Gott, nginx"`, "Something else answers there"}},
		{name: "JSON that is another's", me: says(200, `{"hello":"world"}`), code: 4, says: []string{"no answer of Posthorn's"}},
		{name: "login page", me: says(302, "", "Location", "https://login.example.com/authorize?state=1"), code: 4, says: []string{"leads to https://login.example.com."}},
		{name: "platform's 401", me: says(401, "You do not have permission to view this directory or page."), code: 4, says: []string{"answered 401", "App Service's own authentication"}},
		{name: "host without handler", send: says(503, "Function host is not running."), code: 4, says: []string{"answered 503", `"Function host is not running."`, "log of the function app"}},
		{name: "empty 500", send: says(500, ""), code: 4, says: []string{"answered 500", "it is empty", "the handler does not answer"}},
		{name: "a 202 that is none", send: says(202, "<html>OK</html>"), code: 4, says: []string{"answered 202", "Something else answers"}},
		{name: "cut off", send: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, code: 4, says: []string{"closed the connection", "Check the mailbox"}},
		{name: "ACS gives up", poll: says(200, `{"id":"1","status":"Failed","error":{"code":"EmailDroppedAllRecipientsSuppressed","message":"All recipients were suppressed."},"delivery":{"state":"failed"}}`), code: 1, says: []string{"accepted", "failed", "All recipients were suppressed. (EmailDroppedAllRecipientsSuppressed)", "use another recipient"}},
		{name: "queued for longer", send: says(202, `{"id":"1","status":"Running","delivery":{"state":"waiting","expected":"2999-01-01T12:30:00Z"}}`), code: 1, says: []string{"queued", "12:30:00 UTC", "The message continues by itself"}},
		{name: "sandbox", send: says(202, `{"id":"1","status":"Succeeded","delivery":{"state":"accepted","sandbox":true}}`), code: 1, says: []string{"nothing was sent", "--caller"}},
		{name: "lost in between", poll: refuses(404, "not-found", "There is none."), code: 1, says: []string{"(404 not-found)"}},
		{name: "never ends", poll: says(200, `{"id":"1","status":"Running","delivery":{"state":"accepted"}}`), words: "--wait 1s", code: 1, says: []string{"running", "not come to its end within 1s"}},
		{name: "no address", me: says(200, `{"name":"shop","policy":{"senders":["*@example.com"]}}`), code: 2, says: []string{"Caller shop may send from *@example.com. Add --sender"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			code, out, said := sendsTest(t, stands(t, c.me, c.send, c.poll), strings.Fields(c.words)...)
			if code != c.code || out != "" || !strings.Contains(said, "posthorn: ") || strings.Contains(said, testTo) {
				t.Errorf("exit code %d, want %d; %q, on standard error\n%s", code, c.code, out, said)
			}
			for _, want := range c.says {
				if !strings.Contains(said, want) {
					t.Errorf("%q is not in\n%s", want, said)
				}
			}
		})
	}
}

func TestAGatewayThatCannotBeReached(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	plain := stands(t, nil, nil, nil)
	for _, c := range []struct {
		name, url string
		code      int
		says      string
	}{
		{"nothing listens", gone.URL, 4, "nothing listens there"},
		{"an authority that nobody trusts", untrusted.URL, 4, "an authority that this computer does not trust"},
		{"no TLS", strings.Replace(plain, "http:", "https:", 1), 4, "does not speak TLS"},
		{"a key over plain http", "http://mail.example.com", 1, "must start with https://"},
		{"no URL", "mail.example.com", 1, "is not a URL"},
		{"no setting", "", 1, "POSTHORN_PUBLIC_URL: is missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if code, out, said := sendsTest(t, c.url); code != c.code || out != "" || !strings.Contains(said, c.says) {
				t.Errorf("exit code %d, want %d; %q, on standard error\n%s", code, c.code, out, said)
			}
		})
	}
}

// A message that goes out is told step by step; its id is data. It says whence it comes,
// and the request is one of an ACS client.
func TestAMessageThatGoesOut(t *testing.T) {
	t.Parallel()
	var sent struct {
		SenderAddress string
		Recipients    struct{ To []struct{ Address string } }
		Content       struct{ Subject, PlainText, HTML string }
	}
	var id string
	url := stands(t, nil, func(w http.ResponseWriter, r *http.Request) {
		id = r.Header.Get("Operation-Id")
		if r.Header.Get("Authorization") != "Bearer "+testKey || r.URL.RawQuery != "api-version=2025-09-01" || json.NewDecoder(r.Body).Decode(&sent) != nil {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		says(202, `{"id":"`+id+`","status":"Running","delivery":{"state":"waiting","expected":"2000-01-01T12:30:00Z"}}`, "Retry-After", "1", "Operation-Location", "https://elsewhere.example.com/emails/operations/1")(w, r)
	}, nil)
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(testKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, said := sendsTest(t, url, "--key-file", file)
	if code != 0 || strings.TrimSpace(out) != id {
		t.Fatalf("exit code %d, %q, on standard error\n%s", code, out, said)
	}
	steps := regexp.MustCompile(`(?s)^Sending from shop@example.com, through the gateway at ` + url + `, as caller shop\.
  accepted +\d+\.\ds  operation ` + id + `
  note .* calls itself elsewhere.example.com.*
  queued +\d+\.\ds .* 12:30:00 UTC
  succeeded +[1-9]\d*\.\ds .*
ACS sent the message within [1-9]\d*\.\ds\.`)
	if !steps.MatchString(said) {
		t.Errorf("it says\n%s", said)
	}
	if sent.SenderAddress != "shop@example.com" || len(sent.Recipients.To) != 1 || sent.Recipients.To[0].Address != testTo {
		t.Errorf("sent was %+v", sent)
	}
	for _, body := range []string{sent.Content.PlainText, sent.Content.HTML} {
		if !strings.Contains(body, url) || !strings.Contains(body, id) || !strings.Contains(body, "as caller shop") || !strings.Contains(body, "v1.2.3") {
			t.Errorf("the message is\n%s", body)
		}
	}
}

func TestTheReportHasTheSameMembersAlways(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		send, poll http.HandlerFunc
		code       int
		status     string
		detail     string
		steps      int
	}{
		"it goes out":       {nil, nil, 0, "Succeeded", "", 3},
		"nothing was taken": {refuses(503, "paused", "No."), nil, 4, "", "The gateway says: No. (503 paused)\n/senderAddress: It is wrong.", 0},
		"it fails":          {nil, says(200, `{"id":"1","status":"Failed","error":{"code":"EmailDropped","message":"Dropped."}}`), 1, "Failed", "Dropped.", 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, said := sendsTest(t, stands(t, nil, c.send, c.poll), "--json")
			var r map[string]any
			if err := json.Unmarshal([]byte(out), &r); err != nil || code != c.code {
				t.Fatalf("exit code %d, %v, %s%s", code, err, out, said)
			}
			for _, member := range []string{"way", "deployment", "caller", "sender", "id", "status", "code", "detail", "milliseconds", "steps"} {
				if _, there := r[member]; !there {
					t.Errorf("no member %s in %s", member, out)
				}
			}
			if steps, _ := r["steps"].([]any); r["status"] != c.status || r["detail"] != c.detail || r["way"] != "gateway" || r["caller"] != "shop" || len(steps) != c.steps {
				t.Errorf("got %s", out)
			}
		})
	}
}

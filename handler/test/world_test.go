package test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Words that a caller sends and that no log may hold. Every message of the tests
// has them.
const (
	sender    = "canary-sender@example.com"
	recipient = "canary-recipient@example.net"
	subject   = "canary-subject"
	text      = "canary-text"
)

// plenty keeps the quota out of tests of other things.
var plenty = []string{"POSTHORN_QUOTA=custom", "POSTHORN_QUOTA_PER_MINUTE=8192", "POSTHORN_QUOTA_PER_HOUR=8192"}

// world is one handler with an emulator and a caller of its own. At its end its
// log must be without fault, whatever was done to it.
type world struct {
	*product
	acs     *emulator
	handler *program
	url     string
	env     []string
	client  *http.Client
	// caller is the name; key and connection are what `callers add` printed.
	caller, key, connection string

	logs []*program
}

// worldOptions say how a world differs from the usual one.
type worldOptions struct {
	emulator []string // flags
	settings []string // of the handler, NAME=value, over the usual ones
}

// newWorld makes a world whose handler answers.
func newWorld(tb testing.TB, p *product, o worldOptions) *world {
	tb.Helper()
	w := &world{product: p, acs: startEmulator(tb, p.emulator, o.emulator...)}
	port := freePort(tb)
	w.url = "http://127.0.0.1:" + strconv.Itoa(port)
	w.env = slices.Concat(p.settings(w.url, w.acs.send, port), plenty, o.settings)
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	w.client = &http.Client{Transport: transport, CheckRedirect: stay}
	w.caller = "caller-" + strconv.Itoa(port)
	// Before the handler asks for the first time: it believes its list for a while.
	w.key, w.connection, _ = strings.Cut(w.operate(tb, "callers", "add", w.caller,
		"--sender", sender, "--recipient-domain", "*", "--hmac"), "\n")
	tb.Cleanup(func() { w.checkLogs(tb) })
	w.start(tb)
	tb.Cleanup(transport.CloseIdleConnections)
	return w
}

// settings is a complete environment of a handler.
func (p *product) settings(public, acs string, port int) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"FUNCTIONS_CUSTOMHANDLER_PORT=" + strconv.Itoa(port),
		"POSTHORN_PUBLIC_URL=" + public,
		"POSTHORN_MASTER_KEY=" + masterKey,
		"POSTHORN_BLOB_ENDPOINT=" + p.storage.Blob,
		"POSTHORN_TABLE_ENDPOINT=" + p.storage.Table,
		"POSTHORN_STORAGE_CA_FILE=" + p.storage.CertFile,
		"IDENTITY_ENDPOINT=" + p.identity,
		"IDENTITY_HEADER=" + identityHeader,
		"POSTHORN_ACS_ENDPOINT=" + acs,
		// The emulator's well-known development key.
		"POSTHORN_ACS_ACCESS_KEY=cG9zdGhvcm4tZW11bGF0b3ItZGV2ZWxvcG1lbnQta2V5LW5vdC1hLXNlY3JldA==",
	}
}

// start starts the handler, also once more after its end.
func (w *world) start(tb testing.TB) {
	tb.Helper()
	w.handler = start(tb, w.env, w.product.handler)
	w.logs = append(w.logs, w.handler)
	await(tb, "the handler", func(ctx context.Context) bool {
		select {
		case <-w.handler.ended:
			tb.Fatalf("the handler has ended: %s", w.handler.stderr.String())
		default:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/healthz", http.NoBody)
		if err != nil {
			tb.Fatal(err)
		}
		res, err := w.client.Do(req)
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// another is a second instance of the world's handler, with the same caller.
func (w *world) another(tb testing.TB) *world {
	tb.Helper()
	port := freePort(tb)
	other := *w
	other.url, other.logs = "http://127.0.0.1:"+strconv.Itoa(port), nil
	other.env = slices.Concat(w.env, []string{"FUNCTIONS_CUSTOMHANDLER_PORT=" + strconv.Itoa(port)})
	tb.Cleanup(func() { other.checkLogs(tb) })
	other.start(tb)
	return &other
}

// restart starts the handler with fresh eyes: the list of callers is read anew.
func (w *world) restart(tb testing.TB) {
	tb.Helper()
	w.handler.kill(tb)
	w.client.CloseIdleConnections()
	w.start(tb)
}

// operate runs a command of the operator that must work, and returns its output.
func (w *world) operate(tb testing.TB, args ...string) string {
	tb.Helper()
	p := run(tb, w.env, w.product.handler, args...)
	if code := p.exitCode(tb); code != 0 || p.stderr.String() != "" {
		tb.Fatalf("handler %s: exit code %d, %s", strings.Join(args, " "), code, p.stderr.String())
	}
	return strings.TrimSuffix(p.stdout.String(), "\n")
}

// checkLogs holds for every test: JSON lines on standard output, silence on
// standard error, and nothing that was sent or is secret.
func (w *world) checkLogs(tb testing.TB) {
	tb.Helper()
	_, access, _ := strings.Cut(w.connection, "accesskey=")
	for _, p := range w.logs {
		p.kill(tb)
		if s := p.stderr.String(); s != "" {
			tb.Errorf("on standard error: %s", s)
		}
		log := p.stdout.String()
		for line := range strings.Lines(log) {
			var l struct{ Time, Level, Msg string }
			if err := json.Unmarshal([]byte(line), &l); err != nil || l.Time == "" || l.Level == "" || l.Msg == "" {
				tb.Errorf("no line of a log: %s", line)
			}
		}
		for _, secret := range []string{"canary", "@example", w.key, access, masterKey, "sig="} {
			if strings.Contains(log, secret) {
				tb.Errorf("%s is in the log:\n%s", secret, log)
			}
		}
	}
}

// answer is a response read to its end.
type answer struct {
	*http.Response
	body []byte
}

// document is the union of all JSON answers.
type document struct {
	Type, Title, Detail string
	Errors              []struct{ Pointer, Detail string }
	Error               struct{ Code, Message string }

	// Status is a number in a problem, a word in an operation.
	Status   any
	ID       string
	Delivery struct {
		State string
		Links []struct {
			Attachment int
			Name       string
			Size       int64
		}
	}
}

func (a answer) document(tb testing.TB) document {
	tb.Helper()
	var d document
	if err := json.Unmarshal(a.body, &d); err != nil {
		tb.Fatalf("%s: %v in %q", a.Status, err, a.body)
	}
	return d
}

// want holds a problem against its status and the last part of its type.
func (a answer) want(tb testing.TB, status int, slug string) {
	tb.Helper()
	if a.StatusCode != status {
		tb.Errorf("%s, want %d: %s", a.Status, status, a.body)
		return
	}
	d := a.document(tb)
	if _, got, _ := strings.Cut(d.Type, "#"); got != slug || d.Status != float64(status) || d.Title == "" || d.Detail == "" {
		tb.Errorf("not a problem %s: %s", slug, a.body)
	}
	if t := a.Header.Get("Content-Type"); t != "application/problem+json" {
		tb.Errorf("Content-Type is %s", t)
	}
	if wait := a.Header.Get("Retry-After"); (status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable) && wait == "" {
		tb.Error("there is no Retry-After")
	}
}

// do makes a request as the world's caller, unless headers say otherwise; an
// empty value leaves a header out. In a goroutine of its own a failure ends only
// that one, and fails the test.
func (w *world) do(tb testing.TB, method, path string, body io.Reader, headers ...string) answer {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, w.url+path, body)
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.key)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
		} else {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	res, err := w.client.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	return read(tb, res)
}

func read(tb testing.TB, res *http.Response) answer {
	tb.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return answer{res, body}
}

func (w *world) get(tb testing.TB, path string) answer {
	tb.Helper()
	return w.do(tb, http.MethodGet, path, nil)
}

func (w *world) send(tb testing.TB, message string, headers ...string) answer {
	tb.Helper()
	return w.do(tb, http.MethodPost, "/emails:send", strings.NewReader(message), headers...)
}

// mustSend is for messages that have to go.
func (w *world) mustSend(tb testing.TB, message string, headers ...string) document {
	tb.Helper()
	a := w.send(tb, message, headers...)
	if a.StatusCode != http.StatusAccepted {
		tb.Fatalf("%s: %s", a.Status, a.body)
	}
	return a.document(tb)
}

// message is a small one. edit may change it.
func message(edit ...func(m map[string]any)) string {
	m := map[string]any{
		"senderAddress": sender,
		"content":       map[string]any{"subject": subject, "plainText": text, "html": "<p>" + text + "</p>"},
		"recipients":    map[string]any{"to": []any{map[string]any{"address": recipient}}},
	}
	for _, e := range edit {
		e(m)
	}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(m); err != nil {
		panic(err) // strings, numbers, lists and maps always encode
	}
	return b.String()
}

// to addresses a message to somebody else.
func to(addresses ...string) func(map[string]any) {
	return func(m map[string]any) {
		var list []any
		for _, a := range addresses {
			list = append(list, map[string]any{"address": a})
		}
		m["recipients"] = map[string]any{"to": list}
	}
}

// with sets a member.
func with(name string, value any) func(map[string]any) {
	return func(m map[string]any) { m[name] = value }
}

// attached adds a file.
func attached(name string, content []byte) func(map[string]any) {
	return func(m map[string]any) {
		list, _ := m["attachments"].([]any)
		m["attachments"] = append(list, map[string]any{"name": name, "contentType": "application/zip", "contentInBase64": content})
	}
}

func operation(id string) string { return "/emails/operations/" + id }

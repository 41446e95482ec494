package world

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
	"time"
)

// Words that a caller sends and that no log may hold. Every message of the tests
// has them.
const (
	Sender    = "canary-sender@example.com"
	Recipient = "canary-recipient@example.net"
	Subject   = "canary-subject"
	Text      = "canary-text"
)

// plenty keeps the quota out of tests of other things.
var plenty = []string{"POSTHORN_QUOTA=custom", "POSTHORN_QUOTA_PER_MINUTE=8192", "POSTHORN_QUOTA_PER_HOUR=8192"}

// World is one handler with an emulator and a caller of its own. At its end its
// log must be without fault, whatever was done to it.
type World struct {
	*Product
	ACS     *Emulator
	Handler *Program
	URL     string
	Env     []string
	Client  *http.Client
	// caller is the name; key and connection are what `callers add` printed.
	Caller, Key, Connection string

	logs []*Program
}

// Options say how a world differs from the usual one.
type Options struct {
	Emulator []string // flags
	Settings []string // of the handler, NAME=value, over the usual ones
}

// New makes a world whose handler answers.
func New(tb testing.TB, p *Product, o Options) *World {
	tb.Helper()
	w := &World{Product: p, ACS: startEmulator(tb, p.emulator, o.Emulator...)}
	port := FreePort(tb)
	w.URL = "http://127.0.0.1:" + strconv.Itoa(port)
	w.Env = slices.Concat(p.Settings(w.URL, w.ACS.Send, port), plenty, o.Settings)
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	w.Client = &http.Client{Transport: transport, CheckRedirect: stay}
	// A port comes again, the caller of an earlier world must not.
	w.Caller = "caller-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	// Before the handler asks for the first time: it believes its list for a while.
	w.Key, w.Connection, _ = strings.Cut(w.Operate(tb, "callers", "add", w.Caller,
		"--sender", Sender, "--recipient-domain", "*", "--hmac"), "\n")
	tb.Cleanup(func() { w.checkLogs(tb) })
	w.start(tb)
	tb.Cleanup(transport.CloseIdleConnections)
	return w
}

// Settings is a complete environment of a handler.
func (p *Product) Settings(public, acs string, port int) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"FUNCTIONS_CUSTOMHANDLER_PORT=" + strconv.Itoa(port),
		"POSTHORN_PUBLIC_URL=" + public,
		"POSTHORN_MASTER_KEY=" + MasterKey,
		"POSTHORN_BLOB_ENDPOINT=" + p.Storage.Blob,
		"POSTHORN_TABLE_ENDPOINT=" + p.Storage.Table,
		"POSTHORN_QUEUE_ENDPOINT=" + p.Storage.Queue,
		"POSTHORN_STORAGE_CA_FILE=" + p.Storage.CertFile,
		"POSTHORN_STORAGE_CHECKSUM=md5", // Azurite computes CRC64 in JavaScript
		"IDENTITY_ENDPOINT=" + p.identity,
		"IDENTITY_HEADER=" + identityHeader,
		"POSTHORN_ACS_ENDPOINT=" + acs,
		// The emulator's well-known development key.
		"POSTHORN_ACS_ACCESS_KEY=cG9zdGhvcm4tZW11bGF0b3ItZGV2ZWxvcG1lbnQta2V5LW5vdC1hLXNlY3JldA==",
	}
}

// start starts the handler, also once more after its end.
func (w *World) start(tb testing.TB) {
	tb.Helper()
	w.Handler = Start(tb, w.Env, w.Product.HandlerFile)
	w.logs = append(w.logs, w.Handler)
	Await(tb, "the handler", func(ctx context.Context) bool {
		select {
		case <-w.Handler.ended:
			tb.Fatalf("the handler has ended: %s", w.Handler.Stderr.String())
		default:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.URL+"/healthz", http.NoBody)
		if err != nil {
			tb.Fatal(err)
		}
		res, err := w.Client.Do(req)
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// Another is a second instance of the world's handler, with the same caller.
func (w *World) Another(tb testing.TB) *World {
	tb.Helper()
	port := FreePort(tb)
	other := *w
	other.URL, other.logs = "http://127.0.0.1:"+strconv.Itoa(port), nil
	other.Env = slices.Concat(w.Env, []string{"FUNCTIONS_CUSTOMHANDLER_PORT=" + strconv.Itoa(port)})
	tb.Cleanup(func() { other.checkLogs(tb) })
	other.start(tb)
	return &other
}

// Restart starts the handler with fresh eyes: the list of callers is read anew.
func (w *World) Restart(tb testing.TB) {
	tb.Helper()
	w.Handler.Kill(tb)
	w.Client.CloseIdleConnections()
	w.start(tb)
}

// Operate runs a command of the operator that must work, and returns its output.
func (w *World) Operate(tb testing.TB, args ...string) string {
	tb.Helper()
	p := Run(tb, w.Env, w.OperateFile, args...)
	if code := p.ExitCode(tb); code != 0 {
		tb.Fatalf("%s: exit code %d, %s", strings.Join(args, " "), code, p.Stderr.String())
	}
	return strings.TrimSuffix(p.Stdout.String(), "\n")
}

// checkLogs holds for every test: JSON lines on standard output, silence on
// standard error, and nothing that was sent or is secret.
func (w *World) checkLogs(tb testing.TB) {
	tb.Helper()
	_, access, _ := strings.Cut(w.Connection, "accesskey=")
	for _, p := range w.logs {
		p.Kill(tb)
		if s := p.Stderr.String(); s != "" {
			tb.Errorf("on standard error: %s", s)
		}
		log := p.Stdout.String()
		for line := range strings.Lines(log) {
			var l struct{ Time, Level, Msg string }
			if err := json.Unmarshal([]byte(line), &l); err != nil || l.Time == "" || l.Level == "" || l.Msg == "" {
				tb.Errorf("no line of a log: %s", line)
			}
		}
		for _, secret := range []string{"canary", "@example", w.Key, access, MasterKey, "sig="} {
			if strings.Contains(log, secret) {
				tb.Errorf("%s is in the log:\n%s", secret, log)
			}
		}
	}
}

// Answer is a response read to its end.
type Answer struct {
	*http.Response
	Body []byte
}

// Document is the union of all JSON answers.
type Document struct {
	Type, Title, Detail string
	Errors              []struct{ Pointer, Detail string }
	Error               struct{ Code, Message string }

	// Status is a number in a problem, a word in an operation.
	Status   any
	ID       string
	Delivery struct {
		State     string
		Resolving bool
		Links     []struct {
			Attachment int
			Name       string
			Size       int64
		}
	}
}

// Document reads the answer as JSON.
func (a Answer) Document(tb testing.TB) Document {
	tb.Helper()
	var d Document
	if err := json.Unmarshal(a.Body, &d); err != nil {
		tb.Fatalf("%s: %v in %q", a.Status, err, a.Body)
	}
	return d
}

// Ended waits for the end of an operation and returns what is said of it then.
func (w *World) Ended(tb testing.TB, path string) (d Document) {
	tb.Helper()
	Await(tb, "the end of a message", func(context.Context) bool {
		d = w.Get(tb, path).Document(tb)
		return d.Status != "Running"
	})
	return d
}

// Want holds a problem against its status and the last part of its type.
func (a Answer) Want(tb testing.TB, status int, slug string) {
	tb.Helper()
	if a.StatusCode != status {
		tb.Errorf("%s, want %d: %s", a.Status, status, a.Body)
		return
	}
	d := a.Document(tb)
	if _, got, _ := strings.Cut(d.Type, "#"); got != slug || d.Status != float64(status) || d.Title == "" || d.Detail == "" {
		tb.Errorf("not a problem %s: %s", slug, a.Body)
	}
	if t := a.Header.Get("Content-Type"); t != "application/problem+json" {
		tb.Errorf("Content-Type is %s", t)
	}
	if wait := a.Header.Get("Retry-After"); (status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable) && wait == "" {
		tb.Error("there is no Retry-After")
	}
}

// Do makes a request as the world's caller, unless headers say otherwise; an
// empty value leaves a header out.
func (w *World) Do(tb testing.TB, method, path string, body io.Reader, headers ...string) Answer {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, w.URL+path, body)
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.Key)
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
	res, err := w.Client.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	return Read(tb, res)
}

// Read reads an answer to its end.
func Read(tb testing.TB, res *http.Response) Answer {
	tb.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return Answer{res, body}
}

// Get is Do for a question.
func (w *World) Get(tb testing.TB, path string) Answer {
	tb.Helper()
	return w.Do(tb, http.MethodGet, path, nil)
}

// Send is Do for a message.
func (w *World) Send(tb testing.TB, message string, headers ...string) Answer {
	tb.Helper()
	return w.Do(tb, http.MethodPost, "/emails:send", strings.NewReader(message), headers...)
}

// MustSend is for messages that have to go.
func (w *World) MustSend(tb testing.TB, message string, headers ...string) Document {
	tb.Helper()
	a := w.Send(tb, message, headers...)
	if a.StatusCode != http.StatusAccepted {
		tb.Fatalf("%s: %s", a.Status, a.Body)
	}
	return a.Document(tb)
}

// Message is a small one. edit may change it.
func Message(edit ...func(m map[string]any)) string {
	m := map[string]any{
		"senderAddress": Sender,
		"content":       map[string]any{"subject": Subject, "plainText": Text, "html": "<p>" + Text + "</p>"},
		"recipients":    map[string]any{"to": []any{map[string]any{"address": Recipient}}},
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

// To addresses a message to somebody else.
func To(addresses ...string) func(map[string]any) {
	return func(m map[string]any) {
		var list []any
		for _, a := range addresses {
			list = append(list, map[string]any{"address": a})
		}
		m["recipients"] = map[string]any{"to": list}
	}
}

// With sets a member.
func With(name string, value any) func(map[string]any) {
	return func(m map[string]any) { m[name] = value }
}

// Refusing makes a message that would rather be refused than wait.
func Refusing(m map[string]any) { m["delivery"] = map[string]string{"whenBusy": "refuse"} }

// Attached adds a file.
func Attached(name string, content []byte) func(map[string]any) {
	return func(m map[string]any) {
		list, _ := m["attachments"].([]any)
		m["attachments"] = append(list, map[string]any{"name": name, "contentType": "application/zip", "contentInBase64": content})
	}
}

// Operation is the path of a message.
func Operation(id string) string { return "/emails/operations/" + id }

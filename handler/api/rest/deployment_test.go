package rest_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/propagation"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/api/hook"
	"github.com/posthorn/posthorn/handler/api/rest"
	"github.com/posthorn/posthorn/handler/api/rest/contract"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/linger"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// deployment is the HTTP API of a gateway over storage in memory. Every answer that it
// gives to a test has been validated against openapi.json.
type deployment struct {
	*gatewaytest.Harness
	server    *httptest.Server
	client    *http.Client
	key       string
	access    string
	log       *lockedBuffer
	callers   *caller.Registry
	hooks     *hook.Registry
	memory    atomic.Int64 // that a request needs
	admission *rest.Admission
	mu        sync.Mutex
	down      bool
}

var plenty = quota.Limits{PerMinute: 1000, PerHour: 1000}

func newDeployment(t *testing.T, limits quota.Limits) *deployment {
	t.Helper()
	return newDeploymentWith(t, limits, rest.Budget{Common: 1 << 30, Reserve: 1 << 20, Unproven: 4 << 20, Forms: 64 << 20})
}

func newDeploymentWith(t *testing.T, limits quota.Limits, budget rest.Budget) *deployment {
	t.Helper()
	d := &deployment{Harness: gatewaytest.New(t, limits), log: &lockedBuffer{}}
	table := mem.NewTable(time.Now, func(mem.Op, string) mem.Fault {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.down {
			return mem.Fault{Outcome: mem.Refused}
		}
		return mem.Fault{}
	})
	d.callers = caller.NewRegistry(table, keyring.Masters{bytes.Repeat([]byte("m"), 32)}, false, time.Now)
	d.hooks = hook.NewRegistry(mem.NewTable(time.Now, nil), keyring.Masters{bytes.Repeat([]byte("m"), 32)}, rand.Reader, time.Now)
	secrets, err := d.callers.Add(t.Context(), "shop", caller.Policy{
		Senders: []string{"*@example.com"}, RecipientDomains: []string{"example.com"}, HMAC: true, MaxRequestBytes: 100_000,
	})
	if err != nil {
		t.Fatal(err)
	}
	d.admission = rest.NewAdmission(budget, time.Now)
	d.key, d.access = secrets.Key, secrets.AccessKey
	d.server = httptest.NewUnstartedServer(nil)
	const timeout = 2 * time.Minute // a busy machine needs half a minute for the largest bodies
	public, err := url.Parse("http://" + d.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d.server.Config.Handler = linger.Handler(rest.New(rest.Config{
		Gateway: d.Gateway, Callers: d.callers, Hooks: d.hooks, Public: public, Language: "en", Version: "v1.2.3",
		MaxRequestBytes: 100 << 20, RequestTimeout: timeout,
		Admission: d.admission, Memory: func(int64) int64 { return d.memory.Load() },
		Now: time.Now, NewID: uuid.NewString, Log: slog.New(slog.NewJSONHandler(d.log, nil)),
		Tracer: tracenoop.NewTracerProvider().Tracer(""), Propagator: propagation.TraceContext{},
	}), linger.Limits{Bytes: 100 << 20, Time: timeout, Number: 100})
	d.server.Start()
	t.Cleanup(d.server.Close)
	d.client = &http.Client{
		Transport:     &validating{t: t, document: openAPI(t)},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return d
}

func (d *deployment) storageDown(down bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = down
}

// end lets a message of the shop's end, or be known to have: ACS was asked.
func (d *deployment) end(t *testing.T, id string, state record.State, failure *record.Failure) {
	t.Helper()
	rec, err := d.Records.Read(t.Context(), "shop", id)
	if err == nil {
		rec.Ended = state == record.Accepted
		err = d.Records.Finish(t.Context(), rec, state, failure)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// request is one with the shop's key; name-value pairs of headers follow.
func (d *deployment) request(t *testing.T, method, path, body string, headers ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, d.server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+d.key)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Del(headers[i])
		if headers[i+1] != "" {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	return req
}

type answer struct {
	*http.Response
	text string
}

func (d *deployment) do(t *testing.T, req *http.Request) answer {
	t.Helper()
	res, err := d.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res, string(text)}
}

type document struct {
	ID, Status, Type, Detail string
	Errors                   []struct{ Pointer, Detail string }
	Error                    *struct{ Code, Message string }
	Delivery                 struct {
		State string
		Links []struct {
			Name      string
			Size      int64
			Downloads int64
			Revoked   bool
		}
	}
}

func (a answer) document(t *testing.T) document {
	t.Helper()
	var raw struct {
		document
		Status any
	}
	if err := json.Unmarshal([]byte(a.text), &raw); err != nil {
		t.Fatalf("%s: %v in %s", a.Status, err, a.text)
	}
	if s, ok := raw.Status.(string); ok {
		raw.document.Status = s
	}
	return raw.document
}

// slug is the last part of a problem's type.
func (a answer) slug(t *testing.T) string {
	t.Helper()
	_, slug, _ := strings.Cut(a.document(t).Type, "#")
	return slug
}

// validating holds every answer against openapi.json.
type validating struct {
	t        *testing.T
	document *contract.Document
}

func (v *validating) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil {
		return nil, err
	}
	// OpenAPI has no place for the answer to a path or method that it does not list.
	unlisted := res.StatusCode == http.StatusMethodNotAllowed ||
		res.StatusCode == http.StatusNotFound && !strings.HasPrefix(req.URL.Path, "/emails/")
	if !unlisted {
		res.Body = io.NopCloser(bytes.NewReader(text))
		if faults := v.document.FaultsOf(req, res); len(faults) > 0 {
			v.t.Errorf("%s %s -> %d is not as openapi.json says:\n%s\nanswer: %s",
				req.Method, req.URL.Path, res.StatusCode, strings.Join(faults, "\n"), text)
		}
	}
	res.Body = io.NopCloser(bytes.NewReader(text))
	return res, nil
}

// parsed is openapi.json. All tests share it: one for each is 2.6 GB.
var parsed = sync.OnceValues(func() (*contract.Document, error) {
	text, err := os.ReadFile("openapi.json")
	if err != nil {
		return nil, err
	}
	return contract.Read(text)
})

func openAPI(t *testing.T) *contract.Document {
	t.Helper()
	d, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// lockedBuffer is a log that many goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

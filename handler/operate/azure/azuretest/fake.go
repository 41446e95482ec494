// Package azuretest is a stand-in for Azure Resource Manager, for tests: a tree of
// resources behind TLS, with long-running operations, pages, ETags, throttling, the
// verification of domains, and the error bodies that Azure documents. In: resources as
// JSON, and faults. Out: clients of package azure, and what they asked.
package azuretest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/posthorn/posthorn/handler/operate/azure"
)

// Object is a JSON object.
type Object = map[string]any

// Fake is the stand-in. Ids are compared as ARM does, without regard to case.
type Fake struct {
	server *httptest.Server

	mu        sync.Mutex
	resources map[string]Object // by id in small letters; each has "id"
	settings  map[string]Object // app settings, by the site's id
	answers   []answer
	others    []other
	requests  []Request
	asked     map[string]int // how often an operation was asked for
	dns       func(domain, kind string) bool
	version   int // behind the ETags
	clock     time.Time
}

// Request is one that came. Path has no query.
type Request struct {
	Method, Path string
	Query        map[string]string
	IfMatch      string
	Body         Object // nil: none
}

// Answer is what a test has a path answer.
type Answer struct {
	Status int
	Header map[string]string
	Body   any // nil: none
}

type answer struct {
	method, suffix string
	times          int // -1: always
	give           func(Request) Answer
}

// New starts one.
func New(t testing.TB) *Fake {
	f := &Fake{
		resources: map[string]Object{}, settings: map[string]Object{}, asked: map[string]int{},
		dns: func(string, string) bool { return true },
	}
	f.server = httptest.NewUnstartedServer(http.HandlerFunc(f.serve))
	f.server.Config.ErrorLog = log.New(io.Discard, "", 0) // clients leave while they are greeted
	f.server.StartTLS()
	t.Cleanup(f.server.Close)
	return f
}

// URL is where it listens.
func (f *Fake) URL() string { return f.server.URL }

// Transport trusts its certificate, and brings requests for all other hosts to it as well:
// their path then begins with the host, as in "//vault.azure.net/secrets/key".
func (f *Fake) Transport() policy.Transporter {
	return &transport{f.server.Client(), f.server.Listener.Addr().String()}
}

type transport struct {
	client *http.Client
	host   string
}

// Do implements policy.Transporter.
func (t *transport) Do(r *http.Request) (*http.Response, error) {
	if r.URL.Host != t.host {
		r = r.Clone(r.Context())
		r.Header.Set(outside, r.URL.Host)
		r.URL.Scheme, r.URL.Host = "https", t.host
	}
	return t.client.Do(r)
}

// outside is the header with the host that a request was for.
const outside = "Test-Host"

// Cloud is a cloud where the fake is the Resource Manager and Microsoft Graph. Answer gives
// what it knows of both.
func (f *Fake) Cloud() cloud.Configuration {
	return cloud.Configuration{Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
		cloud.ResourceManager: {Endpoint: f.server.URL, Audience: "https://management.azure.com"},
		azure.Graph:           {Endpoint: f.server.URL, Audience: "https://graph.microsoft.com"},
	}}
}

// Credential gives tokens that it takes: "operator", or an unsigned one with these claims.
type Credential struct {
	Err    error
	Claims string // a JSON object
}

// GetToken implements azcore.TokenCredential.
func (c Credential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token := "operator"
	if c.Claims != "" {
		token = "e30." + base64.RawURLEncoding.EncodeToString([]byte(c.Claims)) + ".operator"
	}
	return azcore.AccessToken{Token: token, ExpiresOn: time.Now().Add(time.Hour)}, c.Err
}

// Client is one that asks it.
func (f *Fake) Client(t testing.TB, credential azcore.TokenCredential) *azure.Client {
	c, err := azure.New(azure.Options{
		Credential: credential, Cloud: f.Cloud(), Transport: f.Transport(), PollEvery: time.Millisecond,
		Retry: policy.RetryOptions{MaxRetries: 2, RetryDelay: time.Millisecond, MaxRetryDelay: 2 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Put has a resource, and gives its id. The object may lack "id", "name" and "type".
func (f *Fake) Put(id string, o Object) azure.ID {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.put(id, o)
	return azure.ID(id)
}

func (f *Fake) put(id string, o Object) {
	o = maps.Clone(o)
	o["id"], o["name"] = id, azure.ID(id).Name()
	if o["type"] == nil {
		o["type"] = typeOf(id)
	}
	f.version++
	o["etag"] = fmt.Sprintf(`"%d"`, f.version)
	f.resources[strings.ToLower(id)] = o
}

// Resource is what stands under an id now, or nil.
func (f *Fake) Resource(id string) Object {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.resources[strings.ToLower(id)])
}

// SetSettings has app settings of a site.
func (f *Fake) SetSettings(site string, settings map[string]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settings[strings.ToLower(site)] = object(settings)
}

// Settings are the app settings of a site.
func (f *Fake) Settings(site string) Object {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.settings[strings.ToLower(site)])
}

// SetClock has answers say that it is this time; otherwise they have the true one.
func (f *Fake) SetClock(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clock = now
}

// DNS says what ACS finds when it verifies a domain.
func (f *Fake) DNS(right func(domain, kind string) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dns = right
}

// Answer has requests whose path ends so answered by give, so many times; -1 is always.
// A method of "" is any. The latest one goes first.
func (f *Fake) Answer(method, suffix string, times int, give func(Request) Answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers = append([]answer{{method, strings.ToLower(suffix), times, give}}, f.answers...)
}

// Fail has requests whose path ends so fail as ARM does, so many times; -1 is always.
func (f *Fake) Fail(method, suffix string, times, status int, code, message string) {
	f.Answer(method, suffix, times, func(Request) Answer { return failure(status, code, message) })
}

type other struct {
	method, suffix string
	do             func()
}

// Before has do run before a request whose path ends so is answered: what somebody else
// does meanwhile. It may change resources. A method of "" is any.
func (f *Fake) Before(method, suffix string, do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.others = append(f.others, other{method, strings.ToLower(suffix), do})
}

// meanwhile runs what was given to Before.
func (f *Fake) meanwhile(q Request) {
	f.mu.Lock()
	others := slices.Clone(f.others)
	f.mu.Unlock()
	for _, o := range others {
		if (o.method == "" || o.method == q.Method) && strings.HasSuffix(strings.ToLower(q.Path), o.suffix) {
			o.do()
		}
	}
}

// Requests are all that came, tokens and polls of operations left out.
func (f *Fake) Requests() []Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

func failure(status int, code, message string) Answer {
	a := Answer{Status: status, Body: Object{"error": Object{"code": code, "message": message}}}
	if status == http.StatusTooManyRequests {
		a.Header = map[string]string{"Retry-After-Ms": "1"}
	}
	return a
}

func (f *Fake) serve(w http.ResponseWriter, r *http.Request) {
	text, _ := io.ReadAll(r.Body)
	q := Request{Method: r.Method, Path: r.URL.Path, Query: map[string]string{}, IfMatch: r.Header.Get("If-Match")}
	for name, values := range r.URL.Query() {
		q.Query[name] = values[0]
	}
	if host := r.Header.Get(outside); host != "" {
		q.Path = "//" + host + q.Path
	}
	abroad := strings.HasPrefix(q.Path, "//")
	var a Answer
	switch {
	case abroad && (r.Header.Get("Authorization") == "" || strings.HasSuffix(r.Header.Get("Authorization"), "operator")):
		a = f.answer(q)
	case len(text) > 0 && json.Unmarshal(text, &q.Body) != nil:
		a = failure(http.StatusBadRequest, "InvalidRequestContent", "The request content was invalid.")
	case !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") || !strings.HasSuffix(r.Header.Get("Authorization"), "operator"):
		a = failure(http.StatusUnauthorized, "AuthenticationFailed", "Authentication failed.")
	case q.Query["api-version"] == "" && !strings.HasPrefix(q.Path, "/v1.0/"):
		a = failure(http.StatusBadRequest, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required for all requests.")
	default:
		f.meanwhile(q)
		a = f.answer(q)
	}
	for name, value := range a.Header {
		w.Header().Set(name, value)
	}
	if f.clock != (time.Time{}) { // set before the first request
		w.Header().Set("Date", f.clock.Format(http.TimeFormat))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.Status)
	if a.Body != nil {
		_ = json.NewEncoder(w).Encode(a.Body)
	}
}

func (f *Fake) answer(q Request) Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !strings.HasPrefix(q.Path, "/operations/") {
		f.requests = append(f.requests, q)
	}
	for i := range f.answers {
		a := &f.answers[i]
		if (a.method == "" || a.method == q.Method) && strings.HasSuffix(strings.ToLower(q.Path), a.suffix) && a.times != 0 {
			a.times--
			return a.give(q)
		}
	}
	return f.tree(q)
}

// object copies any value into a JSON object.
func object(v any) Object {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	var o Object
	if err := json.Unmarshal(text, &o); err != nil {
		panic(err)
	}
	return o
}

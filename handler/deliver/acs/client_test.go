package acs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/posthorn/posthorn/handler/deliver/acs"
)

func TestSendMakesTheRequestOfTheSpecification(t *testing.T) {
	t.Parallel()
	s := serve(t, accept)
	m := hello()
	op, err := keyClient(t, s.URL, nil).Send(t.Context(), id, m)
	if err != nil {
		t.Fatal(err)
	}
	want := acs.Operation{ID: id, Status: acs.Running, RetryAfter: 3 * time.Second, Trace: acs.Trace{MSCV: "vector-1.0", CorrelationID: "correlation-1", AzureRef: "reference-1"}}
	if op != want {
		t.Errorf("got %+v, want %+v", op, want)
	}
	seen := s.requests()
	if len(seen) != 1 {
		t.Fatalf("got %d requests, want 1", len(seen))
	}
	r := seen[0]
	if r.method != "POST" || r.uri != "/emails:send?api-version=2025-09-01" {
		t.Errorf("got %s %s", r.method, r.uri)
	}
	if r.length != m.Size() || int64(len(r.body)) != m.Size() {
		t.Errorf("Content-Length %d, body of %d, Size %d", r.length, len(r.body), m.Size())
	}
	for name, want := range map[string]string{"Operation-Id": id, "Content-Type": "application/json", "Accept": "application/json"} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if agent := r.header.Get("User-Agent"); !strings.HasPrefix(agent, "azsdk-go-acs/") {
		t.Errorf("User-Agent: got %q", agent)
	}
	if !signed(r) {
		t.Error("the signature does not fit the request")
	}
}

func TestEndpointIsNormalised(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, suffix, want string }{
		{"without a slash", "", "/emails:send?api-version=2025-09-01"},
		{"with a slash", "/", "/emails:send?api-version=2025-09-01"},
		{"with several slashes", "//", "/emails:send?api-version=2025-09-01"},
		{"with a path", "/acs/", "/acs/emails:send?api-version=2025-09-01"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, accept)
			if _, err := keyClient(t, s.URL+tt.suffix, nil).Send(t.Context(), id, hello()); err != nil {
				t.Fatal(err)
			}
			if r := s.requests()[0]; r.uri != tt.want || !signed(r) {
				t.Errorf("got %s, signed %t", r.uri, signed(r))
			}
		})
	}
}

func TestHostThatIsSignedIsTheHostThatIsSent(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"https://Name.Europe.Communication.Azure.com":     "name.europe.communication.azure.com",
		"https://name.europe.communication.azure.com:443": "name.europe.communication.azure.com",
		"https://name.example.com:8443/":                  "name.example.com:8443",
		"http://localhost:80":                             "localhost",
		"http://[::1]:8026":                               "[::1]:8026",
	} {
		var host string
		c := keyClient(t, given, withTransport(transportFunc(func(r *http.Request) (*http.Response, error) {
			host = r.URL.Host
			w := httptest.NewRecorder()
			accept(w, r)
			return w.Result(), nil
		})))
		if _, err := c.Send(t.Context(), id, hello()); err != nil || host != want {
			t.Errorf("%s: got host %q, error %v", given, host, err)
		}
	}
}

func TestConstructorsRefuse(t *testing.T) {
	t.Parallel()
	bad := []string{"", "name.example.com", "ftp://name.example.com", "https://", "https://u:p@name.example.com", "https://name.example.com?x=1", "https://name.example.com/#x", "https://name .example.com", "http://name.example.com", "http://10.0.0.1"}
	for _, endpoint := range bad {
		if _, err := acs.NewClientWithKey(endpoint, key, nil); err == nil {
			t.Errorf("key: %q was taken", endpoint)
		}
	}
	for _, endpoint := range append(bad, "http://127.0.0.1:8026") {
		if _, err := acs.NewClient(endpoint, new(tokens), nil); err == nil {
			t.Errorf("token: %q was taken", endpoint)
		}
	}
	if _, err := acs.NewClient("https://name.example.com", nil, nil); err == nil {
		t.Error("no credential was taken")
	}
	insecure := &acs.ClientOptions{ClientOptions: azcore.ClientOptions{InsecureAllowCredentialWithHTTP: true}}
	if _, err := acs.NewClientWithKey("http://name.example.com", key, insecure); err != nil {
		t.Errorf("plain http that was asked for: %v", err)
	}
}

func TestConnectionString(t *testing.T) {
	t.Parallel()
	s := serve(t, accept)
	for _, good := range []string{
		"endpoint=" + s.URL + "/;accesskey=" + key,
		"AccessKey=" + key + "; Endpoint=" + s.URL + ";",
	} {
		c, err := acs.NewClientFromConnectionString(good, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Send(t.Context(), id, hello()); err != nil {
			t.Error(err)
		}
	}
	for _, r := range s.requests() {
		if !signed(r) {
			t.Error("the signature does not fit the request")
		}
	}
	for _, bad := range []string{"", "endpoint=https://name.example.com", "accesskey=" + key, "endpoint;accesskey"} {
		if _, err := acs.NewClientFromConnectionString(bad, nil); err == nil || strings.Contains(err.Error(), key) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

func TestTokenOfTheDoubleSlashScope(t *testing.T) {
	t.Parallel()
	for scope, want := range map[string]string{
		"": "https://communication.azure.com//.default",
		"https://communication.azure.us//.default": "https://communication.azure.us//.default",
	} {
		s := serveTLS(t, accept)
		credential := new(tokens)
		o := withTransport(s.Client())
		o.Scope = scope
		c, err := acs.NewClient(s.URL, credential, o)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := c.Send(t.Context(), id, hello()); err != nil {
				t.Fatal(err)
			}
		}
		if len(credential.asked) != 1 || credential.asked[0].Scopes[0] != want {
			t.Errorf("asked %+v", credential.asked)
		}
		if got := s.requests()[1].header.Get("Authorization"); got != "Bearer token-1" {
			t.Errorf("Authorization: got %q", got)
		}
	}
}

func TestChallengeIsAnsweredOnceWithTheWholeMessage(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="", error="insufficient_claims", claims="e30="`)
		say(401, "")(w, r)
	})
	credential := new(tokens)
	c, err := acs.NewClient(s.URL, credential, withTransport(s.Client()))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Send(t.Context(), id, hello())
	if e, ok := errors.AsType[*acs.Error](err); !ok || e.StatusCode != http.StatusUnauthorized || e.Accepted != acs.NotAccepted {
		t.Errorf("got %v", err)
	}
	seen := s.requests()
	if len(seen) != 2 || !bytes.Equal(seen[0].body, seen[1].body) || seen[1].header.Get("Authorization") != "Bearer token-2" {
		t.Errorf("got %d requests", len(seen))
	}
	if len(credential.asked) != 2 || credential.asked[1].Claims != "{}" {
		t.Errorf("asked %+v", credential.asked)
	}
}

func TestStatusAsksAtAnAddressOfItsOwn(t *testing.T) {
	t.Parallel()
	s := serve(t, say(200, `{"id":"`+id+`","status":"Succeeded","error":null}`))
	o := new(acs.ClientOptions)
	o.APIVersion = acs.APIVersion20230331
	op, err := keyClient(t, s.URL+"/", o).Status(t.Context(), id)
	if want := (acs.Operation{ID: id, Status: acs.Succeeded}); err != nil || op != want {
		t.Errorf("got %+v, %v", op, err)
	}
	r := s.requests()[0]
	if r.method != "GET" || r.uri != "/emails/operations/"+id+"?api-version=2023-03-31" || len(r.body) != 0 || !signed(r) {
		t.Errorf("got %s %s, signed %t", r.method, r.uri, signed(r))
	}
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		want       acs.Operation
		terminal   bool
	}{
		{"not started", `{"id":"` + id + `","status":"NotStarted"}`, acs.Operation{ID: id, Status: acs.NotStarted}, false},
		{"running", `{"id":"` + id + `","status":"Running"}`, acs.Operation{ID: id, Status: acs.Running}, false},
		{"succeeded", `{"id":"` + id + `","status":"Succeeded"}`, acs.Operation{ID: id, Status: acs.Succeeded}, true},
		{"failed", `{"id":"` + id + `","status":"Failed","error":{"code":"EmailDropped","message":"Email was dropped after several attempts to deliver.","target":null}}`,
			acs.Operation{ID: id, Status: acs.Failed, Error: &acs.OperationError{Code: acs.CodeDropped, Message: "Email was dropped after several attempts to deliver."}}, true},
		{"canceled", `{"id":"` + id + `","status":"Canceled"}`, acs.Operation{ID: id, Status: acs.Canceled}, true},
		{"a new status is kept", `{"id":"` + id + `","status":"Pondering"}`, acs.Operation{ID: id, Status: "Pondering"}, false},
		{"no id", `{"status":"Running"}`, acs.Operation{ID: id, Status: acs.Running}, false},
		{"id in capitals", `{"id":"` + strings.ToUpper(id) + `","status":"Running"}`, acs.Operation{ID: id, Status: acs.Running}, false},
		{"id of the service's own", `{"id":"11111111-2222-3333-4444-555555555555","status":"Running"}`, acs.Operation{ID: "11111111-2222-3333-4444-555555555555", Status: acs.Running}, false},
		{"id that would change a path", `{"id":"../x","status":"Running"}`, acs.Operation{ID: id, Status: acs.Running}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := keyClient(t, serve(t, say(200, tt.body)).URL, nil).Status(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if (got.Error == nil) != (tt.want.Error == nil) || got.Error != nil && *got.Error != *tt.want.Error {
				t.Errorf("error: got %+v, want %+v", got.Error, tt.want.Error)
			}
			got.Error, tt.want.Error = nil, nil
			if got != tt.want || got.Status.Terminal() != tt.terminal {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestCallsThatAreNotValidMakeNoRequest(t *testing.T) {
	t.Parallel()
	s := serve(t, accept)
	o := new(acs.ClientOptions)
	o.APIVersion = acs.APIVersion20230331
	old := keyClient(t, s.URL, o)
	inline := hello()
	inline.Attachments = []acs.Attachment{{Name: "a.png", ContentType: "image/png", ContentID: "logo", Content: []byte("x")}}
	from := hello()
	from.SenderDisplayName = "Shop"
	send := func(id string, m *acs.Message) error { _, err := old.Send(t.Context(), id, m); return err }
	status := func(id string) error { _, err := old.Status(t.Context(), id); return err }
	tests := []struct {
		name string
		err  error
		want error
		text string
	}{
		{"send with no id", send("", hello()), acs.ErrOperationID, "acs: send: the operation id is not a UUID, not accepted"},
		{"send nothing", send(id, nil), acs.ErrNoMessage, "acs: send: there is no message, not accepted"},
		{"send with a path for an id", send("../../x", hello()), acs.ErrOperationID, "acs: send: the operation id is not a UUID, not accepted"},
		{"send with a line end", send(id+"\n", hello()), acs.ErrOperationID, "acs: send: the operation id is not a UUID, not accepted"},
		{"send an inline image with the old version", send(id, inline), acs.ErrContentID, "acs: send: content ids need api-version 2025-09-01, not accepted"},
		{"send the sender's name without the preview", send(id, from), acs.ErrSenderName, "acs: send: the sender's name needs api-version 2025-01-15-preview, not accepted"},
		{"status with no id", status(""), acs.ErrOperationID, "acs: status: the operation id is not a UUID"},
	}
	for _, tt := range tests {
		e, ok := errors.AsType[*acs.Error](tt.err)
		if !ok || !errors.Is(tt.err, tt.want) || tt.err.Error() != tt.text || e.Temporary() || e.Misconfigured() {
			t.Errorf("%s: got %v", tt.name, tt.err)
		}
	}
	if seen := s.requests(); len(seen) != 0 {
		t.Errorf("got %d requests, want none", len(seen))
	}
	if _, err := keyClient(t, s.URL, nil).Send(t.Context(), id, inline); err != nil {
		t.Errorf("inline image with the new version: %v", err)
	}
	o.APIVersion = acs.APIVersion20250115Preview
	from.Attachments = inline.Attachments
	if _, err := keyClient(t, s.URL, o).Send(t.Context(), id, from); err != nil {
		t.Errorf("the sender's name with the preview: %v", err)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	elsewhere := serve(t, accept)
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := serve(t, say(status, "", "Location", elsewhere.URL+"/emails:send"))
		for name, o := range map[string]*acs.ClientOptions{"own transport": nil, "given http.Client": withTransport(&http.Client{})} {
			_, err := keyClient(t, s.URL, o).Send(t.Context(), id, hello())
			e, ok := errors.AsType[*acs.Error](err)
			if !ok || e.StatusCode != status || !e.Misconfigured() || e.Temporary() {
				t.Errorf("%d, %s: got %v", status, name, err)
			}
		}
	}
	if seen := elsewhere.requests(); len(seen) != 0 {
		t.Errorf("%d requests went elsewhere", len(seen))
	}
}

func TestConnectionsAreBoundedUnderConcurrentUse(t *testing.T) {
	t.Parallel()
	const bound, calls = 3, 40
	var mu sync.Mutex
	var open, most int
	s := newService(accept)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		if state == http.StateNew {
			open++
			most = max(most, open)
		}
		if state == http.StateClosed {
			open--
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	c := keyClient(t, s.URL, &acs.ClientOptions{MaxConns: bound})
	m := hello() // shared: Send only reads it
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			own := "00000000-0000-0000-0000-0000000000" + strconv.Itoa(10+i)
			if _, err := c.Send(context.Background(), own, m); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	ids := map[string]bool{}
	for _, r := range s.requests() {
		ids[r.header.Get("Operation-Id")] = true
		if !signed(r) {
			t.Error("the signature does not fit the request")
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(ids) != calls || most > bound {
		t.Errorf("%d messages over at most %d connections, want %d over %d", len(ids), most, calls, bound)
	}
}

func TestPoliciesOfTheCallerSeeTheWholeSignedRequest(t *testing.T) {
	t.Parallel()
	s := serve(t, accept)
	m := hello()
	read := 0
	o := new(acs.ClientOptions)
	o.PerRetryPolicies = []policy.Policy{policyFunc(func(r *policy.Request) (*http.Response, error) {
		content, err := io.ReadAll(r.Raw().Body)
		if err != nil {
			return nil, err
		}
		read = len(content)
		return r.Next()
	})}
	if _, err := keyClient(t, s.URL, o).Send(t.Context(), id, m); err != nil {
		t.Fatal(err)
	}
	if r := s.requests()[0]; int64(read) != m.Size() || int64(len(r.body)) != m.Size() || !signed(r) {
		t.Errorf("the policy read %d bytes, the service %d of %d", read, len(r.body), m.Size())
	}
}

type policyFunc func(*policy.Request) (*http.Response, error)

func (f policyFunc) Do(r *policy.Request) (*http.Response, error) { return f(r) }

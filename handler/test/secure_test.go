package test

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/posthorn/posthorn/handler/local/issuer"
	"github.com/posthorn/posthorn/handler/test/require"
	"github.com/posthorn/posthorn/handler/test/world"
)

const (
	tenantID = "0a0a0a0a-1111-4111-8111-111111111111"
	audience = "api://posthorn"
)

// secure is a deployment behind TLS, as the Functions host is, with a tenant of Entra ID
// and a caller for whom the tokens of one application stand.
type secure struct {
	*deployment
	issuer     *issuer.Issuer
	authority  string // the issuer's address
	public     string // https
	certFile   string
	app        string
	connection string // of the caller
	key        string
}

func newSecure(t *testing.T, p *product, audiences string) *secure {
	t.Helper()
	tenant, err := issuer.New(tenantID)
	if err != nil {
		t.Fatal(err)
	}
	listed := httptest.NewServer(tenant)
	t.Cleanup(listed.Close)
	var behind *url.URL // set before the first request
	proxy := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(behind)
		r.Out.Host = r.In.Host
	}})
	t.Cleanup(proxy.Close)
	s := &secure{issuer: tenant, authority: listed.URL, public: proxy.URL, app: uuid.NewString()}
	s.deployment = newDeployment(t, p, world.Options{Settings: []string{
		"POSTHORN_PUBLIC_URL=" + proxy.URL, "POSTHORN_ENTRA_TENANT=" + tenantID,
		"POSTHORN_ENTRA_AUDIENCE=" + audiences, "POSTHORN_ENTRA_AUTHORITY=" + listed.URL,
	}})
	if behind, err = url.Parse(s.URL); err != nil {
		t.Fatal(err)
	}
	s.certFile = filepath.Join(t.TempDir(), "cert.pem")
	if err := os.WriteFile(s.certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: proxy.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	s.key, s.connection, _ = strings.Cut(s.Operate(t, "callers", "add", s.Caller+"-app",
		"--sender", "donotreply@example.com", "--recipient-domain", "*", "--hmac", "--entra-app", s.app), "\n")
	return s
}

// token is a good one of an application, but for the changes.
func (s *secure) token(t *testing.T, audience, app string, changes ...any) string {
	t.Helper()
	claims := s.issuer.Claims(s.authority, audience, app, uuid.NewString(), time.Now())
	for i := 0; i < len(changes); i += 2 {
		claims[changes[i].(string)] = changes[i+1]
	}
	token, err := s.issuer.Token(claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// identityEndpoint gives the application's tokens as App Service does.
func (s *secure) identityEndpoint(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := s.token(t, r.FormValue("resource"), s.app)
		_ = json.NewEncoder(w).Encode(map[string]string{
			"access_token": token, "token_type": "Bearer", "resource": r.FormValue("resource"),
			"expires_on": strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10),
		})
	}))
	t.Cleanup(server.Close)
	return server.URL
}

var fence = regexp.MustCompile("(?s)```(\\w*)\n(.*?)```")

// snippets are the pieces of code of a page, in one language.
func snippets(t *testing.T, page, language string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "clients", page))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
		if m[1] == language {
			all = append(all, m[2])
		}
	}
	return all
}

// node runs a program with the clients at hand, over TLS.
func (s *secure) node(t *testing.T, program string, env []string, args ...string) string {
	t.Helper()
	if _, err := os.Stat("clients/node_modules/@azure/communication-email"); err != nil {
		require.Missing(t, require.Clients)
	}
	cmd := exec.CommandContext(t.Context(), "node", args...)
	cmd.Dir = "clients"
	cmd.Env = append(append(os.Environ(), "NODE_EXTRA_CA_CERTS="+s.certFile, "POSTHORN_URL="+s.public), env...)
	cmd.Stdin = strings.NewReader(program)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s%s", err, out, complaint.String())
	}
	return string(out)
}

// What docs/clients/azure-sdk.md shows is what its reader will see.
func (p *product) testAzureSDKPage(t *testing.T) {
	s := newSecure(t, p, audience)
	code := snippets(t, "azure-sdk.md", "js")
	if len(code) != 3 {
		t.Fatalf("the page has %d pieces of code", len(code))
	}
	env := []string{
		"POSTHORN_CONNECTION_STRING=" + s.connection,
		"IDENTITY_ENDPOINT=" + s.identityEndpoint(t), "IDENTITY_HEADER=x",
	}
	for i, want := range []struct {
		prints string
		calls  int
	}{{"Succeeded", 1}, {"Succeeded", 2}, {"running", 2}} {
		if got := s.node(t, code[i], env, "--import", "./identity/register.mjs", "--input-type=module", "-"); got != want.prints+"\n" {
			t.Errorf("piece %d prints %q", i+1, got)
		}
		if n := len(s.ACS.Arrivals(t)); n != want.calls {
			t.Errorf("after piece %d: %d calls of ACS", i+1, n)
		}
	}
}

// The official client with a token and nothing else changed, over TLS.
func (p *product) testTokenOfTheClient(t *testing.T) {
	const acs = "https://communication.azure.com"
	s := newSecure(t, p, audience+","+acs)
	type outcome struct {
		Status, Code, Message, Scope string
		StatusCode                   int
	}
	send := func(token string) (o outcome) {
		out := s.node(t, "", []string{"TOKEN=" + token}, "token.mjs")
		if err := json.Unmarshal([]byte(out), &o); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return o
	}
	if o := send(s.token(t, acs, s.app)); o.Status != "Succeeded" || o.Scope != acs+"//.default" {
		t.Errorf("the client says %+v", o)
	}
	for _, c := range []struct {
		name, token, code, sentence string
		status                      int
	}{
		{"an audience of others", s.token(t, "https://vault.azure.net", s.app), "Unauthenticated", "another audience", 401},
		{"an application that is not mapped", s.token(t, acs, uuid.NewString()), "Forbidden", "posthorn callers set NAME --entra-app", 403},
	} {
		if o := send(c.token); o.StatusCode != c.status || o.Code != c.code || !strings.Contains(o.Message, c.sentence) {
			t.Errorf("%s: the client says %+v", c.name, o)
		}
	}
}

// Tokens at the built program: it asks for no key before one comes.
func (p *product) testTokens(t *testing.T) {
	s := newSecure(t, p, audience)
	if n := s.issuer.Asked(); n != 0 {
		t.Errorf("the issuer was asked %d times before there was a token", n)
	}
	good := s.token(t, audience, s.app)
	parts := strings.Split(good, ".")
	for _, c := range []struct {
		name, token string
		status      int
		slug        string
	}{
		{"alg none", "eyJhbGciOiJub25lIiwia2lkIjoia2V5LTEifQ." + parts[1] + ".", 401, "unauthenticated"},
		{"the signature of another", parts[0] + "." + parts[1] + "." + strings.Split(s.token(t, "x", s.app), ".")[2], 401, "unauthenticated"},
		{"another audience", s.token(t, "api://other", s.app), 401, "unauthenticated"},
		{"another issuer", s.token(t, audience, s.app, "iss", "https://sts.windows.net/"+tenantID+"/"), 401, "unauthenticated"},
		{"expired", s.token(t, audience, s.app, "exp", time.Now().Add(-time.Hour).Unix()), 401, "unauthenticated"},
		{"not valid yet", s.token(t, audience, s.app, "nbf", time.Now().Add(time.Hour).Unix()), 401, "unauthenticated"},
		{"an application that is not mapped", s.token(t, audience, uuid.NewString()), 403, "forbidden"},
		{"an application that a person uses", s.token(t, audience, s.app, "scp", "Mail.Send"), 403, "forbidden"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.Do(t, http.MethodGet, "/callers/me", nil, "Authorization", "Bearer "+c.token).Want(t, c.status, c.slug)
		})
	}
	a := s.Do(t, http.MethodGet, "/callers/me", nil, "Authorization", "Bearer "+good)
	if want := `"name":"` + s.Caller + `-app","proof":"token"`; a.StatusCode != http.StatusOK || !strings.Contains(string(a.Body), want) {
		t.Errorf("%s: %s", a.Status, a.Body)
	}
	s.issuer.Down(true)
	if a := s.Do(t, http.MethodGet, "/callers/me", nil, "Authorization", "Bearer "+good); a.StatusCode != http.StatusOK {
		t.Errorf("with the issuer away: %s: %s", a.Status, a.Body)
	}
	s.Restart(t)
	s.Do(t, http.MethodGet, "/callers/me", nil, "Authorization", "Bearer "+good).Want(t, http.StatusServiceUnavailable, "unavailable")
	if n := s.issuer.Asked(); n != 2 {
		t.Errorf("the issuer was asked %d times", n)
	}
}

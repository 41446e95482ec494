package entra_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/caller/entra"
	"github.com/posthorn/posthorn/handler/local/issuer"
	"github.com/posthorn/posthorn/handler/problem"
)

const (
	tenant   = "0a0a0a0a-1111-4111-8111-111111111111"
	audience = "api://posthorn"
	app      = "aaaaaaaa-1111-4111-8111-111111111111"
	object   = "bbbbbbbb-1111-4111-8111-111111111111"
)

// office is a verifier with an issuer and a clock that a test moves.
type office struct {
	*entra.Verifier
	issuer *issuer.Issuer
	url    string
	mu     sync.Mutex
	clock  time.Time
}

func newOffice(t *testing.T) *office {
	t.Helper()
	i, err := issuer.New(tenant)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	o := &office{issuer: i, url: server.URL, clock: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	o.Verifier = entra.New(entra.Config{
		Tenant: strings.ToUpper(tenant), Audiences: []string{"other", audience}, Authority: server.URL + "/",
		Client: server.Client(), Now: o.now, Log: slog.New(slog.DiscardHandler),
	})
	return o
}

func (o *office) now() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.clock
}

func (o *office) pass(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.clock = o.clock.Add(d)
}

// token is a good one, but for the changes; a nil value takes a claim away.
func (o *office) token(t *testing.T, changes map[string]any) string {
	t.Helper()
	claims := o.issuer.Claims(o.url, audience, app, object, o.now())
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	token, err := o.issuer.Token(claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (o *office) verify(t *testing.T, token string) (caller.Identity, error) {
	t.Helper()
	return o.Verify(t.Context(), token)
}

func TestGoodTokens(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	whole := caller.Identity{App: app, Object: object}
	for _, c := range []struct {
		name    string
		changes map[string]any
		want    caller.Identity
	}{
		{"of version 1", nil, whole},
		{"of version 2", map[string]any{"iss": o.url + "/" + tenant + "/v2.0", "appid": nil, "azp": app}, whole},
		{"for several audiences", map[string]any{"aud": []string{"x", audience}}, whole},
		{"ids in capitals", map[string]any{"appid": strings.ToUpper(app), "oid": strings.ToUpper(object)}, whole},
		{"just at its end", map[string]any{"exp": o.now().Add(-entra.Skew).Unix()}, whole},
		{"just before its beginning", map[string]any{"nbf": o.now().Add(entra.Skew).Unix()}, whole},
		{"without a beginning", map[string]any{"nbf": nil}, whole},
		{"of a person, whose application does not count", map[string]any{"scp": "user_impersonation"}, caller.Identity{Object: object}},
		{"without an object", map[string]any{"oid": nil}, caller.Identity{App: app}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got, err := o.verify(t, o.token(t, c.changes)); err != nil || got != c.want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	t.Cleanup(func() {
		if n := o.issuer.Asked(); n != 1 {
			t.Errorf("the keys were asked for %d times", n)
		}
	})
}

func TestForgedTokens(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	other, err := issuer.New(tenant)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other.Token(o.issuer.Claims(o.url, audience, app, object, o.now()))
	if err != nil {
		t.Fatal(err)
	}
	good := o.token(t, nil)
	parts := strings.Split(good, ".")
	claims := parts[1]
	richer := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(decode(t, claims), app, object, 1)))
	for _, c := range []struct{ name, token, want string }{
		{"nothing", "", "not a signed"},
		{"two parts", parts[0] + "." + claims, "not a signed"},
		{"five parts", good + ".x.y", "not a signed"},
		{"parts that are no JSON", "eA.eA.eA", "not a signed"},
		{"alg none", part(`{"alg":"none","typ":"JWT","kid":"key-1"}`) + "." + claims + ".", "RS256"},
		{"alg none with the signature", part(`{"alg":"none","typ":"JWT","kid":"key-1"}`) + "." + claims + "." + parts[2], "RS256"},
		{"alg None in another case", part(`{"alg":"nOnE","typ":"JWT","kid":"key-1"}`) + "." + claims + ".", "RS256"},
		{"HS256 with the public key", confused(t, o, jose.HS256), "RS256"},
		{"HS512 with the public key", confused(t, o, jose.HS512), "RS256"},
		{"PS256, which Entra ID does not use", resigned(t, o, jose.PS256), "RS256"},
		{"a key in its own header", embedded(t, o, other), "lists no key"},
		{"another key under a known id", foreign, "signature does not fit"},
		{"a key that is not listed", withKeyID(t, o, "key-9"), "lists no key"},
		{"no key id", withKeyID(t, o, ""), "lists no key"},
		{"claims changed after signing", parts[0] + "." + richer + "." + parts[2], "signature does not fit"},
		{"no signature", parts[0] + "." + claims + ".", "signature does not fit"},
		{"half of the signature", parts[0] + "." + claims + "." + parts[2][:100], "signature does not fit"},
		{"another audience", o.token(t, map[string]any{"aud": "https://management.azure.com"}), "another audience"},
		{"an audience that ours begins", o.token(t, map[string]any{"aud": audience + "-test"}), "another audience"},
		{"no audience", o.token(t, map[string]any{"aud": nil}), "another audience"},
		{"another tenant", o.token(t, map[string]any{"iss": o.url + "/99999999-1111-4111-8111-111111111111/"}), "does not trust its issuer"},
		{"the issuer of the public cloud", o.token(t, map[string]any{"iss": "https://sts.windows.net/" + tenant + "/"}), "does not trust its issuer"},
		{"the issuer without its slash", o.token(t, map[string]any{"iss": o.url + "/" + tenant}), "does not trust its issuer"},
		{"no issuer", o.token(t, map[string]any{"iss": nil}), "does not trust its issuer"},
		{"expired", o.token(t, map[string]any{"exp": o.now().Add(-entra.Skew - time.Second).Unix()}), "has expired"},
		{"no end", o.token(t, map[string]any{"exp": nil}), "has expired"},
		{"not valid yet", o.token(t, map[string]any{"nbf": o.now().Add(entra.Skew + time.Second).Unix()}), "not valid yet"},
		{"nobody", o.token(t, map[string]any{"appid": nil, "oid": nil}), "neither an application"},
		{"an application of a person, but no person", o.token(t, map[string]any{"scp": "x", "oid": nil}), "neither an application"},
		{"an application that is a number", o.token(t, map[string]any{"appid": 7}), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			id, err := o.verify(t, c.token)
			if !problem.Is(err, problem.Unauthenticated) || id != (caller.Identity{}) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %+v, %v", id, err)
			}
		})
	}
}

func TestAKeyIsChanged(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	old := o.token(t, nil)
	if _, err := o.verify(t, old); err != nil {
		t.Fatal(err)
	}
	if err := o.issuer.Rotate(); err != nil {
		t.Fatal(err)
	}
	fresh := o.token(t, nil)
	if _, err := o.verify(t, fresh); !problem.Is(err, problem.Unauthenticated) || o.issuer.Asked() != 1 {
		t.Errorf("within a minute the keys were asked for %d times, %v", o.issuer.Asked(), err)
	}
	o.pass(entra.AskEvery)
	if _, err := o.verify(t, fresh); err != nil {
		t.Errorf("the new key: %v", err)
	}
	if _, err := o.verify(t, old); !problem.Is(err, problem.Unauthenticated) {
		t.Errorf("the old key: %v", err)
	}
	// However many tokens name unknown keys.
	for range 50 {
		if _, err := o.verify(t, withKeyID(t, o, "unknown")); !problem.Is(err, problem.Unauthenticated) {
			t.Fatal(err)
		}
	}
	if n := o.issuer.Asked(); n != 2 {
		t.Errorf("the keys were asked for %d times, want 2", n)
	}
}

func TestAKeyThatIsWithdrawnDiesWithItsLife(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	stolen := o.token(t, map[string]any{"exp": o.now().Add(48 * time.Hour).Unix()})
	if _, err := o.verify(t, stolen); err != nil {
		t.Fatal(err)
	}
	if err := o.issuer.Rotate(); err != nil {
		t.Fatal(err)
	}
	o.pass(entra.KeyLife)
	if _, err := o.verify(t, stolen); !problem.Is(err, problem.Unauthenticated) {
		t.Errorf("got %v", err)
	}
}

func TestAnIssuerThatIsAway(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.issuer.Down(true)
	for range 5 {
		if _, err := o.verify(t, o.token(t, nil)); !problem.Is(err, problem.Unavailable) {
			t.Errorf("without any key: %v", err)
		}
	}
	if n := o.issuer.Asked(); n != 1 {
		t.Errorf("the keys were asked for %d times", n)
	}
	o.issuer.Down(false)
	o.pass(entra.RetryEvery)
	if _, err := o.verify(t, o.token(t, nil)); err != nil {
		t.Errorf("back again: %v", err)
	}
	o.issuer.Down(true)
	o.pass(entra.KeyLife)
	if _, err := o.verify(t, o.token(t, nil)); err != nil {
		t.Errorf("with a key of yesterday: %v", err)
	}
	if _, err := o.verify(t, withKeyID(t, o, "new")); !problem.Is(err, problem.Unavailable) {
		t.Errorf("with a key that may be new: %v", err)
	}
	if _, err := o.verify(t, o.token(t, map[string]any{"aud": "x"})); !problem.Is(err, problem.Unauthenticated) {
		t.Errorf("for another audience: %v", err)
	}
}

// All who come at once share one question.
func TestManyAtOnceAskOnce(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	token := o.token(t, nil)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := o.Verify(t.Context(), token); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := o.issuer.Asked(); n != 1 {
		t.Errorf("the keys were asked for %d times", n)
	}
}

// Who leaves while the issuer is asked is let go, also the one on whose account it is.
func TestWhoLeavesDoesNotWaitForTheIssuer(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	hangs := make(chan struct{})
	v := entra.New(entra.Config{
		Tenant: tenant, Audiences: []string{audience}, Authority: o.url, Now: o.now, Log: slog.New(slog.DiscardHandler),
		Client: &http.Client{Transport: hanging(hangs)},
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 {
		if _, err := v.Verify(ctx, o.token(t, nil)); !problem.Is(err, problem.Unavailable) {
			t.Errorf("got %v", err)
		}
	}
	close(hangs) // not before
}

// hanging answers nothing until it is closed.
type hanging chan struct{}

func (h hanging) RoundTrip(*http.Request) (*http.Response, error) {
	<-h
	return nil, errors.New("hung up")
}

func TestAnswersThatAreNoKeys(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	token := o.token(t, nil)
	for _, c := range []struct{ name, answer string }{
		{"nothing", ""},
		{"no JSON", "<html>"},
		{"no keys", `{"keys":[]}`},
		{"a key for encryption", `{"keys":[{"kty":"RSA","use":"enc","kid":"key-1","n":"` + strings.Repeat("AQAB", 64) + `","e":"AQAB"}]}`},
		{"a key of another sort", `{"keys":[{"kty":"oct","kid":"key-1","k":"AQAB"}]}`},
		{"more than there can be", strings.Repeat(" ", 2<<20) + `{"keys":[]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			v := entra.New(entra.Config{
				Tenant: tenant, Audiences: []string{audience}, Authority: o.url, Now: o.now, Log: slog.New(slog.NewTextHandler(&log, nil)),
				Client: &http.Client{Transport: says(c.answer)},
			})
			if _, err := v.Verify(t.Context(), token); !problem.Is(err, problem.Unavailable) {
				t.Errorf("got %v", err)
			}
			if !strings.Contains(log.String(), "could not be read") || strings.Contains(log.String(), token) {
				t.Errorf("the log says %s", &log)
			}
		})
	}
}

// says answers every request so.
type says string

func (s says) RoundTrip(*http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	_, _ = w.WriteString(string(s))
	return w.Result(), nil
}

// The issuers and the place of the keys in the public cloud are Entra ID's own.
func TestThePublicCloud(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	asked := ""
	v := entra.New(entra.Config{
		Tenant: tenant, Audiences: []string{audience}, Authority: entra.PublicAuthority, Now: o.now, Log: slog.New(slog.DiscardHandler),
		Client: &http.Client{Transport: toIssuer{o.issuer, &asked}},
	})
	for _, issuer := range []string{"https://sts.windows.net/" + tenant + "/", "https://login.microsoftonline.com/" + tenant + "/v2.0"} {
		if _, err := v.Verify(t.Context(), o.token(t, map[string]any{"iss": issuer})); err != nil {
			t.Errorf("%s: %v", issuer, err)
		}
	}
	if asked != "https://login.microsoftonline.com/"+tenant+"/discovery/v2.0/keys" {
		t.Errorf("asked %s", asked)
	}
}

type toIssuer struct {
	*issuer.Issuer
	asked *string
}

func (i toIssuer) RoundTrip(req *http.Request) (*http.Response, error) {
	*i.asked = req.URL.String()
	w := httptest.NewRecorder()
	i.ServeHTTP(w, req)
	return w.Result(), nil
}

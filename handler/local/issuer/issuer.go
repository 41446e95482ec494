// Package issuer stands in for Microsoft Entra ID as an issuer of tokens: it lists
// the keys that it signs with, changes them, and signs what a test or the
// local run asks for, good or bad. Nothing outside this machine believes its tokens.
//
// In: claims. Out: a token; and over HTTP the keys of one tenant, under the path
// that Entra ID has for them. It knows no applications and gives no token to a
// stranger. Source: learn.microsoft.com, "Access token claims reference".
package issuer

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// keyBits is Entra ID's own size.
const keyBits = 2048

// Issuer is one tenant. It is safe for concurrent use.
type Issuer struct {
	tenant string

	mu    sync.Mutex
	key   jose.JSONWebKey // with its private part
	count int             // of keys ever made
	asked int
	down  bool
}

// New makes a tenant with one key.
func New(tenant string) (*Issuer, error) {
	i := &Issuer{tenant: tenant}
	return i, i.Rotate()
}

// Rotate makes a key that signs from now on, and lists it alone.
func (i *Issuer) Rotate() error {
	private, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.count++
	i.key = jose.JSONWebKey{Key: private, KeyID: "key-" + strconv.Itoa(i.count), Use: "sig", Algorithm: string(jose.RS256)}
	return nil
}

// Down makes the issuer answer with errors, or not any longer.
func (i *Issuer) Down(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

// Asked is how often its keys were asked for.
func (i *Issuer) Asked() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

// Claims are those of an application's v1.0 token for an audience, for an hour
// from now. authority is the address at which the issuer is reached.
func (i *Issuer) Claims(authority, audience, app, object string, now time.Time) map[string]any {
	return map[string]any{
		"iss": authority + "/" + i.tenant + "/", "aud": audience, "ver": "1.0", "tid": i.tenant,
		"appid": app, "oid": object, "sub": object,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
}

// Claims2 are those of a v2.0 token.
func (i *Issuer) Claims2(authority, audience, app, object string, now time.Time) map[string]any {
	c := i.Claims(authority, audience, app, object, now)
	delete(c, "appid")
	c["iss"], c["ver"], c["azp"] = authority+"/"+i.tenant+"/v2.0", "2.0", app
	return c
}

// Key is the one that signs, with its private part.
func (i *Issuer) Key() jose.JSONWebKey {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.key
}

// Token signs claims.
func (i *Issuer) Token(claims map[string]any) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: i.Key()}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(text)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// ServeHTTP answers GET /TENANT/discovery/v2.0/keys.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || r.URL.Path != "/"+i.tenant+"/discovery/v2.0/keys" {
		http.NotFound(w, r)
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked++
	if i.down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{i.key.Public()}}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(set) // a client that has gone needs no keys
}

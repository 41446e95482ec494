// Package entra verifies access tokens of Microsoft Entra ID, so that a caller
// with an identity in Azure needs no secret of ours.
//
// In: a token as it came. Out: the application and the object that it was issued
// to, or a problem: Unauthenticated for a token that is not good, Unavailable
// while the issuer's keys cannot be had. Who that is among the callers, and what
// it may do, is package caller's.
//
// A token is good if one tenant issued it (in the form of v1.0 or of v2.0) for
// one of our audiences, signed by a key that the tenant lists, and now. The keys
// are asked for at the first token and not before, kept, and asked for again when
// a token names one that is new.
//
// Source: learn.microsoft.com, "Access tokens in the Microsoft identity platform"
// and "Secure applications and APIs by validating claims".
package entra

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/problem"
)

// Skew is how far the issuer's clock may be from ours. The verifier allows twice
// as much before a token's beginning and nothing after its end; a clock that is
// Skew behind makes both the same.
const Skew = 150 * time.Second

// PublicAuthority is the issuer's address in the public cloud.
const PublicAuthority = "https://login.microsoftonline.com"

// stsOf has the issuers of v1.0 tokens; an authority without an entry issues under
// its own name.
var stsOf = map[string]string{
	PublicAuthority:                            "https://sts.windows.net",
	"https://login.microsoftonline.us":         "https://sts.windows.net",
	"https://login.partner.microsoftonline.cn": "https://sts.chinacloudapi.cn",
}

// Config is what a Verifier is made of.
type Config struct {
	Tenant    string   // id of the tenant, a UUID
	Audiences []string // a token is for at least one of them
	Authority string   // PublicAuthority, or the authority of another cloud
	Client    *http.Client
	Now       func() time.Time // a local clock
	Log       *slog.Logger
}

// Verifier knows good tokens. It is safe for concurrent use.
type Verifier struct {
	audiences []string
	issuers   []string
	keys      *keys
	now       func() time.Time
}

// New makes a Verifier of c. It makes no request.
func New(c Config) *Verifier {
	authority := strings.TrimSuffix(c.Authority, "/")
	tenant := strings.ToLower(c.Tenant)
	sts, ok := stsOf[authority]
	if !ok {
		sts = authority
	}
	return &Verifier{
		audiences: c.Audiences,
		issuers:   []string{sts + "/" + tenant + "/", authority + "/" + tenant + "/v2.0"},
		keys:      newKeys(authority+"/"+tenant+"/discovery/v2.0/keys", c.Client, c.Now, c.Log),
		now:       c.Now,
	}
}

// claims are the claims of a token that name its owner. v1.0 says appid
// where v2.0 says azp.
type claims struct {
	App       string `json:"appid"`
	Party     string `json:"azp"`
	Object    string `json:"oid"`
	Scopes    string `json:"scp"`
	NotBefore int64  `json:"nbf"`
	Issuer    string `json:"iss"`
}

// Verify returns the owner of a token.
func (v *Verifier) Verify(ctx context.Context, token string) (caller.Identity, error) {
	keyID, said, err := unverifiedClaims(token)
	if err != nil {
		return caller.Identity{}, refuse("it is not a signed JSON Web Token.")
	}
	// What an unverified token says of its issuer only chooses what it must prove.
	if !slices.Contains(v.issuers, said.Issuer) {
		return caller.Identity{}, refuse("this gateway does not trust its issuer.")
	}
	key, err := v.keys.find(ctx, keyID)
	if err != nil {
		return caller.Identity{}, err
	}
	good, err := oidc.NewVerifier(said.Issuer, &oidc.StaticKeySet{PublicKeys: key}, &oidc.Config{
		SupportedSigningAlgs: []string{oidc.RS256}, // Entra ID's only one
		SkipClientIDCheck:    true,                 // there may be several, see below
		Now:                  func() time.Time { return v.now().Add(-Skew) },
	}).Verify(ctx, token)
	if err != nil {
		return caller.Identity{}, v.explain(said, err)
	}
	if !slices.ContainsFunc(good.Audience, func(a string) bool { return slices.Contains(v.audiences, a) }) {
		return caller.Identity{}, refuse("it was issued for another audience. Ask for one for this gateway's.")
	}
	var c claims
	if err := good.Claims(&c); err != nil {
		return caller.Identity{}, refuse("its claims cannot be read.")
	}
	return identity(c)
}

// identity is who may be meant by a token. One with scopes acts for a person, and
// its application may be anybody's: only the person counts.
func identity(c claims) (caller.Identity, error) {
	id := caller.Identity{App: strings.ToLower(c.App), Object: strings.ToLower(c.Object)}
	if id.App == "" {
		id.App = strings.ToLower(c.Party)
	}
	if c.Scopes != "" {
		id.App = ""
	}
	if id.App == "" && id.Object == "" {
		return caller.Identity{}, refuse("it names neither an application (appid, azp) nor an object (oid).")
	}
	return id, nil
}

// explain says what is wrong with a token, whose claims the caller knows.
func (v *Verifier) explain(said claims, err error) error {
	if _, expired := errors.AsType[*oidc.TokenExpiredError](err); expired {
		return refuse("it has expired.")
	}
	if time.Unix(said.NotBefore, 0).After(v.now().Add(Skew)) {
		return refuse("it is not valid yet.")
	}
	return refuse("its signature does not fit, or is not RS256.")
}

func refuse(why string) error {
	return problem.New(problem.Unauthenticated, "The Entra ID token was not accepted: %s", why)
}

// unverifiedClaims reads what a token says before anything of it is proven.
func unverifiedClaims(token string) (keyID string, c claims, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", c, errors.New("not three parts")
	}
	var header struct {
		KeyID string `json:"kid"`
	}
	for i, to := range []any{&header, &c} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return "", c, err
		}
		if err := json.Unmarshal(text, to); err != nil {
			return "", c, err
		}
	}
	return header.KeyID, c, nil
}

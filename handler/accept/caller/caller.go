// Package caller says who calls and what the caller may do.
//
// In: the headers of a request. Out: a Caller with its Policy, and for a request signed in
// ACS's way the SHA-256 that its body must have. It keeps callers and their keys as package
// keyring does. A caller that is not in the list, but proves that it may be, has the list
// read anew. It writes no answers: api/rest does. It knows no keys of Entra ID: package entra
// does.
package caller

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/problem"
)

// Caller is one known sender of requests.
type Caller struct {
	keyring.Holder

	Policy Policy `json:"policy"`

	production bool
}

// Terms names what c may do: it changes with the policy.
func (c Caller) Terms() string {
	text, _ := json.Marshal(c.Policy) // strings and numbers: it always encodes
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// ByHook is c as it sends by a hook, whose own pause holds too if it is not nil.
func (c Caller) ByHook(pause *problem.Pause) Caller {
	if c.Pause == nil && pause != nil {
		of := *pause
		of.What = "this hook"
		c.Pause = &of
	}
	return c
}

// Registry is the keyring of callers, and how they prove themselves. It is safe for
// concurrent use.
type Registry struct {
	*keyring.Keyring[Caller, *Caller]

	now    func() time.Time
	tokens Tokens // nil: none are taken
}

// NewRegistry reads callers from t and proves their keys with masters. In production an
// empty list of recipient domains means all of them. now is a local clock.
func NewRegistry(t keyring.Table, masters keyring.Masters, production bool, now func() time.Time) *Registry {
	return &Registry{now: now, Keyring: keyring.New(keyring.Kind[Caller]{
		Noun: "caller", Prefix: "ph_", End: "revoke", Refuses: true, Normalise: normalise,
		Init: func(c *Caller) { c.production = production },
	}, t, masters, now)}
}

func normalise(known map[string]Caller, c Caller) (_ Caller, err error) {
	if c.Policy, err = c.Policy.normalised(); err == nil {
		err = checkIdentities(known, c.Name, c.Policy)
	}
	return c, err
}

// Secrets are what `callers add` and `callers rotate` print once.
type Secrets struct {
	Key       string // for Authorization: Bearer
	AccessKey string // for ACS's SDKs; empty unless the policy allows HMAC
}

// Add makes a caller. Errors are those of Keyring.Add.
func (r *Registry) Add(ctx context.Context, name string, p Policy) (Secrets, error) {
	return r.secrets(r.Keyring.Add(ctx, Caller{Holder: keyring.Holder{Name: name}, Policy: p}))
}

// Rotate gives a caller a new key. Errors are those of Keyring.Rotate.
func (r *Registry) Rotate(ctx context.Context, name string) (Secrets, error) {
	return r.secrets(r.Keyring.Rotate(ctx, name))
}

func (r *Registry) secrets(c Caller, err error) (Secrets, error) {
	if err != nil {
		return Secrets{}, err
	}
	s := Secrets{Key: r.Key(c)}
	if c.Policy.HMAC {
		s.AccessKey = base64.StdEncoding.EncodeToString(r.MACs(c.Name, c.Generations[len(c.Generations)-1])[0])
	}
	return s, nil
}

// SetPolicy gives a caller another policy. Its keys stay. Errors are those of Keyring.Change.
func (r *Registry) SetPolicy(ctx context.Context, name string, p Policy) error {
	_, err := r.Change(ctx, name, func(known map[string]Caller, c *Caller) (err error) {
		c.Policy = p
		*c, err = normalise(known, *c)
		return err
	})
	return err
}

// OldestKey is the key of a caller that has been alive the longest; "" if none is. An operator
// who uses it makes no newer key look as if its clients had changed over to it.
func (r *Registry) OldestKey(c Caller) string {
	if !c.Alive() {
		return ""
	}
	return r.Keys(c.Name, c.Generations[0])[0]
}

package caller

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/posthorn/posthorn/handler/problem"
)

// Identity is the owner of a token of Entra ID. The ids are UUIDs in lower
// case; App is empty where a person and not an application is behind the token.
type Identity struct {
	App    string // application (client) id
	Object string // object id of the service principal, the managed identity or the person
}

// Tokens verifies tokens of Entra ID. It returns a problem of kind Unauthenticated
// for one that is not good, and Unavailable if that cannot be told now.
type Tokens interface {
	Verify(ctx context.Context, token string) (Identity, error)
}

// Trust lets callers prove themselves with tokens. It is called before the first
// Authenticate, if at all.
func (r *Registry) Trust(t Tokens) { r.tokens = t }

// looksLikeToken tells a token from a key. No key looks like a token.
func looksLikeToken(credential string) bool {
	return strings.Count(credential, ".") == 2 && !strings.HasPrefix(credential, "ph_")
}

// byToken finds the caller that an Entra ID token stands for.
func (r *Registry) byToken(ctx context.Context, token string) (Proof, error) {
	if r.tokens == nil {
		return Proof{}, problem.New(problem.Unauthenticated, "This gateway takes no tokens of Entra ID. Send a key, or ask the operator to set POSTHORN_ENTRA_TENANT and POSTHORN_ENTRA_AUDIENCE.")
	}
	id, err := r.tokens.Verify(ctx, token)
	if err != nil {
		return Proof{}, err
	}
	return r.findListed(ctx, func(known map[string]Caller) (Proof, error) { return byIdentity(known, id) })
}

func byIdentity(known map[string]Caller, id Identity) (Proof, error) {
	var found []Caller
	for _, c := range known {
		if c.standsFor(id) {
			found = append(found, c)
		}
	}
	switch len(found) {
	case 1:
		return Proof{Caller: found[0], By: ByToken}, nil
	case 0:
		return Proof{}, problem.Wrap(problem.Forbidden, fmt.Sprintf("The token is good, but stands for no caller of this gateway. The operator maps it with `posthorn callers set NAME --entra-app %s` or `--entra-object %s`.", orNone(id.App), orNone(id.Object)), errUnlisted)
	default:
		return Proof{}, problem.New(problem.Forbidden, "The token stands for more than one caller of this gateway. The operator must map its application or its object to one alone.")
	}
}

func orNone(id string) string {
	if id == "" {
		return "(none)"
	}
	return id
}

// standsFor says whether c is alive and its policy maps id to it.
func (c Caller) standsFor(id Identity) bool {
	return c.Alive() &&
		(id.App != "" && slices.Contains(c.Policy.EntraApps, id.App) ||
			id.Object != "" && slices.Contains(c.Policy.EntraObjects, id.Object))
}

// checkIdentities refuses a policy with an identity that stands for another caller already: a token would
// stand for two callers.
func checkIdentities(known map[string]Caller, name string, p Policy) error {
	for _, c := range known {
		for _, id := range slices.Concat(p.EntraApps, p.EntraObjects) {
			if c.Name != name && (c.standsFor(Identity{App: id}) || c.standsFor(Identity{Object: id})) {
				return wrong("Tokens of %s stand for the caller %q already.", id, c.Name)
			}
		}
	}
	return nil
}

// uuids returns ids in lower case, or a problem of kind InvalidRequest.
func uuids(what string, ids []string) ([]string, error) {
	var low []string
	for _, id := range ids {
		u, err := uuid.Parse(id)
		if err != nil || len(id) != 36 {
			return nil, wrong("The %s %q is no id: it must be a UUID.", what, id)
		}
		low = append(low, u.String())
	}
	return low, nil
}

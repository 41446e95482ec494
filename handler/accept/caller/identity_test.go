package caller_test

import (
	"context"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/problem"
)

const (
	appA    = "aaaaaaaa-1111-4111-8111-111111111111"
	appB    = "aaaaaaaa-2222-4222-8222-222222222222"
	objectA = "bbbbbbbb-1111-4111-8111-111111111111"
	objectB = "bbbbbbbb-2222-4222-8222-222222222222"
)

// tokens says of each token whose it is.
type tokens map[string]caller.Identity

func (t tokens) Verify(_ context.Context, token string) (caller.Identity, error) {
	if id, ok := t[token]; ok {
		return id, nil
	}
	if token == "later.later.later" {
		return caller.Identity{}, problem.New(problem.Unavailable, "Not now.")
	}
	return caller.Identity{}, problem.New(problem.Unauthenticated, "No.")
}

func TestATokenStandsForItsCaller(t *testing.T) {
	t.Parallel()
	o := newOffice()
	o.Trust(tokens{
		"by.app.a": {App: appA, Object: "x"}, "by.object.b": {App: appB, Object: objectB}, "a.person.b": {Object: objectB},
		"of.no.caller": {App: appB, Object: objectA}, "of.two.callers": {App: appA, Object: objectB},
		"of.a.ghost": {App: "cccccccc-1111-4111-8111-111111111111"}, "of.no.body": {},
	})
	key := o.add(t, "shop", caller.Policy{EntraApps: []string{strings.ToUpper(appA)}}).Key
	o.add(t, "office", caller.Policy{EntraObjects: []string{objectB}})
	o.add(t, "ghost", caller.Policy{EntraApps: []string{"cccccccc-1111-4111-8111-111111111111"}})
	if err := o.End(t.Context(), "ghost"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, authorization, caller string
		kind                        problem.Kind
	}{
		{"by its application", "Bearer by.app.a", "shop", 0},
		{"by its object", "Bearer by.object.b", "office", 0},
		{"in small letters", "bearer by.app.a", "shop", 0},
		{"a person", "Bearer a.person.b", "office", 0},
		{"a key beside", "Bearer " + key, "shop", 0},
		{"nobody that is mapped", "Bearer of.no.caller", "", problem.Forbidden},
		{"two at once", "Bearer of.two.callers", "", problem.Forbidden},
		{"a revoked caller", "Bearer of.a.ghost", "", problem.Forbidden},
		{"nobody at all", "Bearer of.no.body", "", problem.Forbidden},
		{"a bad token", "Bearer not.so.good", "", problem.Unauthenticated},
		{"a token that cannot be told", "Bearer later.later.later", "", problem.Unavailable},
		{"without a scheme", "by.app.a", "shop", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			proof, err := o.Authenticate(t.Context(), withHeader("Authorization", c.authorization))
			if proof.Caller.Name != c.caller || proof.BodySHA256 != nil || (err == nil) != (c.caller != "") || err != nil && !problem.Is(err, c.kind) {
				t.Errorf("got %q, %v", proof.Caller.Name, err)
			}
			if c.name == "nobody that is mapped" && !(strings.Contains(err.Error(), appB) && strings.Contains(err.Error(), objectA)) {
				t.Errorf("the operator is not told whom to map: %v", err)
			}
		})
	}
}

func TestWithoutATenantNoTokenIsTaken(t *testing.T) {
	t.Parallel()
	o := newOffice()
	o.add(t, "shop", caller.Policy{EntraApps: []string{appA}})
	_, err := o.Authenticate(t.Context(), withHeader("Authorization", "Bearer a.b.c"))
	if !problem.Is(err, problem.Unauthenticated) || !strings.Contains(err.Error(), "POSTHORN_ENTRA_TENANT") {
		t.Errorf("got %v", err)
	}
}

func TestAnIdentityStandsForOneCaller(t *testing.T) {
	t.Parallel()
	o := newOffice()
	o.add(t, "shop", caller.Policy{EntraApps: []string{appA}})
	o.add(t, "office", caller.Policy{EntraObjects: []string{objectB}})
	add := func(p caller.Policy) error { _, err := o.Add(t.Context(), "third", p); return err }
	for _, c := range []struct {
		name string
		err  error
		good bool
	}{
		{"an application of another", add(caller.Policy{EntraApps: []string{appB, appA}}), false},
		{"an object of another", add(caller.Policy{EntraObjects: []string{objectB}}), false},
		{"later, an application of another", o.SetPolicy(t.Context(), "office", caller.Policy{EntraApps: []string{strings.ToUpper(appA)}}), false},
		{"its own again", o.SetPolicy(t.Context(), "shop", caller.Policy{EntraApps: []string{appA, appB}}), true},
	} {
		if got := c.err == nil; got != c.good || !c.good && !problem.Is(c.err, problem.InvalidRequest) {
			t.Errorf("%s: %v", c.name, c.err)
		}
	}
	if err := o.End(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	if err := add(caller.Policy{EntraApps: []string{appA}}); err != nil {
		t.Errorf("that of a revoked caller: %v", err)
	}
}

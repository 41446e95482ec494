package caller_test

import (
	"testing"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// A caller is found by its name while it lives, from the cache while that is fresh.
func TestACallerIsFoundByItsName(t *testing.T) {
	t.Parallel()
	o := newOffice()
	o.add(t, "shop", from("shop@example.com"))
	o.add(t, "ghost", from("ghost@example.com"))
	if err := o.End(t.Context(), "ghost"); err != nil {
		t.Fatal(err)
	}
	for name, kind := range map[string]problem.Kind{"ghost": problem.NotFound, "nobody": problem.NotFound, "": problem.NotFound} {
		if c, err := o.Named(t.Context(), name); !problem.Is(err, kind) || c.Name != "" {
			t.Errorf("%q: %+v, %v", name, c, err)
		}
	}
	c, err := o.Named(t.Context(), "shop")
	if err != nil || c.Name != "shop" || c.Policy.Senders[0] != "shop@example.com" {
		t.Errorf("shop: %+v, %v", c, err)
	}
	o.down = true
	if _, err := o.Named(t.Context(), "shop"); err != nil {
		t.Errorf("from the cache: %v", err)
	}
	o.clock = o.clock.Add(keyring.CacheLife)
	if _, err := o.Named(t.Context(), "shop"); err != nil {
		t.Errorf("without storage, from the last list: %v", err)
	}
	if _, err := o.Current(t.Context(), "shop"); !problem.Is(err, problem.Unavailable) {
		t.Errorf("without storage, as it is now: %v", err)
	}
}

// The list is in the order of names, whatever order storage has.
func TestCallersAreListedByName(t *testing.T) {
	t.Parallel()
	o := newOffice()
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	for i := range names {
		o.add(t, names[len(names)-1-i], caller.Policy{})
	}
	list, err := o.All(t.Context())
	if err != nil || len(list) != len(names) {
		t.Fatalf("%d callers, %v", len(list), err)
	}
	for i, c := range list {
		if c.Name != names[i] {
			t.Errorf("caller %d is %s, want %s", i, c.Name, names[i])
		}
	}
}

// A row that nobody can read lets nobody in under a part of its rules.
func TestARowThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		values map[string]any
	}{
		{"nothing in it", map[string]any{}},
		{"no text", map[string]any{"json0": int64(1)}},
		{"cut off", map[string]any{"json0": `{"name":"shop","generations":[1],"last":1,"policy":{"senders":["*"`}},
		{"its first part missing", map[string]any{"json1": `{"name":"shop","generations":[1],"last":1,"policy":{}}`}},
		{"generations that are no numbers", map[string]any{"json0": `{"name":"shop","generations":["1"],"last":1,"policy":{}}`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := newOffice()
			key := o.add(t, "shop", caller.Policy{}).Key
			if _, err := o.table.Replace(t.Context(), store.Entity{Partition: "callers", Row: "shop", Values: c.values}); err != nil {
				t.Fatal(err)
			}
			if _, err := o.Authenticate(t.Context(), withHeader("Authorization", "Bearer "+key)); !problem.Is(err, problem.Unavailable) {
				t.Errorf("authenticated: %v", err)
			}
			if _, err := o.All(t.Context()); !problem.Is(err, problem.Unavailable) {
				t.Errorf("listed: %v", err)
			}
			if err := o.End(t.Context(), "shop"); !problem.Is(err, problem.Unavailable) {
				t.Errorf("revoked: %v", err)
			}
		})
	}
}

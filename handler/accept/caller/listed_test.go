package caller_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// A key that was just made lives at the next request, and so does a caller; a key that was
// forged has nobody ask storage.
func TestWhatWasJustMadeLives(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		table := mem.NewTable(time.Now, func(op mem.Op, _ string) mem.Fault {
			if op == mem.List {
				reads++
			}
			return mem.Fault{}
		})
		r := caller.NewRegistry(table, keyring.Masters{newMaster}, false, time.Now)
		admits := func(name, key string, want bool, mostReads int) {
			t.Helper()
			before := reads
			proof, err := r.Authenticate(t.Context(), withHeader("Authorization", "Bearer "+key))
			if (err == nil) != want || want && proof.Caller.Name == "" || err != nil && !problem.Is(err, problem.Unauthenticated) {
				t.Errorf("%s: %q, %v", name, proof.Caller.Name, err)
			}
			if n := reads - before; n > mostReads {
				t.Errorf("%s: the list was read %d times", name, n)
			}
		}
		first, err := r.Add(t.Context(), "shop", caller.Policy{})
		if err != nil {
			t.Fatal(err)
		}
		admits("the first caller", first.Key, true, 1)
		bank, _ := r.Add(t.Context(), "bank", caller.Policy{})
		admits("a caller made a moment ago", bank.Key, true, 1)
		second, _ := r.Rotate(t.Context(), "shop")
		admits("a key made a moment ago", second.Key, true, 1)
		admits("a forged key", flip(second.Key), false, 0)
		if err := r.End(t.Context(), "bank"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(keyring.CacheLife)
		admits("a revoked one", bank.Key, false, 1)
		admits("a revoked one again", bank.Key, false, 0)
		again, _ := r.Add(t.Context(), "bank", caller.Policy{})
		admits("one made anew under its name", again.Key, true, 1)
		ghost := r.Keys("ghost", 1)[0]
		begin := time.Now()
		for range 10 { // it may be, so they wait
			admits("one that was never listed", ghost, false, 1)
		}
		if took := time.Since(begin); took < 9*time.Second {
			t.Errorf("ten reads of the list within %v", took)
		}
	})
}

// A pause is kept through all that changes a caller, and ends with it.
func TestACallerIsPaused(t *testing.T) {
	t.Parallel()
	o := newOffice()
	o.add(t, "shop", from("shop@example.com"))
	now := func() *problem.Pause {
		t.Helper()
		list, err := o.All(t.Context())
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		return list[0].Pause
	}
	for _, c := range []struct {
		name string
		do   func() error
		want *problem.Pause // nil: no pause
	}{
		{"at first", func() error { return nil }, nil},
		{"resumed without a pause", func() error { return o.Resume(t.Context(), "shop") }, nil},
		{"paused", func() error { return o.Pause(t.Context(), "shop", " a loop ", false) }, &problem.Pause{Reason: "a loop", Since: o.clock}},
		{"another policy", func() error { return o.SetPolicy(t.Context(), "shop", from("b@example.com")) }, &problem.Pause{Reason: "a loop", Since: o.clock}},
		{"another key", func() error { _, err := o.Rotate(t.Context(), "shop"); return err }, &problem.Pause{Reason: "a loop", Since: o.clock}},
		{"paused again", func() error { return o.Pause(t.Context(), "shop", "", true) }, &problem.Pause{Since: o.clock, Refuse: true}},
		{"suspended while it is paused", func() error { return o.Suspend(t.Context(), "shop", "ACS refuses it.") }, &problem.Pause{Since: o.clock, Refuse: true}},
		{"resumed", func() error { return o.Resume(t.Context(), "shop") }, nil},
		{"suspended", func() error { return o.Suspend(t.Context(), "shop", "ACS refuses it.") },
			&problem.Pause{Reason: "ACS refuses it.", Since: o.clock, Refuse: true, Auto: true}},
		{"resumed again", func() error { return o.Resume(t.Context(), "shop") }, nil},
		{"somebody else suspended, who is gone", func() error { return o.Suspend(t.Context(), "nobody", "") }, nil},
		{"paused once more", func() error { return o.Pause(t.Context(), "shop", "", true) }, &problem.Pause{Since: o.clock, Refuse: true}},
		{"made anew", func() error {
			if err := o.End(t.Context(), "shop"); err != nil {
				return err
			}
			_, err := o.Add(t.Context(), "shop", from("shop@example.com"))
			return err
		}, nil},
	} {
		if err := c.do(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := now(); (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	if err := o.Pause(t.Context(), "nobody", "", false); !problem.Is(err, problem.NotFound) {
		t.Errorf("nobody: %v", err)
	}
	if err := o.Pause(t.Context(), "shop", "a\nb", false); !problem.Is(err, problem.InvalidRequest) {
		t.Errorf("two lines: %v", err)
	}
}

// What cannot be a proof is refused though storage is away and no list was ever read; what
// can be one is not.
func TestWhatIsNoProofAsksNoStorage(t *testing.T) {
	t.Parallel()
	r := caller.NewRegistry(mem.NewTable(time.Now, func(mem.Op, string) mem.Fault { return mem.Fault{Outcome: mem.Refused} }), keyring.Masters{newMaster}, false, time.Now)
	const signed = "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature="
	good := strings.Repeat("A", 43) + "="
	now := time.Now().UTC().Format(http.TimeFormat)
	for _, c := range []struct {
		name                      string
		authorization, date, hash string
		kind                      problem.Kind
	}{
		{"nothing", "", "", "", problem.Unauthenticated},
		{"no key", "Bearer ph_", "", "", problem.Unauthenticated},
		{"a forged key", "Bearer " + flip(r.Keys("shop", 1)[0]), "", "", problem.Unauthenticated},
		{"a key", "Bearer " + r.Keys("shop", 1)[0], "", "", problem.Unavailable},
		{"other headers signed", "HMAC-SHA256 SignedHeaders=host&Signature=" + good, now, good, problem.Unauthenticated},
		{"a signature that is cut", signed + "AAAA", now, good, problem.Unauthenticated},
		{"no date", signed + good, "", good, problem.Unauthenticated},
		{"an old date", signed + good, "Sun, 06 Nov 1994 08:49:37 GMT", good, problem.Unauthenticated},
		{"no hash", signed + good, now, "", problem.Unauthenticated},
		{"a signature", signed + good, now, good, problem.Unavailable},
	} {
		header := http.Header{}
		for name, value := range map[string]string{"Authorization": c.authorization, "X-Ms-Date": c.date, "X-Ms-Content-Sha256": c.hash} {
			if value != "" {
				header.Set(name, value)
			}
		}
		if _, err := r.Authenticate(t.Context(), caller.Request{Method: "POST", Target: "/", Hosts: []string{"x"}, Header: header}); !problem.Is(err, c.kind) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

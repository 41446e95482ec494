package hook

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// A hook that was just made, and a key of it, work at the next request; a forged key costs
// no read of the list, and neither does one that is dead for good.
func TestAHookThatWasJustMadeWorks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		r := NewRegistry(mem.NewTable(time.Now, func(op mem.Op, _ string) mem.Fault {
			if op == mem.List {
				reads++
			}
			return mem.Fault{}
		}), masters, rand.Reader, time.Now)
		admits := func(what, name, key, to string, mostReads int) {
			t.Helper()
			before := reads
			h, err := r.Find(t.Context(), name, Delivery{})
			if err == nil {
				h, err = r.Admit(t.Context(), h, Delivery{Query: url.Values{"key": {key}}, At: time.Now()})
			}
			if h.Name != name {
				t.Errorf("%s: the hook is %q", what, h.Name)
			}
			if (err == nil) != (to != "") || err != nil && !problem.Is(err, problem.Unauthenticated) || err == nil && h.Policy.To[0] != to {
				t.Errorf("%s: to %v, %v", what, h.Policy.To, err)
			}
			if n := reads - before; n > mostReads {
				t.Errorf("%s: the list was read %d times", what, n)
			}
		}
		const team = "team@example.com"
		one := added(t, r, "one", "alertmanager", "", "")
		admits("the first", "one", r.Key(one), team, 1)
		two := added(t, r, "two", "alertmanager", "", "")
		admits("made a moment ago", "two", r.Key(two), team, 1)
		admits("another hook's key", "two", r.Key(one), "", 0)
		second, err := r.Rotate(t.Context(), "one")
		if err != nil {
			t.Fatal(err)
		}
		admits("a key made a moment ago", "one", r.Key(second), team, 1)
		admits("the key before it", "one", r.Key(one), team, 0)
		admits("a forged one", "one", r.Key(second)[:len(r.Key(second))-1]+"x", "", 0)
		if err := r.End(t.Context(), "two"); err != nil {
			t.Fatal(err)
		}
		anew, err := r.Add(t.Context(), Hook{Holder: keyring.Holder{Name: "two"}, Policy: Policy{
			Caller: "ops", Sender: "alerts@example.com", To: []string{"other@example.com"}, Builtin: "alertmanager",
		}}, "")
		if err != nil {
			t.Fatal(err)
		}
		admits("made anew, under its new policy", "two", r.Key(anew), "other@example.com", 1)
		admits("the key of the one before", "two", r.Key(two), "", 0)
		admits("never made", "three", r.Key(two), "", 0)
		admits("never made, without a key", "three", "", "", 0)
		admits("never made, with a key as it would have", "three", keyOf(masters, "three", 1), "", 1)
		admits("the same forged", "three", keyOf(keyring.Masters{[]byte("x")}, "three", 1), "", 0)
		admits("no name", "No name", r.Key(two), "", 0)
	})
}

// A pause is kept through a new key, and ends with Resume or with the hook.
func TestAHookIsPaused(t *testing.T) {
	t.Parallel()
	v := newRivals()
	add := func() error { added(t, v.ours, "mine", "generic", "", ""); return nil }
	_ = add()
	for _, c := range []struct {
		name string
		do   func() error
		want *problem.Pause
	}{
		{"at first", func() error { return nil }, nil},
		{"paused", func() error { return v.ours.Pause(t.Context(), "mine", "a loop", true) }, &problem.Pause{Reason: "a loop", Since: noon, Refuse: true}},
		{"suspended while it is paused", func() error { return v.ours.Suspend(t.Context(), "mine", "ACS refuses it.") }, &problem.Pause{Reason: "a loop", Since: noon, Refuse: true}},
		{"another key", func() error { _, err := v.ours.Rotate(t.Context(), "mine"); return err }, &problem.Pause{Reason: "a loop", Since: noon, Refuse: true}},
		{"resumed", func() error { return v.ours.Resume(t.Context(), "mine") }, nil},
		{"suspended", func() error { return v.ours.Suspend(t.Context(), "mine", "ACS refuses it.") }, &problem.Pause{Reason: "ACS refuses it.", Since: noon, Auto: true}},
		{"somebody else suspended, who is gone", func() error { return v.ours.Suspend(t.Context(), "other", "") }, &problem.Pause{Reason: "ACS refuses it.", Since: noon, Auto: true}},
		{"made anew", func() error {
			if err := v.ours.End(t.Context(), "mine"); err != nil {
				return err
			}
			return add()
		}, nil},
	} {
		if err := c.do(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		h, err := v.theirs.Read(t.Context(), "mine")
		if err != nil || (h.Pause == nil) != (c.want == nil) || h.Pause != nil && *h.Pause != *c.want {
			t.Errorf("%s: %+v, %v, want %+v", c.name, h.Pause, err, c.want)
		}
	}
	if err := v.ours.Pause(t.Context(), "other", "", false); !problem.Is(err, problem.NotFound) {
		t.Errorf("nobody: %v", err)
	}
	if err := v.ours.Pause(t.Context(), "mine", "a\nb", false); !problem.Is(err, problem.InvalidRequest) {
		t.Errorf("two lines: %v", err)
	}
}

// A signed hook that was just made, and a secret of it, work at the next delivery. Anybody
// can make up a signature: once a second one has the list read, and the others wait for
// nothing, whether there is a hook or not.
func TestASignedHookThatWasJustMadeWorks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		r := NewRegistry(mem.NewTable(time.Now, func(op mem.Op, _ string) mem.Fault {
			if op == mem.List {
				reads++
				time.Sleep(10 * time.Millisecond)
			}
			return mem.Fault{}
		}), masters, rand.Reader, time.Now)
		proves := func(what, name, secret string, want bool, mostReads int) {
			t.Helper()
			h, err := r.Find(t.Context(), name, Delivery{})
			if err != nil {
				t.Fatal(err)
			}
			before := reads
			d := Delivery{Header: signings["GitHub"].sign(secret, "{}", time.Now()), Pieces: [][]byte{[]byte("{}")}, At: time.Now()}
			h, err = r.Prove(t.Context(), h, d)
			if (err == nil) != want || err != nil && !problem.Is(err, problem.Unauthenticated) || want && h.Policy.Sender == "" {
				t.Errorf("%s: %+v, %v", what, h, err)
			}
			if n := reads - before; n > mostReads {
				t.Errorf("%s: the list was read %d times", what, n)
			}
		}
		one := added(t, r, "one", "github", "", "")
		proves("the first", "one", r.Secret(one), true, 0)
		two := added(t, r, "two", "github", "", "")
		time.Sleep(time.Second)
		proves("made a moment ago", "two", r.Secret(two), true, 1)
		time.Sleep(time.Second)
		second, err := r.Rotate(t.Context(), "one")
		if err != nil {
			t.Fatal(err)
		}
		proves("a secret made a moment ago", "one", r.Secret(second), true, 1)
		time.Sleep(time.Second)
		keyed := added(t, r, "keyed", "alertmanager", "", "")
		proves("signed with the key of a hook that takes no signature", "keyed", r.Key(keyed), false, 1)
		for _, name := range []string{"one", "three", "keyed"} {
			begin := time.Now()
			for range 20 {
				proves("a forged one for "+name, name, "forged", false, 0)
			}
			if took := time.Since(begin); took != 0 {
				t.Errorf("twenty forged ones for %s took %v", name, took)
			}
			time.Sleep(time.Second)
			begin = time.Now()
			proves("a forged one for "+name, name, "forged", false, 1)
			if took := time.Since(begin); took != 10*time.Millisecond {
				t.Errorf("a forged one for %s took %v", name, took)
			}
		}
	})
}

// What is read of a delivery's headers before its body tells nothing of the hook: only what
// cannot be a signature is refused.
func TestTheShapeOfASignature(t *testing.T) {
	t.Parallel()
	for name, s := range signings {
		signed := s.sign("whsec_AAAAAAAAAAAAAAAAAAAAAAAA", "other", noon)
		timed := name != "GitHub" && name != "GitHub with a secret of its own" && name != "Grafana"
		for _, c := range []struct {
			name   string
			header http.Header
			want   bool
		}{
			{"well-formed, whoever signed what", signed, true},
			{"cut", changed(signed.Clone(), func(v []string) []string { return []string{v[0][:len(v[0])/2]} }), false},
			{"empty", changed(signed.Clone(), func([]string) []string { return []string{""} }), false},
			{"doubled", changed(signed.Clone(), func(v []string) []string { return append(v, v...) }), false},
			{"an hour old", s.sign("whsec_AAAAAAAAAAAAAAAAAAAAAAAA", "other", noon.Add(-time.Hour)), !timed},
		} {
			if got := (Delivery{Header: c.header, At: noon}).Signed(); got != c.want {
				t.Errorf("%s, %s: %t", name, c.name, got)
			}
		}
	}
	if (Delivery{Header: http.Header{"Authorization": {"Bearer x"}}, At: noon}).Signed() {
		t.Error("a key is no signature")
	}
}

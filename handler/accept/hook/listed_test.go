package hook

import (
	"crypto/rand"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

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
			h, err := r.Find(t.Context(), name)
			if err == nil {
				h, err = r.Admit(t.Context(), h, Delivery{Query: url.Values{"key": {key}}, At: time.Now()})
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
		if err := r.Remove(t.Context(), "two"); err != nil {
			t.Fatal(err)
		}
		anew, err := r.Add(t.Context(), Hook{Name: "two", Policy: Policy{
			Caller: "ops", Sender: "alerts@example.com", To: []string{"other@example.com"}, Builtin: "alertmanager",
		}}, "")
		if err != nil {
			t.Fatal(err)
		}
		admits("made anew, under its new policy", "two", r.Key(anew), "other@example.com", 1)
		admits("the key of the one before", "two", r.Key(two), "", 0)
		admits("never made", "three", r.Key(two), "", 1)
		admits("no name", "No name", r.Key(two), "", 0)
	})
}

package hook

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// rivals are two operators' registries over one table; meanwhile happens once, just
// before the next row is replaced.
type rivals struct {
	ours, theirs *Registry
	meanwhile    func()
	away         mem.Op // what storage refuses
}

func newRivals() *rivals {
	v := &rivals{}
	now := func() time.Time { return noon }
	table := mem.NewTable(now, func(op mem.Op, _ string) mem.Fault {
		if op == v.away {
			return mem.Fault{Outcome: mem.Refused}
		}
		if act := v.meanwhile; op == mem.Replace && act != nil {
			v.meanwhile = nil
			act()
		}
		return mem.Fault{}
	})
	v.ours, v.theirs = NewRegistry(table, masters, rand.Reader, now), NewRegistry(table, masters, rand.Reader, now)
	return v
}

// left shows the live hook mine; "" without one.
func (v *rivals) left(t *testing.T) string {
	t.Helper()
	list, err := v.ours.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		return ""
	}
	return fmt.Sprint(list[0].Generations, " ", list[0].Policy.Builtin)
}

// change is what an operator does to the hook mine, whose keys 1 and 2 live.
type change struct {
	name string
	do   func(t *testing.T, r *Registry) error
	left string
}

func changes() []change {
	return []change{
		{"rotate", func(t *testing.T, r *Registry) error { _, err := r.Rotate(t.Context(), "mine"); return err }, "[2 3] alertmanager"},
		{"retire", func(t *testing.T, r *Registry) error { return r.Retire(t.Context(), "mine") }, "[2] alertmanager"},
		{"remove", func(t *testing.T, r *Registry) error { return r.End(t.Context(), "mine") }, ""},
	}
}

// Of two operators who change a hook at once, the later one is told, and what the
// first one did stays: a removed hook above all.
func TestTwoOperatorsAtOnce(t *testing.T) {
	t.Parallel()
	for _, late := range changes() {
		for _, early := range changes() {
			t.Run(late.name+" while another does "+early.name, func(t *testing.T) {
				t.Parallel()
				v := newRivals()
				added(t, v.ours, "mine", "alertmanager", "", "")
				rotated(t, v.ours)
				v.meanwhile = func() {
					if err := early.do(t, v.theirs); err != nil {
						t.Errorf("the first operator: %v", err)
					}
				}
				err := late.do(t, v.ours)
				if !problem.Is(err, problem.InvalidRequest) || !strings.Contains(err.Error(), `"mine" was changed at the same time`) {
					t.Errorf("the second operator: %v", err)
				}
				if got := v.left(t); got != early.left {
					t.Errorf("left is %q, want %q", got, early.left)
				}
				if err := late.do(t, v.ours); early.left == "" && !problem.Is(err, problem.NotFound) || early.left != "" && err != nil {
					t.Errorf("the second operator again: %v", err)
				}
			})
		}
	}
}

func TestTwoOperatorsMakeAHookAnew(t *testing.T) {
	t.Parallel()
	v := newRivals()
	added(t, v.ours, "mine", "alertmanager", "", "")
	if err := v.ours.End(t.Context(), "mine"); err != nil {
		t.Fatal(err)
	}
	var early Hook
	v.meanwhile = func() { early = added(t, v.theirs, "mine", "grafana", "", "") }
	_, err := v.ours.Add(t.Context(), Hook{Holder: keyring.Holder{Name: "mine"}, Policy: Policy{
		Caller: "ops", Sender: "alerts@example.com", To: []string{"team@example.com"}, Builtin: "github",
	}}, "")
	if !problem.Is(err, problem.InvalidRequest) {
		t.Errorf("the second operator: %v", err)
	}
	if got := v.left(t); got != "[2] grafana" || v.theirs.Key(early) != keyOf(masters, "mine", 2) {
		t.Errorf("left is %q, with the key %s", got, v.theirs.Key(early))
	}
}

// What storage does not do is told as such, and can be done again.
func TestAChangeThatStorageDoesNotTake(t *testing.T) {
	t.Parallel()
	for _, c := range changes() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := newRivals()
			added(t, v.ours, "mine", "alertmanager", "", "")
			rotated(t, v.ours)
			v.away = mem.Replace
			if err := c.do(t, v.ours); !problem.Is(err, problem.Unavailable) {
				t.Errorf("without storage: %v", err)
			}
			v.away = ""
			if got := v.left(t); got != "[1 2] alertmanager" {
				t.Errorf("left is %q", got)
			}
			if err := c.do(t, v.ours); err != nil {
				t.Errorf("again: %v", err)
			}
			if got := v.left(t); got != c.left {
				t.Errorf("left is %q, want %q", got, c.left)
			}
		})
	}
}

// A generation is given out once and never again, whatever happens to the hook.
func TestGenerationsCountUpwards(t *testing.T) {
	t.Parallel()
	v := newRivals()
	h := added(t, v.ours, "mine", "alertmanager", "", "")
	seen := map[string]bool{v.ours.Key(h): true}
	for i, c := range []struct {
		name string
		do   func() Hook
		live string
	}{
		{"rotate", func() Hook { return rotate(t, v.ours) }, "[1 2] alertmanager"},
		{"rotate again", func() Hook { return rotate(t, v.ours) }, "[2 3] alertmanager"},
		{"remove and add", func() Hook {
			if err := v.ours.End(t.Context(), "mine"); err != nil {
				t.Fatal(err)
			}
			return added(t, v.ours, "mine", "alertmanager", "", "")
		}, "[4] alertmanager"},
		{"rotate the new one", func() Hook { return rotate(t, v.ours) }, "[4 5] alertmanager"},
	} {
		k := v.ours.Key(c.do())
		if got := v.left(t); got != c.live || k != keyOf(masters, "mine", int64(i+2)) || seen[k] {
			t.Errorf("%s: left is %q, want %q, with the key %s", c.name, got, c.live, k)
		}
		seen[k] = true
	}
}

func rotate(t *testing.T, r *Registry) Hook {
	t.Helper()
	h, err := r.Rotate(t.Context(), "mine")
	if err != nil {
		t.Fatal(err)
	}
	return h
}

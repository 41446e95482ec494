package caller_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// operation is what an operator does to the caller shop.
type operation struct {
	name string
	do   func(t *testing.T, r *caller.Registry) (secrets caller.Secrets, err error)
	left string // of a caller with the generations 1 and 2
	dead bool   // nothing but Add is possible afterwards
}

func from(sender string) caller.Policy { return caller.Policy{Senders: []string{sender}} }

// operations are all that rewrite the row of a caller.
func operations() []operation {
	none := caller.Secrets{}
	return []operation{
		{"set", func(t *testing.T, r *caller.Registry) (caller.Secrets, error) {
			return none, r.SetPolicy(t.Context(), "shop", from("set@example.com"))
		}, "[1 2] set@example.com", false},
		{"rotate", func(t *testing.T, r *caller.Registry) (caller.Secrets, error) {
			return r.Rotate(t.Context(), "shop")
		}, "[2 3] first@example.com", false},
		{"retire", func(t *testing.T, r *caller.Registry) (caller.Secrets, error) {
			return none, r.Retire(t.Context(), "shop")
		}, "[2] first@example.com", false},
		{"revoke", func(t *testing.T, r *caller.Registry) (caller.Secrets, error) {
			return none, r.End(t.Context(), "shop")
		}, "", true},
	}
}

// left shows the live caller shop; "" without one.
func left(t *testing.T, r *caller.Registry) string {
	t.Helper()
	list, err := r.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		return ""
	}
	return fmt.Sprint(list[0].Generations, " ", strings.Join(list[0].Policy.Senders, ","))
}

// Of two operators who change a caller at once, the later one is told, and what
// the first one did stays: a revoked key above all.
func TestTwoOperatorsAtOnce(t *testing.T) {
	t.Parallel()
	for _, late := range operations() {
		for _, early := range operations() {
			t.Run(late.name+" while another does "+early.name, func(t *testing.T) {
				t.Parallel()
				o := newOffice()
				keys := []string{o.add(t, "shop", from("first@example.com")).Key}
				second, err := o.Rotate(t.Context(), "shop")
				if err != nil {
					t.Fatal(err)
				}
				keys = append(keys, second.Key)
				other := caller.NewRegistry(o.table, keyring.Masters{newMaster}, false, o.now)
				o.meanwhile = func() {
					if _, err := early.do(t, other); err != nil {
						t.Errorf("the first operator: %v", err)
					}
				}
				secrets, err := late.do(t, o.Registry)
				if !problem.Is(err, problem.InvalidRequest) || !strings.Contains(err.Error(), `"shop" was changed at the same time`) {
					t.Errorf("the second operator: %v", err)
				}
				if secrets != (caller.Secrets{}) {
					t.Errorf("a key is shown that opens nothing: %v", secrets)
				}
				if got := left(t, o.Registry); got != early.left {
					t.Errorf("left is %q, want %q", got, early.left)
				}
				o.clock = o.clock.Add(keyring.CacheLife)
				for i, key := range keys {
					o.lives(t, key, strings.Contains(strings.SplitN(early.left, "]", 2)[0], strconv.Itoa(i+1)))
				}
				_, err = late.do(t, o.Registry)
				if got := err == nil; got == early.dead || early.dead && !problem.Is(err, problem.NotFound) {
					t.Errorf("the second operator again: %v", err)
				}
			})
		}
	}
}

// Two operators who make a revoked caller anew at once do not both hold a key.
func TestTwoOperatorsMakeACallerAnew(t *testing.T) {
	t.Parallel()
	o := newOffice()
	o.add(t, "shop", from("first@example.com"))
	if err := o.End(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	other := newOffice()
	other.Registry = caller.NewRegistry(o.table, keyring.Masters{newMaster}, false, o.now)
	var early caller.Secrets
	o.meanwhile = func() { early = other.add(t, "shop", from("early@example.com")) }
	secrets, err := o.Add(t.Context(), "shop", from("late@example.com"))
	if !problem.Is(err, problem.InvalidRequest) || secrets != (caller.Secrets{}) {
		t.Errorf("the second operator has %v, %v", secrets, err)
	}
	if got := left(t, o.Registry); got != "[2] early@example.com" {
		t.Errorf("left is %q", got)
	}
	o.lives(t, early.Key, true)
}

// What storage does not do is told as such, and can be done again.
func TestAChangeThatStorageDoesNotTake(t *testing.T) {
	t.Parallel()
	for _, c := range operations() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := newOffice()
			o.add(t, "shop", from("first@example.com"))
			if _, err := o.Rotate(t.Context(), "shop"); err != nil {
				t.Fatal(err)
			}
			before := left(t, o.Registry)
			o.away = mem.Replace
			secrets, err := c.do(t, o.Registry)
			if !problem.Is(err, problem.Unavailable) || secrets != (caller.Secrets{}) {
				t.Errorf("without storage: %v, %v", secrets, err)
			}
			if got := left(t, o.Registry); got != before {
				t.Errorf("left is %q, want %q", got, before)
			}
			o.away = ""
			if _, err := c.do(t, o.Registry); err != nil {
				t.Errorf("again: %v", err)
			}
			if got := left(t, o.Registry); got != c.left {
				t.Errorf("left is %q, want %q", got, c.left)
			}
		})
	}
}

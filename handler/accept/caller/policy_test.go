package caller_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// Each priority of a message against each of a policy.
func TestThePriorityOfAPolicy(t *testing.T) {
	t.Parallel()
	const none = mail.Priority("")
	all := []mail.Priority{none, mail.PriorityHigh, mail.PriorityNormal, mail.PriorityBulk}
	for _, c := range []struct {
		name    string
		policy  mail.Priority
		allowed map[mail.Priority]bool
	}{
		{"no rule", none, map[mail.Priority]bool{none: true, "high": true, "normal": true, "bulk": true}},
		{"high", mail.PriorityHigh, map[mail.Priority]bool{none: true, "high": true, "normal": true, "bulk": true}},
		{"normal", mail.PriorityNormal, map[mail.Priority]bool{none: true, "normal": true, "bulk": true}},
		{"bulk", mail.PriorityBulk, map[mail.Priority]bool{"bulk": true}},
	} {
		for _, priority := range all {
			t.Run(c.name+" and a message of priority "+string(priority), func(t *testing.T) {
				t.Parallel()
				o := newOffice()
				o.add(t, "shop", caller.Policy{Senders: []string{caller.Any}, RecipientDomains: []string{caller.Any}, Priority: c.policy})
				list, err := o.All(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				m := mail.Message{SenderAddress: "a@example.com", Recipients: mail.Recipients{To: []mail.Address{{Address: "b@example.net"}}}}
				m.Delivery.Priority = priority
				err = list[0].Allow(&m)
				if c.allowed[priority] {
					if err != nil {
						t.Errorf("refused: %v", err)
					}
					return
				}
				want := problem.Violation{Pointer: "/delivery/priority", Detail: "The rule `priority` of this caller allows nothing more urgent than `" + string(c.policy) + "`."}
				if !problem.Is(err, problem.Forbidden) || len(problem.Of(err).Violations) != 1 || problem.Of(err).Violations[0] != want {
					t.Errorf("got %v", err)
				}
			})
		}
	}
}

func TestTheBoundsOfAPolicy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		policy caller.Policy
		good   bool
	}{
		{"nothing said", caller.Policy{}, true},
		{"a share of all", caller.Policy{Share: 100}, true},
		{"the smallest share", caller.Policy{Share: 1}, true},
		{"more than all for one", caller.Policy{Share: 101}, false},
		{"a share of 150", caller.Policy{Share: 150}, false},
		{"a share of less than nothing", caller.Policy{Share: -1}, false},
		{"a cap of all", caller.Policy{Cap: 100}, true},
		{"the smallest cap", caller.Policy{Cap: 1}, true},
		{"a cap beyond all", caller.Policy{Cap: 101}, false},
		{"a cap of less than nothing", caller.Policy{Cap: -1}, false},
		{"share and cap both beyond", caller.Policy{Share: 150, Cap: -3}, false},
		{"a share below the cap", caller.Policy{Share: 20, Cap: 30}, true},
		{"a share that is the cap", caller.Policy{Share: 30, Cap: 30}, true},
		{"a share above the cap", caller.Policy{Share: 31, Cap: 30}, false},
		{"priority high", caller.Policy{Priority: mail.PriorityHigh}, true},
		{"priority normal", caller.Policy{Priority: mail.PriorityNormal}, true},
		{"priority bulk", caller.Policy{Priority: mail.PriorityBulk}, true},
		{"a priority that is none", caller.Policy{Priority: "urgent"}, false},
		{"a priority in capitals", caller.Policy{Priority: "High"}, false},
		{"requests of any size", caller.Policy{MaxRequestBytes: 1}, true},
		{"requests of less than nothing", caller.Policy{MaxRequestBytes: -1}, false},
		{"50 recipients", caller.Policy{MaxRecipients: mail.MaxRecipients}, true},
		{"51 recipients", caller.Policy{MaxRecipients: mail.MaxRecipients + 1}, false},
		{"less than no recipients", caller.Policy{MaxRecipients: -1}, false},
		{"less than no uploads", caller.Policy{MaxUploads: -1}, false},
		{"more domains than a row holds", caller.Policy{RecipientDomains: slices.Repeat([]string{"example.com"}, 3000)}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			added, set := newOffice(), newOffice()
			set.add(t, "shop", from("first@example.com"))
			c.policy.Senders = []string{"next@example.com"}
			_, addErr := added.Add(t.Context(), "shop", c.policy)
			setErr := set.SetPolicy(t.Context(), "shop", c.policy)
			if c.good {
				if addErr != nil || setErr != nil {
					t.Errorf("refused: add: %v, set: %v", addErr, setErr)
				}
				return
			}
			if !problem.Is(addErr, problem.InvalidRequest) || !problem.Is(setErr, problem.InvalidRequest) {
				t.Errorf("taken: add: %v, set: %v", addErr, setErr)
			}
			if got := left(t, added.Registry); got != "" {
				t.Errorf("add has left %q", got)
			}
			if got := left(t, set.Registry); got != "[1] first@example.com" {
				t.Errorf("set has left %q", got)
			}
		})
	}
}

// What the operator decides is kept as it was said, and set replaces all of it.
func TestAPolicyIsKeptWhole(t *testing.T) {
	t.Parallel()
	o := newOffice()
	in := caller.Policy{Senders: []string{"*@Example.com"}, MaxRequestBytes: 7000, MaxRecipients: 3, MaxUploads: 9, Share: 20, Cap: 40, Priority: mail.PriorityNormal, HMAC: true}
	o.add(t, "shop", in)
	list, err := o.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if p := list[0].Policy; p.Senders[0] != "*@example.com" || p.MaxRequestBytes != 7000 || p.MaxRecipients != 3 || p.MaxUploads != 9 || p.Share != 20 || p.Cap != 40 || p.Priority != mail.PriorityNormal || !p.HMAC {
		t.Errorf("kept as %+v", p)
	}
	if err := o.SetPolicy(t.Context(), "shop", from("a@example.com")); err != nil {
		t.Fatal(err)
	}
	if list, err = o.All(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := list[0].Policy; p.MaxRequestBytes != 0 || p.MaxRecipients != 0 || p.MaxUploads != 0 || p.Share != 0 || p.Cap != 0 || p.Priority != "" || p.HMAC {
		t.Errorf("set has left %+v", p)
	}
}

// All goes to one mailbox: it must be one, and where domains are named, one of theirs.
func TestWhereAllMayBeRedirected(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		policy caller.Policy
		good   bool
	}{
		{"an address", caller.Policy{RedirectTo: "qa@example.com"}, true},
		{"an address with a name", caller.Policy{RedirectTo: "QA <qa@example.com>"}, false},
		{"two", caller.Policy{RedirectTo: "qa@example.com,b@example.com"}, false},
		{"among the domains", caller.Policy{RedirectTo: "qa@EXAMPLE.com", RecipientDomains: []string{"example.com"}}, true},
		{"any domain", caller.Policy{RedirectTo: "qa@example.com", RecipientDomains: []string{caller.Any}}, true},
		{"another domain", caller.Policy{RedirectTo: "qa@example.com", RecipientDomains: []string{"example.org"}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := newOffice().Add(t.Context(), "shop", c.policy)
			if c.good != (err == nil) || err != nil && !problem.Is(err, problem.InvalidRequest) {
				t.Errorf("got %v", err)
			}
			if err != nil && !strings.Contains(problem.Of(err).Detail, c.policy.RedirectTo) {
				t.Errorf("the refusal does not name the mailbox: %v", err)
			}
		})
	}
}

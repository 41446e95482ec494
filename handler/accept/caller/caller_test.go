package caller_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

var (
	oldMaster = []byte("old-master-old-master-old-master")
	newMaster = []byte("new-master-new-master-new-master")
)

// office is a registry with a clock that a test moves.
type office struct {
	*caller.Registry
	table *mem.Table
	clock time.Time
	down  bool
	away  mem.Op // what storage refuses, when it is not down

	meanwhile func() // happens once, just before the next row is replaced
}

func newOffice(masters ...[]byte) *office {
	o := &office{clock: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	o.table = mem.NewTable(o.now, func(op mem.Op, _ string) mem.Fault {
		if o.down || op == o.away {
			return mem.Fault{Outcome: mem.Refused}
		}
		if act := o.meanwhile; op == mem.Replace && act != nil {
			o.meanwhile = nil
			act()
		}
		return mem.Fault{}
	})
	if masters == nil {
		masters = [][]byte{newMaster}
	}
	o.Registry = caller.NewRegistry(o.table, masters, false, o.now)
	return o
}

func (o *office) now() time.Time { return o.clock }

func (o *office) add(t *testing.T, name string, p caller.Policy) caller.Secrets {
	t.Helper()
	s, err := o.Add(t.Context(), name, p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func withHeader(name, value string) caller.Request {
	h := http.Header{}
	if name != "" {
		h.Set(name, value)
	}
	return caller.Request{Method: http.MethodPost, Target: "/emails:send", Hosts: []string{"mail.example.com"}, Header: h}
}

func TestAKeyIsFoundWhereverClientsPutIt(t *testing.T) {
	t.Parallel()
	o := newOffice()
	key := o.add(t, "shop", caller.Policy{}).Key
	for _, c := range []struct{ name, header, value string }{
		{"bearer", "Authorization", "Bearer " + key},
		{"bearer in lower case", "Authorization", "bearer " + key},
		{"bare authorization", "Authorization", key},
		{"x-api-key", "X-API-Key", key},
		{"functions key", "x-functions-key", key},
		{"postmark token", "X-Postmark-Server-Token", key},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			proof, err := o.Authenticate(t.Context(), withHeader(c.header, c.value))
			if err != nil || proof.Caller.Name != "shop" || proof.BodySHA256 != nil {
				t.Errorf("got %q, %v", proof.Caller.Name, err)
			}
		})
	}
}

func TestWhatIsNoKeyIsUnauthenticated(t *testing.T) {
	t.Parallel()
	o := newOffice()
	key := o.add(t, "shop", caller.Policy{}).Key
	other := newOffice(oldMaster)
	foreign := other.add(t, "shop", caller.Policy{}).Key
	unknown := newOffice()
	ghost := unknown.add(t, "ghost", caller.Policy{}).Key
	two := withHeader("Authorization", "Bearer "+key)
	two.Header.Add("Authorization", "Bearer "+key)
	for _, c := range []struct {
		name string
		req  caller.Request
	}{
		{"nothing", withHeader("", "")},
		{"empty authorization", withHeader("Authorization", "")},
		{"another scheme", withHeader("Authorization", "Basic "+key)},
		{"two authorizations", two},
		{"mac cut off", withHeader("Authorization", "Bearer "+key[:len(key)-2])},
		{"last digit changed", withHeader("Authorization", "Bearer "+flip(key))},
		{"another name", withHeader("Authorization", "Bearer "+strings.Replace(key, "shop", "shoq", 1))},
		{"another generation", withHeader("Authorization", "Bearer "+strings.Replace(key, "_1_", "_2_", 1))},
		{"generation with a zero before it", withHeader("Authorization", "Bearer "+strings.Replace(key, "_1_", "_01_", 1))},
		{"generation zero", withHeader("Authorization", "Bearer "+strings.Replace(key, "_1_", "_0_", 1))},
		{"another deployment's key", withHeader("Authorization", "Bearer "+foreign)},
		{"a caller that is not listed", withHeader("Authorization", "Bearer "+ghost)},
		{"no prefix", withHeader("Authorization", "Bearer "+strings.TrimPrefix(key, "ph_"))},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if _, err := o.Authenticate(t.Context(), c.req); !problem.Is(err, problem.Unauthenticated) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func flip(key string) string {
	last := byte('0')
	if key[len(key)-1] == '0' {
		last = '1'
	}
	return key[:len(key)-1] + string(last)
}

func TestAKeyIsChangedWithoutAGap(t *testing.T) {
	t.Parallel()
	o := newOffice()
	first := o.add(t, "shop", caller.Policy{}).Key
	second, err := o.Rotate(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	o.lives(t, first, true)
	o.lives(t, second.Key, true)
	third, err := o.Rotate(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	o.clock = o.clock.Add(keyring.CacheLife)
	o.lives(t, first, false)
	o.lives(t, second.Key, true)
	o.lives(t, third.Key, true)
	if err := o.Retire(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	o.clock = o.clock.Add(keyring.CacheLife)
	o.lives(t, second.Key, false)
	o.lives(t, third.Key, true)
}

func (o *office) lives(t *testing.T, key string, want bool) {
	t.Helper()
	_, err := o.Authenticate(t.Context(), withHeader("Authorization", "Bearer "+key))
	if got := err == nil; got != want {
		t.Errorf("key lives: %t, want %t (%v)", got, want, err)
	}
}

func TestTheMasterIsChangedWithoutAGap(t *testing.T) {
	t.Parallel()
	before := newOffice(oldMaster)
	key := before.add(t, "shop", caller.Policy{}).Key
	during := newOffice(newMaster, oldMaster)
	fresh := during.add(t, "shop", caller.Policy{}).Key
	during.lives(t, key, true)
	during.lives(t, fresh, true)
	after := newOffice(newMaster)
	after.add(t, "shop", caller.Policy{})
	after.lives(t, key, false)
	after.lives(t, fresh, true)
}

func TestARevokedCallerIsDeadWhenTheCacheIs(t *testing.T) {
	t.Parallel()
	o := newOffice()
	key := o.add(t, "shop", caller.Policy{}).Key
	o.lives(t, key, true)
	if err := o.End(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	o.clock = o.clock.Add(keyring.CacheLife)
	o.lives(t, key, false)
}

func TestAKeyOfARevokedCallerNeverComesBack(t *testing.T) {
	t.Parallel()
	o := newOffice()
	old := o.add(t, "shop", caller.Policy{}).Key
	if _, err := o.Rotate(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	if err := o.End(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	if list, err := o.All(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("callers are %v, %v", list, err)
	}
	if err := o.End(t.Context(), "shop"); !problem.Is(err, problem.NotFound) {
		t.Errorf("revoked twice: %v", err)
	}
	fresh := o.add(t, "shop", caller.Policy{}).Key
	if !strings.HasPrefix(fresh, "ph_shop_3_") {
		t.Errorf("the new key is %s", fresh)
	}
	o.lives(t, old, false)
	o.lives(t, fresh, true)
}

func TestAPolicyIsChangedAndTheKeyStays(t *testing.T) {
	t.Parallel()
	o := newOffice()
	key := o.add(t, "shop", caller.Policy{Senders: []string{"a@example.com"}}).Key
	if err := o.SetPolicy(t.Context(), "shop", caller.Policy{Senders: []string{"b@Example.com"}}); err != nil {
		t.Fatal(err)
	}
	o.lives(t, key, true)
	list, err := o.All(t.Context())
	if err != nil || len(list) != 1 || list[0].Policy.Senders[0] != "b@example.com" {
		t.Errorf("callers are %+v, %v", list, err)
	}
	if err := o.SetPolicy(t.Context(), "shop", caller.Policy{Senders: []string{"x"}}); !problem.Is(err, problem.InvalidRequest) {
		t.Errorf("a policy that is none: %v", err)
	}
	if err := o.SetPolicy(t.Context(), "ghost", caller.Policy{}); !problem.Is(err, problem.NotFound) {
		t.Errorf("a caller that is none: %v", err)
	}
}

func TestWithoutStorageNobodyIsKnown(t *testing.T) {
	t.Parallel()
	o := newOffice()
	key := o.add(t, "shop", caller.Policy{}).Key
	o.lives(t, key, true)
	o.down = true
	o.lives(t, key, true)
	o.clock = o.clock.Add(keyring.Grace - 1)
	o.lives(t, key, true)
	if _, err := o.Authenticate(t.Context(), withHeader("", "")); !problem.Is(err, problem.Unauthenticated) {
		t.Errorf("without a key, for which no list is needed: %v", err)
	}
	o.clock = o.clock.Add(1)
	if _, err := o.Authenticate(t.Context(), withHeader("Authorization", "Bearer "+key)); !problem.Is(err, problem.Unavailable) {
		t.Errorf("got %v", err)
	}
}

func TestTheOperatorIsToldWhatCannotBeDone(t *testing.T) {
	t.Parallel()
	o := newOffice()
	o.add(t, "shop", caller.Policy{})
	ctx := context.Background()
	add := func(name string) error { _, err := o.Add(ctx, name, caller.Policy{}); return err }
	addWith := func(p caller.Policy) error { _, err := o.Add(ctx, "other", p); return err }
	rotate := func(name string) error { _, err := o.Rotate(ctx, name); return err }
	for _, c := range []struct {
		name string
		err  error
		want problem.Kind
	}{
		{"a name twice", add("shop"), problem.InvalidRequest},
		{"an underscore in the name", add("web_shop"), problem.InvalidRequest},
		{"an empty name", add(""), problem.InvalidRequest},
		{"a name of 33 characters", add(strings.Repeat("a", 33)), problem.InvalidRequest},
		{"a sender that is no address", addWith(caller.Policy{Senders: []string{"shop"}}), problem.InvalidRequest},
		{"a sender's domain that is none", addWith(caller.Policy{Senders: []string{"*@-"}}), problem.InvalidRequest},
		{"a recipient domain that is none", addWith(caller.Policy{RecipientDomains: []string{"a b"}}), problem.InvalidRequest},
		{"an application without a UUID", addWith(caller.Policy{EntraApps: []string{"shop"}}), problem.InvalidRequest},
		{"an object without a UUID", addWith(caller.Policy{EntraObjects: []string{""}}), problem.InvalidRequest},
		{"51 recipients", addWith(caller.Policy{MaxRecipients: 51}), problem.InvalidRequest},
		{"rotate nobody", rotate("ghost"), problem.NotFound},
		{"retire nobody", o.Retire(ctx, "ghost"), problem.NotFound},
		{"revoke nobody", o.End(ctx, "ghost"), problem.NotFound},
	} {
		if !problem.Is(c.err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, c.err, c.want)
		}
	}
	if list, err := o.All(ctx); err != nil || len(list) != 1 || list[0].Name != "shop" {
		t.Errorf("callers are %v, %v", list, err)
	}
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	to := func(addresses ...string) (list []mail.Address) {
		for _, a := range addresses {
			list = append(list, mail.Address{Address: a})
		}
		return list
	}
	message := mail.Message{SenderAddress: "donotreply@example.com", Recipients: mail.Recipients{
		To: to("ann@example.net"), CC: to("bob@example.org"), BCC: to("cy@example.net", "dee@example.org")}}
	everybody := []string{caller.Any}
	for _, c := range []struct {
		name       string
		policy     caller.Policy
		production bool
		want       []string // pointers of the faults
	}{
		{"all allowed", caller.Policy{Senders: everybody, RecipientDomains: everybody}, false, nil},
		{"the address allowed", caller.Policy{Senders: []string{"DoNotReply@Example.com"}, RecipientDomains: everybody}, false, nil},
		{"the domain allowed", caller.Policy{Senders: []string{"*@example.com"}, RecipientDomains: everybody}, false, nil},
		{"an international domain", caller.Policy{Senders: everybody, RecipientDomains: []string{"example.net", "ExAmple.org"}}, false, nil},
		{"another domain's address", caller.Policy{Senders: []string{"*@example.org"}, RecipientDomains: everybody}, false, []string{"/senderAddress"}},
		{"a part of the domain is not the domain", caller.Policy{Senders: []string{"*@ample.com"}, RecipientDomains: everybody}, false, []string{"/senderAddress"}},
		{"no sender at all", caller.Policy{RecipientDomains: everybody}, false, []string{"/senderAddress"}},
		{"one recipient domain", caller.Policy{Senders: everybody, RecipientDomains: []string{"EXAMPLE.net"}}, false, []string{"/recipients/cc/0/address", "/recipients/bcc/1/address"}},
		{"no list in production", caller.Policy{Senders: everybody}, true, nil},
		{"no list elsewhere", caller.Policy{Senders: everybody}, false, []string{"/recipients/to/0/address", "/recipients/cc/0/address", "/recipients/bcc/0/address", "/recipients/bcc/1/address"}},
		{"fewer recipients", caller.Policy{Senders: everybody, RecipientDomains: everybody, MaxRecipients: 3}, false, []string{"/recipients"}},
		{"just as many", caller.Policy{Senders: everybody, RecipientDomains: everybody, MaxRecipients: 4}, false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			now := func() time.Time { return time.Unix(0, 0) }
			r := caller.NewRegistry(mem.NewTable(now, nil), keyring.Masters{newMaster}, c.production, now)
			if _, err := r.Add(t.Context(), "shop", c.policy); err != nil {
				t.Fatal(err)
			}
			list, err := r.All(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			err = list[0].Allow(&message)
			var got []string
			if err != nil {
				if !problem.Is(err, problem.Forbidden) {
					t.Fatalf("got %v", err)
				}
				for _, f := range problem.Of(err).Violations {
					got = append(got, f.Pointer)
				}
			}
			if strings.Join(got, " ") != strings.Join(c.want, " ") {
				t.Errorf("faults at %v, want %v", got, c.want)
			}
		})
	}
}

package quota_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/problem"
)

// ACS refuses the messages of one sender, or of all: who waits, and for how long.
func TestARefusalOfOneSenderHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	const alice, bob = 1, 2
	from := func(sender uint32) quota.Call {
		return quota.Call{Caller: "a", Class: quota.Normal, Cost: 1, Sender: sender}
	}
	type step struct {
		sender uint32
		after  time.Duration
		call   string // "taken", "refused" by ACS for 30 s, "fails", "unused", or "waits": the ledger lets nothing go
	}
	for _, c := range []struct {
		name   string
		limits quota.Limits
		steps  []step
	}{
		{"refused twice while another's is taken", quota.CustomDomainSend, []step{
			{alice, 0, "refused"}, {bob, time.Second, "waits"}, {bob, 30 * time.Second, "taken"},
			{alice, 20 * time.Second, "refused"}, {bob, 0, "taken"}, {alice, 0, "waits"}, {bob, 0, "taken"},
			{alice, 31 * time.Second, "taken"}, {alice, 0, "taken"}, {bob, 0, "taken"},
		}},
		{"refused again the next day", quota.CustomDomainSend, []step{
			{alice, 0, "refused"}, {bob, 31 * time.Second, "taken"}, {alice, 24 * time.Hour, "refused"}, {bob, 0, "waits"},
		}},
		{"all are refused", quota.CustomDomainSend, []step{
			{alice, 0, "refused"}, {bob, 31 * time.Second, "refused"}, {alice, 0, "waits"}, {bob, 0, "waits"},
		}},
		{"refused twice, and no other between", quota.CustomDomainSend, []step{
			{alice, 0, "refused"}, {alice, 31 * time.Second, "refused"}, {bob, 0, "waits"},
		}},
		{"refused again and again, for longer and longer", quota.Limits{PerMinute: 100, PerHour: 1000}, []step{
			{alice, 0, "refused"}, {bob, 31 * time.Second, "taken"}, {alice, time.Minute, "refused"}, {bob, 0, "taken"},
			{alice, 31 * time.Second, "refused"}, {alice, 29 * time.Second, "waits"}, {bob, 0, "taken"}, {alice, 2 * time.Second, "taken"}, {alice, 0, "taken"},
		}},
		{"its probe fails, or is not made", quota.CustomDomainSend, []step{
			{alice, 0, "refused"}, {bob, 31 * time.Second, "taken"}, {alice, 20 * time.Second, "refused"},
			{alice, 31 * time.Second, "unused"}, {alice, 0, "fails"}, {alice, 0, "waits"}, {bob, 0, "taken"}, {alice, 4 * time.Second, "taken"}, {alice, 0, "taken"},
		}},
		{"with more rows than one", quota.Limits{PerMinute: 40_000, PerHour: 2_000_000}, []step{
			{alice, 0, "refused"}, {bob, 31 * time.Second, "taken"}, {alice, 4 * time.Second, "refused"}, {bob, 0, "taken"}, {alice, 0, "waits"}, {bob, 0, "taken"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLedger(&instanceTable{tableRow: &tableRow{}}, c.limits)
				for i, s := range c.steps {
					time.Sleep(s.after)
					g, err := l.Reserve(t.Context(), from(s.sender))
					if problem.Is(err, problem.OverQuota) != (s.call == "waits") {
						t.Fatalf("step %d, %+v: %v", i, s, err)
					}
					switch s.call {
					case "taken":
						err = l.Well(t.Context(), g)
					case "refused":
						err = l.Backoff(t.Context(), 30*time.Second, g)
					case "fails":
						err = l.Failing(t.Context(), g, "one")
					case "unused":
						err = l.Unused(t.Context(), g)
					default:
						err = nil
					}
					if err != nil {
						t.Fatalf("step %d, %+v: %v", i, s, err)
					}
				}
			})
		})
	}
}

// Many calls of a sender that are refused together are one refusal: its back-off does not
// grow with each.
func TestACrowdOfRefusalsIsOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(&instanceTable{tableRow: &tableRow{}}, quota.Limits{PerMinute: 100, PerHour: 1000})
		call := func(sender uint32) quota.Grant {
			t.Helper()
			g, err := l.Reserve(t.Context(), quota.Call{Caller: "a", Class: quota.Normal, Cost: 1, Sender: sender})
			if err != nil {
				t.Fatal(err)
			}
			return g
		}
		refuse := func(g quota.Grant) {
			if err := l.Backoff(t.Context(), 0, g); err != nil {
				t.Fatal(err)
			}
		}
		refuse(call(1))
		time.Sleep(62 * time.Second)
		if err := l.Well(t.Context(), call(2)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		var crowd []quota.Grant
		for range 8 {
			crowd = append(crowd, call(1))
		}
		for _, g := range crowd {
			refuse(g)
		}
		time.Sleep(62 * time.Second)
		call(1)
	})
}

package gateway_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/gateway/sim"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// Two kinds of domain have more to send than ACS lets them, and processes die. No window of
// either kind holds too many calls, each kind uses its own limit, and work goes on in both.
func TestSimTwoKindsOfDomain(t *testing.T) {
	t.Parallel()
	for seed := range seeds(sims(t, 1)) {
		for _, upstream := range []sim.Upstream{sim.Sliding, sim.Fixed} {
			t.Run(fmt.Sprintf("upstream %d seed %d", upstream, seed), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { twoKinds(t, upstream, seed) })
			})
		}
	}
}

func twoKinds(t *testing.T, upstream sim.Upstream, seed uint64) {
	t.Helper()
	const hours, custom, managed = 3, 330, 34
	w := newWorld(t, sim.Config{
		Seed: seed, Instances: 4, Limits: quota.CustomDomainSend, Upstream: upstream,
		Way: 20 * time.Millisecond, ACSTime: 500 * time.Millisecond, ClockError: 2 * time.Second,
	})
	w.Play()
	watched := []*sim.Watcher{w.WatchDomain(mail.CustomDomain), w.WatchDomain(mail.ManagedDomain)}
	c, begun := newCrowd(w), time.Now()
	for n := range custom {
		c.offer(t, shop, fmt.Sprintf("c%d", n), sim.Message(fmt.Sprintf("c%d", n), ""))
	}
	for n := range managed {
		c.offer(t, shop, fmt.Sprintf("m%d", n), sim.FromManaged(sim.Message(fmt.Sprintf("m%d", n), "")))
	}
	for time.Since(begun) < hours*time.Hour {
		time.Sleep(20*time.Minute + w.UpTo(10*time.Minute))
		w.Any().Kill()
		if _, err := w.Start(); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep((hours+2)*time.Hour - time.Since(begun))
	c.all.Wait()
	w.Stop()
	if over := w.Over(); len(over) > 0 || w.ACS.Busy() > 0 {
		t.Errorf("over: %v, 429s: %d", over, w.ACS.Busy())
	}
	for domain, perHour := range map[mail.DomainKind]int{mail.CustomDomain: quota.CustomDomainSend.PerHour, mail.ManagedDomain: quota.ManagedDomainSend.PerHour} {
		// Each death may cost the token that the process has in hand.
		if n, want := within(w.ACS.ArrivalsFrom(domain), begun, hours*time.Hour), hours*(perHour*95/100-1); n < want {
			t.Errorf("%d calls of a %v domain in %d hours, want %d", n, domain, hours, want)
		}
	}
	for _, watcher := range watched {
		for _, f := range watcher.Faults() {
			t.Error(f)
		}
	}
	if states, faults := w.Ends(t.Context(), c.promises); states[record.Accepted] != custom+managed || len(faults) > 0 {
		t.Errorf("ends %v of %d, %v", states, len(c.promises), faults)
	}
}

// What closes the ledger of one kind holds up no message of the other, and ends.
func TestOneKindOfDomainHoldsUpNothingOfTheOther(t *testing.T) {
	t.Parallel()
	senders := map[mail.DomainKind]func(string) string{
		mail.CustomDomain:  gatewaytest.Small,
		mail.ManagedDomain: func(subject string) string { return sim.FromManaged(gatewaytest.Small(subject)) },
	}
	busy := func(of mail.DomainKind) func(m *mail.Message) (bool, error) {
		var refused atomic.Bool
		return func(m *mail.Message) (bool, error) {
			if mail.DomainKindOf(m.SenderAddress) != of || refused.Swap(true) {
				return true, nil
			}
			p := problem.New(problem.ACSBusy, "wait")
			p.RetryAfter = 10 * time.Minute
			return false, p
		}
	}
	for _, c := range []struct {
		name   string
		limits quota.Limits // of custom domains
		closed mail.DomainKind
		sent   int // messages of the closed kind that go before
		answer func(m *mail.Message) (bool, error)
	}{
		{"the quota of the Azure-managed domain is used up", plenty, mail.ManagedDomain, 5, nil},
		{"the quota of custom domains is used up", quota.Limits{PerMinute: 3, PerHour: 100}, mail.CustomDomain, 3, nil},
		{"ACS answers 429 for the Azure-managed domain", plenty, mail.ManagedDomain, 0, busy(mail.ManagedDomain)},
		{"ACS answers 429 for a custom domain", plenty, mail.CustomDomain, 0, busy(mail.CustomDomain)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, c.limits)
				h.ACS.Answer = c.answer
				send := func(domain mail.DomainKind, subject string, want record.State) {
					t.Helper()
					answer, err := h.Send(t.Context(), request(senders[domain](subject)))
					if err != nil || answer.Record.State != want || answer.Domain != domain {
						t.Errorf("%s: %+v of a %v domain, %v; want %s", subject, answer.Record, answer.Domain, err, want)
					}
				}
				for range c.sent {
					send(c.closed, "before", record.Accepted)
				}
				for range 2 {
					send(c.closed, "behind", record.Waiting)
				}
				send(1-c.closed, "other", record.Accepted)
				if v := h.Quota(c.closed); !v.Known || v.RemainingMinute != 0 {
					t.Errorf("the closed ledger is %+v", v)
				}
				if v := h.Quota(1 - c.closed); !v.Known || v.RemainingMinute == 0 {
					t.Errorf("the other ledger is %+v", v)
				}
				var p *problem.Problem
				if _, err := h.Send(t.Context(), request(gatewaytest.Refusing(senders[c.closed]("refuse")))); !errors.As(err, &p) || p.RetryAfter == 0 {
					t.Errorf("a message that does not wait is told %v", err)
				}
				h.Play(t, 20*time.Minute)
				if _, rows, _ := waitsStill(t, h); rows != 0 {
					t.Errorf("%d messages still wait", rows)
				}
			})
		})
	}
}

// A deployment without mail from the Azure-managed domain pays nothing for its ledger.
func TestCustomDomainsAloneTouchNoOtherLedger(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		body func(string) string
		want bool
	}{
		{"custom domains", gatewaytest.Small, false},
		{"both", func(subject string) string { return sim.FromManaged(gatewaytest.Small(subject)) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, quota.Limits{PerMinute: 3, PerHour: 100})
				touched := false
				h.See(func(_ mem.Op, key string) { touched = touched || strings.Contains(key, "send-managed") })
				for n := range 6 {
					if _, err := h.Send(t.Context(), request(c.body(strconv.Itoa(n)))); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := h.Paused(t.Context()); err != nil {
					t.Fatal(err)
				}
				h.Play(t, 10*time.Minute)
				if err := h.CleanUp(t.Context()); err != nil {
					t.Fatal(err)
				}
				if _, both := h.DomainsOf(gatewaytest.Shop); touched != c.want || both != c.want {
					t.Errorf("ledger touched %t, told %t", touched, both)
				}
			})
		})
	}
}

// A process that never saw the ledger of the Azure-managed domain finds by the queue that
// its wake-up message was lost.
func TestTheWatchdogFindsTheLedgerOfTheManagedDomain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lost atomic.Bool
		lost.Store(true)
		w := newWorld(t, sim.Config{
			Seed: 1, Instances: 1, Limits: quota.CustomDomainSend, Way: 10 * time.Millisecond, ACSTime: 200 * time.Millisecond,
			Plan: func(_ *sim.Instance, s sim.Site, _ string) sim.Fault {
				if s.Where == "wake-ups" && lost.Load() {
					return sim.Refuse
				}
				return sim.Pass
			},
		})
		c := newCrowd(w)
		for n := range 7 {
			c.offer(t, shop, "", sim.FromManaged(sim.Message(strconv.Itoa(n), "")))
		}
		c.all.Wait()
		if n := w.Waiting(); n != 2 {
			t.Fatalf("%d messages wait, want 2", n)
		}
		w.Any().Kill()
		if _, err := w.Start(); err != nil {
			t.Fatal(err)
		}
		lost.Store(false)
		w.Play()
		time.Sleep(5 * time.Minute)
		w.Stop()
		if states, faults := w.Ends(t.Context(), c.promises); states[record.Accepted] != 7 || len(faults) > 0 {
			t.Errorf("ends %v, %v", states, faults)
		}
	})
}

// A message keeps its ledger when the operator lets it go before its time.
func TestAReleaseKeepsTheLedger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		rec, entry := scheduled(t, h, sim.FromManaged(gatewaytest.Small("later")))
		if err := h.Release(t.Context(), entry); err != nil || entry.Line.Domain != mail.ManagedDomain {
			t.Fatalf("%+v, %v", entry.Line, err)
		}
		if now := entryOf(t, h, rec.ID); now.Line.Domain != mail.ManagedDomain || now.Line.Later {
			t.Errorf("it waits in %+v", now.Line)
		}
		h.Play(t, time.Minute)
		if found, err := h.Find(t.Context(), gatewaytest.Shop, rec.ID); err != nil || found.State != record.Accepted {
			t.Errorf("it is %+v, %v", found.Record, err)
		}
		if v := h.Quota(mail.ManagedDomain); v.RemainingHour != quota.ManagedDomainSend.PerHour-1 {
			t.Errorf("the ledger is %+v", v)
		}
	})
}

// A pause of all sending closes both ledgers, and its end opens both.
func TestAPauseHoldsBothKindsOfDomain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		if err := h.PauseSending(t.Context(), "a drill", false); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, body := range []string{gatewaytest.Small("custom"), sim.FromManaged(gatewaytest.Small("managed"))} {
			answer, err := h.Send(t.Context(), request(body))
			if err != nil || answer.Record.State != record.Waiting {
				t.Fatalf("%+v, %v", answer.Record, err)
			}
			ids = append(ids, answer.Record.ID)
		}
		h.Play(t, 5*time.Minute)
		if len(h.ACS.Arrivals) != 0 {
			t.Errorf("%d calls in the pause", len(h.ACS.Arrivals))
		}
		if err := h.ResumeSending(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.Play(t, time.Minute)
		for _, id := range ids {
			if found, err := h.Find(t.Context(), gatewaytest.Shop, id); err != nil || found.State != record.Accepted {
				t.Errorf("it is %+v, %v", found.Record, err)
			}
		}
	})
}

func TestTheSendersOfACallerSayItsKindsOfDomain(t *testing.T) {
	t.Parallel()
	const managed, managedAll = "donotreply@x.azurecomm.net", "*@x.azurecomm.net"
	for _, c := range []struct {
		name    string
		senders []string
		used    bool // the ledger of the Azure-managed domain
		first   mail.DomainKind
		both    bool
	}{
		{"no senders", nil, true, mail.CustomDomain, false},
		{"a custom domain", []string{"*@example.com"}, true, mail.CustomDomain, false},
		{"an address of the Azure-managed domain", []string{managed}, false, mail.ManagedDomain, false},
		{"all addresses of the Azure-managed domain", []string{managedAll}, false, mail.ManagedDomain, false},
		{"both", []string{managed, "shop@example.com"}, false, mail.CustomDomain, true},
		{"any sender", []string{caller.Any}, false, mail.CustomDomain, false},
		{"any sender, and the ledger is used", []string{caller.Any}, true, mail.CustomDomain, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				if c.used {
					if _, err := h.Send(t.Context(), request(sim.FromManaged(gatewaytest.Small("x")))); err != nil {
						t.Fatal(err)
					}
				}
				who := caller.Caller{Policy: caller.Policy{Senders: c.senders}}
				if first, both := h.DomainsOf(who); first != c.first || both != c.both {
					t.Errorf("%v, both %t", first, both)
				}
			})
		})
	}
}

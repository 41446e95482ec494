package gateway_test

import (
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
)

// Whatever one call to ACS comes to, the next message of every caller is sent at once,
// and the one in doubt ends within a minute or, if its owner has died, within three.
func TestOneFaultOfACSStopsNobody(t *testing.T) {
	t.Parallel()
	const slowest = 6 * time.Second // that the ACS of a World answers
	for _, c := range []struct {
		name  string
		fault sim.Fault
		waits bool // the message is in a line when it happens
		ends  time.Duration
	}{
		{"an error, directly", sim.Refuse, false, time.Minute},
		{"no answer, though it was taken, directly", sim.Lose, false, time.Minute},
		{"an error, from the line", sim.Refuse, true, time.Minute},
		{"no answer, though it was taken, from the line", sim.Lose, true, time.Minute},
		{"the process dies, from the line", sim.KillAfter, true, 3 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tr := &trouble{}
				w := newWorld(t, sim.Config{
					Seed: 1, Instances: 3, Limits: quota.Limits{PerMinute: 60, PerHour: 600}, Plan: tr.plan, Way: 10 * time.Millisecond, ACSTime: time.Second,
				})
				w.Play()
				var struck atomic.Bool
				tr.set(func(s sim.Site) sim.Fault {
					if s.Op == sim.Offer && struck.CompareAndSwap(false, true) {
						return c.fault
					}
					return sim.Pass
				})
				crowd := newCrowd(w)
				more := ""
				if c.waits {
					more = `"delivery":{"sendAt":"` + rfc(10*time.Second) + `"}`
				}
				crowd.offer(t, shop, "", sim.Message("one", more))
				for !struck.Load() || c.fault == sim.KillAfter && w.Living() == 3 {
					time.Sleep(100 * time.Millisecond)
				}
				began := time.Now()
				for n, who := range []caller.Caller{shop, sim.Caller("bank", caller.Policy{}), shop} {
					time.Sleep(2 * time.Second) // what the fault has led to is known
					sent := time.Now()
					answer, err := w.Any().Send(t.Context(), who, "", sim.Message(strconv.Itoa(n), ""))
					if err != nil || answer.Record.State != record.Accepted || time.Since(sent) > slowest {
						t.Errorf("message %d after %s: %+v, %v", n, time.Since(sent), answer.Record, err)
					}
				}
				crowd.all.Wait()
				for w.Waiting() > 0 && time.Since(began) < time.Hour {
					time.Sleep(time.Second)
				}
				if d := time.Since(began); d > c.ends {
					t.Errorf("the message in doubt ended after %s", d)
				}
				time.Sleep(time.Second)
				u, err := w.Any().Sends[mail.CustomDomain].Overview(t.Context(), quota.Call{Cost: 1})
				w.Stop()
				if err != nil || u.WaitingAll != 0 {
					t.Errorf("%d count as waiting, %v", u.WaitingAll, err)
				}
				ends(t, w, crowd)
			})
		})
	}
}

// A row that nobody can read is passed over, also by a process that knows of its line
// only from the table.
func TestARowThatNobodyCanReadHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		forget bool // the ledger's row is deleted
	}{{"the ledger knows the line", false}, {"only the table knows it", true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, _ := troubled(t)
				crowd := newCrowd(w)
				for n := range 3 {
					crowd.offer(t, shop, "", sim.Message(strconv.Itoa(n), `"delivery":{"sendAt":"`+rfc(time.Minute)+`"}`))
					crowd.all.Wait()
				}
				if err := w.SpoilHead(t.Context()); err != nil {
					t.Fatal(err)
				}
				if c.forget {
					if err := w.ForgetLedger(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				w.Play()
				time.Sleep(10 * time.Minute)
				w.Stop()
				if n := len(w.ACS.Arrivals()); n != 2 {
					t.Errorf("%d of 2 have arrived", n)
				}
			})
		})
	}
}

// ACS refuses the messages of one sender. Those of another, even of the same caller and
// behind them in the line, go; those of the first go when ACS takes them again.
func TestARefusedSenderHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		const alice, bob = "alice@example.com", "bob@example.com"
		begin := time.Now()
		calls := map[string][]time.Duration{}
		h.ACS.Answer = func(m *mail.Message) (bool, error) {
			since := time.Since(begin)
			calls[m.SenderAddress] = append(calls[m.SenderAddress], since)
			if m.SenderAddress == alice && since < 5*time.Minute {
				p := problem.New(problem.ACSBusy, "wait")
				p.RetryAfter = 30 * time.Second
				return false, p
			}
			return true, nil
		}
		from := func(sender string) string {
			return strings.Replace(gatewaytest.Small("one"), "donotreply@example.com", sender, 1)
		}
		for range 3 {
			waits(t, h, from(alice), "")
		}
		h.Play(t, 20*time.Second)
		for range 3 {
			if answer, err := h.Send(t.Context(), request(from(bob))); err != nil || answer.Record.State != record.Waiting {
				t.Errorf("while nobody may send: %+v, %v", answer.Record, err)
			}
		}
		h.Play(t, 100*time.Second)
		if n := len(calls[bob]); n != 3 || calls[bob][2] > time.Minute {
			t.Errorf("bob's calls: %v", calls[bob])
		}
		if answer, err := h.Send(t.Context(), request(from(bob))); err != nil || answer.Record.State != record.Accepted {
			t.Errorf("directly: %+v, %v", answer.Record, err)
		}
		if answer, err := h.Send(t.Context(), request(from(alice))); err != nil || answer.Record.State != record.Waiting {
			t.Errorf("of the refused one: %+v, %v", answer.Record, err)
		}
		if answer, err := h.Send(t.Context(), request(from(bob))); err != nil || answer.Record.State != record.Accepted {
			t.Errorf("behind the refused one: %+v, %v", answer.Record, err)
		}
		h.Play(t, 10*time.Minute)
		if lines, _, _ := left(t, h); lines > 0 || len(calls[alice]) > 3+8+4 {
			t.Errorf("%d lines are left, alice's calls: %v", lines, calls[alice])
		}
	})
}

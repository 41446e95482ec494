package gateway_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/gateway/sim"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// The operator pauses all sending in the middle of a rush: within 10 s nothing leaves, from
// no process, whatever comes meanwhile waits, nothing spins, a doubt is resolved all the
// same; and after the pause work goes on within seconds, to the end.
func TestSimSendingIsPaused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		limits quota.Limits
		each   time.Duration // a message comes
		pause  time.Duration // how long it lasts
	}{
		{"a new subscription", quota.CustomDomainSend, 10 * time.Second, 3 * time.Hour},
		{"large limits, which each process leases", quota.Limits{PerMinute: 2100, PerHour: 100_000}, 100 * time.Millisecond, 15 * time.Minute},
		{"until the deadline has passed for some", quota.CustomDomainSend, time.Minute, 6 * time.Hour},
	} {
		for seed := range seeds(sims(t, 1)) {
			t.Run(fmt.Sprintf("%s, seed %d", c.name, seed), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					tr := &trouble{}
					w := newWorld(t, sim.Config{
						Seed: seed, Instances: 3, Limits: c.limits, Upstream: sim.Sliding, Plan: tr.plan,
						Way: 20 * time.Millisecond, ACSTime: 500 * time.Millisecond, ClockError: 2 * time.Second,
					})
					w.Play()
					rush := newCrowd(w)
					come := func(n int, length time.Duration) {
						t.Helper()
						for begun := time.Now(); time.Since(begun) < length; n++ {
							more := ""
							switch n % 10 {
							case 3:
								more = `"delivery":{"sendAt":"` + rfc(time.Minute) + `"}`
							case 7:
								more = `"delivery":{"deadline":"` + rfc(4*time.Hour) + `"}`
							}
							rush.offer(t, shop, "", sim.Message(strconv.Itoa(n), more))
							time.Sleep(c.each)
						}
					}
					come(0, max(30*time.Second, 10*c.each))
					tr.set(at(sim.Site{Where: "acs", Op: sim.Offer}, sim.Lose)) // the last of them are in doubt
					come(1000, 10*time.Second)
					if err := w.Any().PauseSending(t.Context(), "a drill", false); err != nil {
						t.Fatal(err)
					}
					tr.set(nil)
					come(2000, 10*time.Second)
					sent, ledger := len(w.ACS.Arrivals()), w.Operations()["ledger"]
					time.Sleep(5 * time.Minute) // doubts are resolved
					resolved := w.Operations()
					time.Sleep(c.pause)
					// What is left is the timer's look, once a minute.
					for site, most := range map[string]float64{"ledger": 8, "wake-ups": 2.5, "acs": 0} {
						n := w.Operations()[site] - resolved[site]
						if each := float64(n) / c.pause.Minutes() / float64(w.Any().Sends[mail.CustomDomain].Shards()); each > most {
							t.Errorf("%.1f operations on %s a minute and shard in the pause, after %d in its beginning", each, site, resolved["ledger"]-ledger)
						}
					}
					come(3000, 20*time.Second)
					rush.all.Wait()
					if n := len(w.ACS.Arrivals()) - sent; n != 0 {
						t.Errorf("%d messages left during the pause", n)
					}
					if rush.refused["paused"] > 0 || len(rush.refused) > 0 {
						t.Errorf("refused: %v", rush.refused)
					}
					resumed := time.Now()
					if err := w.Any().ResumeSending(t.Context()); err != nil {
						t.Fatal(err)
					}
					time.Sleep(10 * time.Second)
					if all := w.ACS.Arrivals(); len(all) == sent {
						t.Error("nothing left within 10 s of the end of the pause")
					} else if first := all[sent].Sub(resumed); first < 0 {
						t.Errorf("the first left %v before the end of the pause", -first)
					}
					for begun := time.Now(); w.Waiting() > 0 && time.Since(begun) < 12*time.Hour; {
						time.Sleep(time.Minute)
					}
					w.Stop()
					states, faults := w.Ends(t.Context(), rush.promises)
					if over := w.Over(); len(faults) > 0 || len(over) > 0 || states[record.Unknown] > 0 {
						t.Errorf("in the end: %v, %v, over: %v", states, faults, over)
					}
				})
			})
		}
	}
}

// A pause that refuses does so to all that is new, with a problem of its own.
func TestAPauseOfSendingRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		refuse  bool
		body    string
		refused bool
	}{
		{"it may wait", false, gatewaytest.Small("one"), false},
		{"it may not wait", false, gatewaytest.Refusing(gatewaytest.Small("one")), true},
		{"for later", false, with(gatewaytest.Small("one"), `"delivery":{"sendAt":"`+since2000(time.Hour)+`"}`), false},
		{"refusing: it may wait", true, gatewaytest.Small("one"), true},
		{"refusing: it may not wait", true, gatewaytest.Refusing(gatewaytest.Small("one")), true},
		{"refusing: for later", true, with(gatewaytest.Small("one"), `"delivery":{"sendAt":"`+since2000(time.Hour)+`"}`), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				for range 2 { // it may be repeated
					if err := h.PauseSending(t.Context(), "a drill.", c.refuse); err != nil {
						t.Fatal(err)
					}
				}
				a, err := h.Send(t.Context(), request(c.body))
				p := problem.Of(err)
				switch {
				case c.refused && (p.Kind != problem.Paused || p.RetryAfter == 0 || p.Detail != "The operator has paused all sending: a drill. The message was not sent. Send it again after Retry-After, or ask the operator."):
					t.Errorf("%+v, %+v", a.Record, p)
				case !c.refused && (err != nil || a.Record.State != record.Waiting):
					t.Errorf("%+v, %v", a.Record, err)
				}
				h.Play(t, 10*time.Minute)
				u, err := h.Usage(t.Context(), mail.CustomDomain, gatewaytest.Shop)
				if err != nil || u.Pause == nil || u.Pause.Reason != "a drill." || u.Pause.Refuse != c.refuse || len(h.ACS.Arrivals) > 0 {
					t.Errorf("%+v, %v, %d sent", u.Pause, err, len(h.ACS.Arrivals))
				}
				if err := h.ResumeSending(t.Context()); err != nil {
					t.Fatal(err)
				}
				h.Play(t, time.Hour)
				if n := len(h.ACS.Sent); (n == 0) != c.refused {
					t.Errorf("%d sent in the end", n)
				}
			})
		})
	}
}

// The ledger is paused again and again while storage loses writes and answers: in the end
// it is what the operator was told.
func TestAPauseUnderFaults(t *testing.T) {
	t.Parallel()
	for _, o := range []mem.Outcome{mem.Refused, mem.Lost} {
		t.Run(fmt.Sprint(o), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				for n := range 6 {
					h.Failing(mem.Replace, o)
					set := h.ResumeSending
					if n%2 == 0 {
						set = func(ctx context.Context) error { return h.PauseSending(ctx, "", false) }
					}
					first := set(t.Context())
					h.Working()
					if first != nil {
						if err := set(t.Context()); err != nil {
							t.Fatal(err)
						}
					}
					u, err := h.Usage(t.Context(), mail.CustomDomain, gatewaytest.Shop)
					if err != nil || (u.Pause != nil) != (n%2 == 0) {
						t.Errorf("round %d: %+v, %v", n, u.Pause, err)
					}
				}
			})
		})
	}
}

package gateway_test

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/gateway/sim"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// The owner of a message dies between the fence and ACS: a repeat sends it, soon
// after the owner counts as dead, however short requests are.
func TestARepeatSendsWhatItsDeadOwnerDidNot(t *testing.T) {
	t.Parallel()
	for _, request := range []time.Duration{5 * time.Second, 6 * time.Second, 10 * time.Second, 100 * time.Second} {
		for _, acs := range []time.Duration{10 * time.Millisecond, time.Second, 2500 * time.Millisecond, 4 * time.Second} {
			t.Run(request.String()+" "+acs.String(), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					tr := &trouble{}
					w := newWorld(t, sim.Config{
						Seed: 1, Instances: 2, Limits: quota.Limits{PerMinute: 60, PerHour: 600}, Upstream: sim.Open, Plan: tr.plan,
						Way: 10 * time.Millisecond, ACSTime: acs, RequestTimeout: request,
					})
					tr.set(at(sim.Site{Where: "records", Op: mem.Replace, State: record.Sending}, sim.KillAfter))
					_, _ = w.Any().Send(t.Context(), shop, "key", sim.Message("one", "")) // nobody hears of it
					tr.set(nil)
					began, n, last := time.Now(), 0, error(nil)
					life := gateway.FenceLife(request) + 10*time.Second
					for time.Since(began) < life {
						n++
						answer, err := w.Any().Send(t.Context(), shop, "key", sim.Message("one", ""))
						if err == nil && !answer.Record.UnderWay() {
							if answer.Record.State != record.Accepted {
								t.Errorf("%s after %s", answer.Record.State, time.Since(began))
							}
							return
						}
						last = err
						time.Sleep(time.Second)
					}
					t.Errorf("not sent within %s, %d tries, the last: %v", life, n, last)
				})
			})
		}
	}
}

// ACS is away until the deadlines of many messages have passed. What waits behind
// them goes soon after it is back.
func TestPassedDeadlinesDoNotDelayOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sim.Config{Seed: 1, Instances: 2, Limits: quota.CustomDomainSend, Upstream: sim.Open, Way: 10 * time.Millisecond, ACSTime: time.Second})
		w.Play()
		c := newCrowd(w)
		w.ACS.Down(true)
		for n := range 40 {
			c.offer(t, shop, "", sim.Message(strconv.Itoa(n), `"delivery":{"deadline":"`+time.Now().Add(20*time.Minute).UTC().Format(time.RFC3339)+`"}`))
			time.Sleep(time.Second)
		}
		c.offer(t, shop, "", sim.Message("behind", ""))
		time.Sleep(25 * time.Minute)
		c.all.Wait()
		w.ACS.Down(false)
		back := time.Now()
		for len(w.ACS.Arrivals()) == 0 && time.Since(back) < 6*time.Hour {
			time.Sleep(time.Second)
		}
		w.Stop()
		t.Logf("%d promises, refused %v; sent %s after ACS was back", len(c.promises), c.refused, time.Since(back))
		if time.Since(back) > 3*time.Minute {
			t.Errorf("the message behind was sent %s after ACS was back", time.Since(back))
		}
	})
}

// A process dies with messages in flight while ACS fails. The others go soon.
func TestMessagesOfADeadOwnerDoNotDelayOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := &trouble{}
		w := newWorld(t, sim.Config{Seed: 1, Instances: 2, Limits: quota.Limits{PerMinute: 30, PerHour: 600}, Upstream: sim.Open, Plan: tr.plan, Way: 10 * time.Millisecond, ACSTime: time.Second})
		c := newCrowd(w)
		at2 := time.Now().Add(time.Minute).UTC().Format(time.RFC3339)
		for n := range 8 {
			c.offer(t, shop, "", sim.Message(strconv.Itoa(n), `"delivery":{"sendAt":"`+at2+`"}`))
		}
		c.offer(t, shop, "", sim.Message("behind", `"delivery":{"sendAt":"`+time.Now().Add(2*time.Minute).UTC().Format(time.RFC3339)+`"}`))
		c.all.Wait()
		// The first answer is a 500, which closes the ledger, and then the process dies.
		var offers atomic.Int64
		tr.set(func(s sim.Site) sim.Fault {
			switch {
			case s.Op == sim.Offer && offers.Add(1) == 1:
				return sim.Refuse
			case s.Op == sim.Offer:
				return sim.Stall
			case s.Where == "records" && s.Op == mem.Replace && s.State == record.Unknown:
				return sim.KillAfter
			}
			return sim.Pass
		})
		w.Play()
		for w.Living() == 2 {
			time.Sleep(time.Second)
		}
		died := time.Now()
		tr.set(nil)
		for time.Since(died) < 3*time.Hour {
			if states, _ := w.Ends(t.Context(), c.promises); states[record.Accepted] == 9 {
				break
			}
			time.Sleep(time.Second)
		}
		w.Stop()
		states, _ := w.Ends(t.Context(), c.promises)
		t.Logf("%d offers before; all had ended %s after the kill: %v", offers.Load(), time.Since(died), states)
		if time.Since(died) > 7*time.Minute {
			t.Errorf("all had ended %s after the kill", time.Since(died))
		}
	})
}

// ACS says that it failed, and the place in line cannot be told. One question is
// enough all the same.
func TestADoubtThatCannotBeNotedStaysWhatItWas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, tr := troubled(t)
		c := newCrowd(w)
		for range 2 {
			c.offer(t, shop, "", sim.Message("one", ""))
		}
		c.all.Wait()
		var offers, asks atomic.Int64
		tr.set(func(s sim.Site) sim.Fault {
			switch {
			case s.Op == sim.Offer && offers.Add(1) == 1:
				return sim.Refuse
			case s.Op == sim.Ask:
				asks.Add(1)
			case s.Where == "lines" && s.Op == mem.Replace && asks.Load() == 0 && offers.Load() == 1:
				offers.Add(100)
				return sim.Refuse
			}
			return sim.Pass
		})
		w.Play()
		for offers.Load() < 100 {
			time.Sleep(time.Second)
		}
		began := time.Now()
		for time.Since(began) < time.Hour {
			if w.Waiting() == 0 { // a poll would have ACS asked as well
				break
			}
			time.Sleep(time.Second)
		}
		w.Stop()
		t.Logf("ended after %s, %d questions", time.Since(began), asks.Load())
		if asks.Load() > 1 {
			t.Errorf("%d questions", asks.Load())
		}
		ends(t, w, c)
	})
}

// ACS fails while storage goes away: the caller has 202, and a poll reads an end
// soon after the owner's time, at the price of a few questions. A repeat then sends it.
func TestAnEndThatCannotBeRecordedIsNotResolvingForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, tr := troubled(t)
		const id = "11111111-1111-4111-8111-111111111111"
		tr.set(func(s sim.Site) sim.Fault {
			if s.Op == sim.Offer {
				w.Away(true)
				return sim.Refuse
			}
			return sim.Pass
		})
		send := func() *record.Record {
			answer, err := w.Any().Gateway.Send(t.Context(), gateway.Request{
				Caller: shop, OperationID: id, ContentType: "application/json", Body: strings.NewReader(sim.Message("one", "")), BodyBytes: -1,
			})
			if err != nil {
				t.Fatal(err)
			}
			return answer.Record
		}
		if r := send(); r.State != record.Unknown || !r.Resolving {
			t.Fatalf("got %+v", r)
		}
		w.Away(false)
		var asks atomic.Int64
		tr.set(func(s sim.Site) sim.Fault {
			if s.Op == sim.Ask {
				asks.Add(1)
			}
			return sim.Pass
		})
		w.Play()
		ends := -1
		for n := range 600 { // polls in an hour and 40 minutes
			if f, err := w.Any().Find(t.Context(), shop, id); err == nil && f.Record.Final() && ends < 0 {
				ends = n
			}
			time.Sleep(10 * time.Second)
		}
		if ends < 0 || time.Duration(ends)*10*time.Second > record.OwnerLife+time.Minute || asks.Load() > 8 {
			t.Errorf("it ended at poll %d, and ACS was asked %d times", ends, asks.Load())
		}
		if r := send(); r.State != record.Accepted {
			t.Errorf("a repeat got %+v", r)
		}
		w.Stop()
	})
}

// A message whose sender ACS does not know pauses. Nobody looks at it until the
// pause is over.
func TestAPauseCostsNoLooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sim.Config{
			Seed: 1, Instances: 1, Limits: quota.Limits{PerMinute: 10, PerHour: 100}, Upstream: sim.Open,
			Way: 10 * time.Millisecond, ACSTime: time.Second,
		})
		w.Play()
		c := newCrowd(w)
		c.offer(t, shop, "", sim.Message("stranger", `"delivery":{"sendAt":"`+rfc(time.Minute)+`"}`))
		c.all.Wait()
		time.Sleep(10 * time.Minute) // it pauses for longer than three minutes by now
		c.offer(t, shop, "", sim.Message("one", `"delivery":{"sendAt":"`+rfc(10*time.Second)+`"}`))
		c.all.Wait()
		time.Sleep(time.Minute) // the line was looked at
		before := w.Operations()
		time.Sleep(2 * time.Minute)
		after := w.Operations()
		w.Stop()
		if n := after["lines"] + after["ledger"] - before["lines"] - before["ledger"]; n > 12 {
			t.Errorf("%d calls of storage in two minutes of a pause", n) // those of the watchdog
		}
		if len(c.promises) != 2 || w.Waiting() != 1 {
			t.Errorf("%d promises, %d rows in lines", len(c.promises), w.Waiting())
		}
	})
}

// The wake-up message of a shard is lost. A caller sends messages again and again, and their
// content cannot be stored. The line is served all the same: each such request gives a
// position back and sends a wake-up message for it, or Watch comes.
func TestWhatCannotBeKeptDoesNotKeepTheLineFromBeingServed(t *testing.T) {
	t.Parallel()
	const watchdog = 5 * time.Minute
	for every, within := range map[time.Duration]time.Duration{
		0: watchdog + 30*time.Second, time.Second: 2 * time.Minute, 5 * time.Second: 2 * time.Minute, 15 * time.Second: watchdog + 30*time.Second,
	} {
		t.Run(every.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tr := &trouble{}
				w := newWorld(t, sim.Config{
					Seed: 1, Instances: 3, Limits: quota.Limits{PerMinute: 2, PerHour: 60}, Upstream: sim.Open, Plan: tr.plan,
					Way: 10 * time.Millisecond, ACSTime: time.Second, Host: sim.Host{WatchEvery: watchdog},
				})
				c := newCrowd(w)
				// All wake-up messages are lost.
				tr.set(at(sim.Site{Where: "wake-ups", Op: mem.Send}, sim.Refuse))
				for n := range 6 {
					c.offer(t, shop, "", sim.Message(strconv.Itoa(n), ""))
				}
				c.all.Wait()
				tr.set(at(sim.Site{Where: "lines", Op: mem.Insert}, sim.Refuse))
				w.Play()
				began := time.Now()
				var stop atomic.Bool
				if every > 0 {
					for range 2 { // instances know that the quota is busy once they have asked
						go func() {
							for !stop.Load() {
								_, _ = w.Any().Send(t.Context(), shop, "", sim.Message("one", ""))
								time.Sleep(every)
							}
						}()
					}
				}
				sent := len(w.ACS.Arrivals())
				for len(w.ACS.Arrivals()) == sent && time.Since(began) < 30*time.Minute {
					time.Sleep(time.Second)
				}
				t.Logf("repeats each %s: the line was served after %s (%d had gone before)", every, time.Since(began), sent)
				if time.Since(began) > within {
					t.Errorf("the line was served after %s", time.Since(began))
				}
				stop.Store(true)
				time.Sleep(time.Minute)
				w.Stop()
			})
		})
	}
}

// A question has a limit of its own: it does not wait for the hour of the sends.
func TestQuestionsDoNotWaitForRoomToSend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := &trouble{}
		w := newWorld(t, sim.Config{Seed: 1, Instances: 2, Limits: quota.Limits{PerMinute: 10, PerHour: 10}, Upstream: sim.Open, Plan: tr.plan, Way: 10 * time.Millisecond, ACSTime: time.Second})
		c := newCrowd(w)
		for n := range 9 {
			c.offer(t, shop, "", sim.Message(strconv.Itoa(n), ""))
			time.Sleep(time.Second)
		}
		c.all.Wait()
		var asks atomic.Int64
		tr.set(func(s sim.Site) sim.Fault {
			switch {
			case s.Op == sim.Offer:
				return sim.Lose
			case s.Op == sim.Ask && asks.Add(1) == 1:
				return sim.Refuse
			}
			return sim.Pass
		})
		c.offer(t, shop, "", sim.Message("doubt", ""))
		c.all.Wait()
		tr.set(nil)
		w.Play()
		began := time.Now()
		for time.Since(began) < 3*time.Hour {
			if states, _ := w.Ends(t.Context(), c.promises); states[record.Accepted] == 10 {
				break
			}
			time.Sleep(time.Second)
		}
		w.Stop()
		states, _ := w.Ends(t.Context(), c.promises)
		t.Logf("resolved after %s: %v", time.Since(began), states)
		if time.Since(began) > 5*time.Minute {
			t.Errorf("resolved after %s", time.Since(began))
		}
	})
}

// What a dispatcher has in its hands stands in the table still. As long as it does, no
// other dispatcher takes the lease, even if there is no room for a while.
func TestWhatIsInHandIsTakenByNobodyElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var twice atomic.Int64
		w := newWorld(t, sim.Config{
			Seed: 1, Instances: 2, Limits: quota.Limits{PerMinute: 30, PerHour: 100}, Way: 10 * time.Millisecond, ACSTime: 2 * time.Second,
			Plan: func(_ *sim.Instance, s sim.Site, _ string) sim.Fault {
				if s.Where == "lines" && s.Op == mem.Replace {
					twice.Add(1) // nothing returns to its line where all goes well
				}
				return sim.Pass
			},
		})
		w.Play()
		c := newCrowd(w)
		for range 60 {
			c.offer(t, shop, "", sim.Message("one", ""))
			time.Sleep(time.Second)
		}
		c.all.Wait()
		time.Sleep(5 * time.Minute)
		w.Stop()
		if n := twice.Load(); n > 0 || w.Waiting() > 0 {
			t.Errorf("%d messages returned to their lines, %d wait", n, w.Waiting())
		}
		ends(t, w, c)
	})
}

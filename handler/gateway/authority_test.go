package gateway_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
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

// allowed is Shop with a policy that is changed.
func allowed(change func(*caller.Policy)) caller.Caller {
	c := gatewaytest.Shop
	change(&c.Policy)
	return c
}

// hooked sends a message that came by the hook alerts, and must be told that it waits.
func hooked(t *testing.T, h *gatewaytest.Harness, body string) *record.Record {
	t.Helper()
	req := request(body)
	req.Hook = "alerts"
	answer, err := h.Send(t.Context(), req)
	if err != nil || answer.Record.Final() {
		t.Fatalf("%+v, %v", answer.Record, err)
	}
	return answer.Record
}

// full uses up the quota of five a minute.
func full(t *testing.T, h *gatewaytest.Harness) {
	t.Helper()
	for range 5 {
		if _, err := h.Send(t.Context(), request(gatewaytest.Small("before"))); err != nil {
			t.Fatal(err)
		}
	}
}

// The ways by which a message comes to the fence. take is called once it waits.
var ways = map[string]func(t *testing.T, h *gatewaytest.Harness, take func()) *record.Record{
	"it waits for quota": func(t *testing.T, h *gatewaytest.Harness, take func()) *record.Record {
		t.Helper()
		full(t, h)
		r := hooked(t, h, gatewaytest.Small("late"))
		take()
		return r
	},
	"it waits for its time": func(t *testing.T, h *gatewaytest.Harness, take func()) *record.Record {
		t.Helper()
		r := hooked(t, h, with(gatewaytest.Small("late"), `"delivery":{"sendAt":"`+rfc(time.Hour)+`"}`))
		take()
		time.Sleep(time.Hour)
		return r
	},
	"it is sent again after a doubt": func(t *testing.T, h *gatewaytest.Harness, take func()) *record.Record {
		t.Helper()
		h.ACS.Answer = failure
		r := hooked(t, h, gatewaytest.Small("late"))
		h.ACS.Answer = nil
		take()
		return r
	},
	"it is put back": func(t *testing.T, h *gatewaytest.Harness, take func()) *record.Record {
		t.Helper()
		full(t, h)
		r := hooked(t, h, gatewaytest.Small("late"))
		h.ACS.Answer = refusal
		h.Play(t, 2*time.Minute)
		h.ACS.Answer = nil
		d, _, err := h.DeadMessage(t.Context(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.DeadRetry(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		take()
		return r
	},
}

// What the operator takes away holds for what waits, on every way on which it leaves.
func TestAuthorityIsAskedBeforeAMessageLeaves(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		take func(*gatewaytest.Lists)
		want string // in the reason
	}{
		{"the caller is revoked", func(l *gatewaytest.Lists) { l.Remove("shop") }, "no list"},
		{"the hook is removed", func(l *gatewaytest.Lists) { l.Remove("/alerts") }, "no list"},
		{"another sender", func(l *gatewaytest.Lists) {
			l.Set(allowed(func(p *caller.Policy) { p.Senders = []string{"other@example.com"} }))
		}, "senders"},
		{"other recipients", func(l *gatewaytest.Lists) {
			l.Set(allowed(func(p *caller.Policy) { p.RecipientDomains = []string{"example.org"} }))
		}, "recipientDomains"},
		{"the sandbox", func(l *gatewaytest.Lists) { l.Set(allowed(inSandbox)) }, "in the sandbox now"},
		{"a smaller size", func(l *gatewaytest.Lists) {
			l.Set(allowed(func(p *caller.Policy) { p.MaxRequestBytes = 5 }))
		}, "maxRequestBytes"},
	} {
		for way, wait := range ways {
			t.Run(c.name+", "+way, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					h := gatewaytest.New(t, quota.Limits{PerMinute: 5, PerHour: 100})
					sent := 0
					r := wait(t, h, func() {
						c.take(h.Lists)
						sent = len(h.ACS.Sent)
					})
					h.Play(t, 10*time.Minute)
					r = reads(t, h, r)
					want := record.Failed
					if strings.Contains(way, "doubt") {
						want = record.Unknown
					}
					if r.State != want || r.Failure.Kind != problem.Forbidden.Slug() || !strings.Contains(r.Failure.Detail, c.want) {
						t.Errorf("it is %s: %+v", r.State, r.Failure)
					}
					if n := len(h.ACS.Sent) - sent; n != 0 {
						t.Errorf("%d were sent", n)
					}
					dead, err := h.Dead(t.Context())
					if err != nil || len(dead) != 1 || dead[0].ID != r.ID || dead[0].Hook != "alerts" {
						t.Fatalf("dead: %+v, %v", dead, err)
					}
				})
			})
		}
	}
}

// What its caller may not send any more is not put back either.
func TestWhatIsForbiddenIsNotPutBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		h.ACS.Answer = refusal
		r, d := given(t, h, gatewaytest.Small("one"))
		h.Lists.Remove("shop")
		if err := h.DeadRetry(t.Context(), d); !problem.Is(err, problem.Forbidden) {
			t.Errorf("put back: %v", err)
		}
		if _, _, err := h.DeadMessage(t.Context(), r.ID); err != nil {
			t.Errorf("in the list: %v", err)
		}
	})
}

// A message that is sent at once is asked about too: its caller may have been revoked while
// its body arrived. While nobody can tell, its caller's proof holds.
func TestAuthorityIsAskedForWhatIsSentAtOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		take func(*gatewaytest.Lists)
		kind problem.Kind
		sent bool
	}{
		{"revoked", func(l *gatewaytest.Lists) { l.Remove("shop") }, problem.Forbidden, false},
		{"another sender", func(l *gatewaytest.Lists) { l.Set(withoutSenders()) }, problem.Forbidden, false},
		{"the lists are away", func(l *gatewaytest.Lists) { l.Away(true) }, problem.Internal, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				c.take(h.Lists)
				a, err := h.Send(t.Context(), request(gatewaytest.Small("one")))
				if sent := len(h.ACS.Sent) == 1; sent != c.sent || (err == nil) != c.sent || err != nil && !problem.Is(err, c.kind) {
					t.Errorf("sent: %t, %+v, %v", sent, a.Record, err)
				}
			})
		})
	}
}

// paused is Shop in a pause.
func paused(refuse bool) caller.Caller {
	c := gatewaytest.Shop
	c.Pause = &problem.Pause{Reason: "a loop", Refuse: refuse, Since: time.Now()}
	return c
}

// What a paused caller sent stays, whatever waits beside it goes, and when the pause ends
// all of it goes, in its order.
func TestWhatAPausedCallerSentStays(t *testing.T) {
	t.Parallel()
	for way, wait := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, quota.Limits{PerMinute: 5, PerHour: 1000})
				sent := 0
				r := wait(t, h, func() {
					h.Lists.Set(paused(false))
					sent = len(h.ACS.Sent)
				})
				other := request(gatewaytest.Small("of another"))
				other.Caller.Name = "bank"
				if _, err := h.Send(t.Context(), other); err != nil {
					t.Fatal(err)
				}
				h.Play(t, time.Hour)
				if got := subjects(h.ACS.Sent[sent:]); len(got) != 1 || got[0] != "of another" {
					t.Errorf("sent meanwhile: %v", got)
				}
				if r = reads(t, h, r); r.Final() {
					t.Errorf("it is %s", r.State)
				}
				h.Lists.Set(gatewaytest.Shop)
				h.Play(t, 2*pausedWait)
				if r = reads(t, h, r); r.State != record.Accepted {
					t.Errorf("after the pause it is %s", r.State)
				}
			})
		})
	}
}

// pausedWait is after what time the end of a pause must have been seen.
const pausedWait = 45 * time.Second

// What a paused caller sends, waits or is refused, as the operator says.
func TestWhatAPausedCallerSends(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		refuse bool
		body   string
		waits  bool
	}{
		{"waits", false, gatewaytest.Small("one"), true},
		{"may not wait", false, gatewaytest.Refusing(gatewaytest.Small("one")), false},
		// A body that fits is kept while it is read; another would stream away before it says that it may not wait.
		{"may not wait, with a file", false, gatewaytest.Refusing(with(gatewaytest.Small("one"), `"attachments":[{"name":"a.txt","contentType":"text/plain","placement":"link","contentInBase64":"YQ=="}]`)), false},
		{"is refused", true, gatewaytest.Small("one"), false},
		{"is refused for later, too", true, with(gatewaytest.Small("one"), `"delivery":{"sendAt":"`+since2000(time.Hour)+`"}`), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				h.Lists.Set(paused(c.refuse))
				staged := 0
				h.See(func(op mem.Op, _ string) {
					if op == mem.Stage {
						staged++
					}
				})
				req := request(c.body)
				req.Caller = paused(c.refuse)
				a, err := h.Send(t.Context(), req)
				if staged > 0 {
					t.Errorf("%d blocks of files were stored", staged)
				}
				switch {
				case c.waits && (err != nil || a.Record.State != record.Waiting):
					t.Errorf("%+v, %v", a.Record, err)
				case !c.waits && (!problem.Is(err, problem.Paused) || problem.Of(err).RetryAfter == 0 || !strings.Contains(problem.Of(err).Detail, "a loop")):
					t.Errorf("%+v, %v", a.Record, err)
				}
				h.Play(t, time.Minute)
				if len(h.ACS.Arrivals) != 0 {
					t.Error("it was sent")
				}
			})
		})
	}
}

// While nobody can tell what a caller may do, nothing leaves the queue.
func TestNothingLeavesWhileTheListsAreAway(t *testing.T) {
	t.Parallel()
	for way, wait := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, quota.Limits{PerMinute: 5, PerHour: 1000})
				sent := 0
				r := wait(t, h, func() {
					h.Lists.Away(true)
					sent = len(h.ACS.Sent)
				})
				h.Play(t, 20*time.Minute)
				if n := len(h.ACS.Sent) - sent; n != 0 {
					t.Errorf("%d were sent", n)
				}
				h.Lists.Away(false)
				h.Play(t, time.Minute)
				if r = reads(t, h, r); r.State != record.Accepted {
					t.Errorf("then it is %s", r.State)
				}
			})
		})
	}
}

// Who may use less of the quota by now, waits longer: a cap holds for what waits already.
func TestALowerCapHoldsForWhatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, quota.Limits{PerMinute: 5, PerHour: 100})
		full(t, h)
		for range 20 {
			waits(t, h, gatewaytest.Small("late"), "")
		}
		h.Lists.Set(allowed(func(p *caller.Policy) { p.Cap = 10 }))
		h.Play(t, 30*time.Minute)
		if n := len(h.ACS.Sent); n != 10 {
			t.Errorf("%d of 10 were sent within the hour", n)
		}
		h.Play(t, 3*time.Hour)
		if n := len(h.ACS.Sent); n != 25 {
			t.Errorf("%d of 25 were sent in the end", n)
		}
	})
}

// Who may be less urgent only by now, goes behind those who are more so, and all go.
func TestALowerPriorityHoldsForWhatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, quota.Limits{PerMinute: 5, PerHour: 100})
		full(t, h)
		for range 3 {
			waits(t, h, gatewaytest.Small("urgent once"), `,"priority":"high"`)
		}
		for range 5 {
			req := request(gatewaytest.Small("of another"))
			req.Caller.Name = "bank"
			if _, err := h.Send(t.Context(), req); err != nil {
				t.Fatal(err)
			}
		}
		h.Lists.Set(allowed(func(p *caller.Policy) { p.Priority = mail.PriorityBulk }))
		h.Play(t, 5*time.Minute)
		got := subjects(h.ACS.Sent[5:])
		want := []string{"of another", "of another", "of another", "of another", "of another", "urgent once", "urgent once", "urgent once"}
		if !slices.Equal(got, want) {
			t.Errorf("sent in the order %v", got)
		}
	})
}

// with is a message with one more member.
func with(body, member string) string { return strings.TrimSuffix(body, "}") + "," + member + "}" }

func subjects(sent []mail.Message) []string {
	var all []string
	for _, m := range sent {
		all = append(all, m.Content.Subject)
	}
	return all
}

// Whatever goes wrong meanwhile: nothing of a revoked caller leaves once its lists say so,
// what a paused one sent goes after the pause, and all that was promised ends.
func TestSimAuthorityHoldsInAStorm(t *testing.T) {
	t.Parallel()
	for seed := range seeds(sims(t, 4)) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				lists, s := &gatewaytest.Lists{}, &storm{odds: map[sim.Fault]int{}, random: rand.New(rand.NewPCG(seed, 3)), calm: true}
				for _, f := range []sim.Fault{sim.Refuse, sim.Lose, sim.Repeat, sim.Stall, sim.KillBefore, sim.KillAfter, sim.Freeze} {
					s.odds[f] = 5
				}
				w := newWorld(t, sim.Config{
					Seed: seed, Instances: 3, Limits: quota.Limits{PerMinute: 10, PerHour: 300}, Way: 20 * time.Millisecond,
					ACSTime: 500 * time.Millisecond, ClockError: time.Second, Plan: s.plan, Authority: lists,
				})
				w.Play()
				ended := make(chan struct{})
				go replace(t, w, 3, ended)
				c, due := newCrowd(w), map[string]bool{}
				for n := range 3 { // queued for certain: how many of the rest are accepted is the storm's
					c.offer(t, sim.Caller("thief", caller.Policy{}), fmt.Sprint("due ", n), sim.Message("due", `"delivery":{"sendAt":"`+rfc(20*time.Minute)+`"}`))
				}
				c.all.Wait()
				for _, p := range c.promises {
					due[p.ID] = true
				}
				s.begin()
				for n := range 90 {
					who := sim.Caller([]string{"thief", "slow", "shop"}[n%3], caller.Policy{})
					more := ""
					if n%10 == 0 {
						more = `"delivery":{"sendAt":"` + rfc(20*time.Minute) + `"}`
					}
					c.offer(t, who, fmt.Sprint("key ", n), sim.Message(strconv.Itoa(n), more))
				}
				time.Sleep(2 * time.Minute)
				slow := sim.Caller("slow", caller.Policy{})
				slow.Pause = &problem.Pause{Since: time.Now()}
				lists.Remove("thief")
				lists.Set(slow)
				taken := time.Now()
				time.Sleep(40 * time.Minute)
				given := time.Now()
				lists.Set(sim.Caller("slow", caller.Policy{}))
				s.end()
				c.all.Wait()
				for begun := time.Now(); time.Since(begun) < 3*time.Hour && w.Waiting() > 0; {
					time.Sleep(time.Minute)
				}
				time.Sleep(10 * time.Minute)
				close(ended)
				w.Stop()
				for _, p := range c.promises {
					at, times := w.ACS.Sent(p.OperationID)
					late := times > 0 && at.After(taken.Add(atTheWire))
					switch p.Caller {
					case "thief":
						if late {
							t.Errorf("%s left %v after its caller was revoked", p.ID, at.Sub(taken))
						}
					case "slow":
						if late && at.Before(given) {
							t.Errorf("%s left %v after its caller was paused", p.ID, at.Sub(taken))
						}
					}
				}
				states, faults := w.Ends(t.Context(), c.promises)
				if _, rows := w.Left(t.Context()); len(faults) > 0 || rows > 0 || len(due) != 3 {
					t.Errorf("%v, %d rows left, %v, %d wait for a time", states, rows, faults, len(due))
				}
				waited := slices.DeleteFunc(c.promises, func(p sim.Promise) bool { return !due[p.ID] })
				if states, _ := w.Ends(t.Context(), waited); states[record.Failed] != len(due) {
					t.Errorf("what a revoked caller had waiting is %v", states)
				}
			})
		})
	}
}

// atTheWire is how long after the last question a message may reach ACS: the life of its
// token, and the clocks.
const atTheWire = quota.MaxAge + 2*quota.ClockError

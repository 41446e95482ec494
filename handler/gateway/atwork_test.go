package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/gateway/sim"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// A process dies at any step of the work on a message, and its caller has left: nobody
// repeats the message. The watchdog ends the work, or a caller's poll does: the message is
// sent once and known to be, or its id is free.
func TestSimWhatADeadProcessLeavesEnds(t *testing.T) {
	t.Parallel()
	for _, asker := range []string{"the watchdog", "the watchdog, unnamed", "the watchdog, no room", "a poller"} {
		for _, c := range crashes {
			t.Run(fmt.Sprintf("%d %s, %s", c.row, c.name, asker), func(t *testing.T) {
				t.Parallel()
				for n := range c.most {
					for _, fault := range []sim.Fault{sim.KillBefore, sim.KillAfter} {
						synctest.Test(t, func(t *testing.T) { dieAt(t, &strike{site: c.site, at: n + 1, fault: fault}, asker) })
					}
				}
			})
		}
	}
}

func dieAt(t *testing.T, s *strike, asker string) {
	t.Helper()
	id := "11111111-1111-4111-8111-111111111111"
	every, limits := time.Minute, quota.Limits{PerMinute: 10, PerHour: 100}
	switch asker {
	case "the watchdog, unnamed":
		id = ""
	case "the watchdog, no room":
		limits.PerMinute = 1
	case "a poller":
		every = 24 * time.Hour
	}
	w := newWorld(t, sim.Config{
		Seed: 1, Instances: 2, Limits: limits, Upstream: sim.Open, Way: 10 * time.Millisecond, ACSTime: 500 * time.Millisecond, Host: sim.Host{WatchEvery: every},
	})
	w.Play()
	if limits.PerMinute == 1 {
		if _, err := w.Any().Send(t.Context(), shop, "", sim.Message("first", "")); err != nil {
			t.Fatal(err)
		}
	}
	w.Plan = s.plan
	_, _ = w.Any().Gateway.Send(t.Context(), gateway.Request{ // nobody hears of it
		Caller: shop, OperationID: id, ContentType: "application/json", Body: strings.NewReader(sim.Message("one", attached())), BodyBytes: -1,
	})
	s.replace(t, w)
	for range 60 { // the owner's life, and two rounds
		time.Sleep((record.OwnerLife + 2*time.Minute) / 60)
		s.replace(t, w)
		if every > time.Hour {
			_, _ = w.Any().Find(t.Context(), shop, id)
		}
	}
	// A claim without a note has sent nothing, and a poll frees its id.
	_, _ = w.Any().Find(t.Context(), shop, id)
	left, noted := w.Between(t.Context())
	if every > time.Hour {
		noted = 0 // for the watchdog, as is what was to wait and does not
		left = slices.DeleteFunc(left, func(s string) bool { return strings.HasSuffix(s, "waiting") })
	}
	if len(left) > 0 || noted > 0 {
		t.Errorf("at call %d: left in between %v, %d noted", s.at, left, noted)
	}
	if every < time.Hour {
		time.Sleep(10 * time.Minute) // what stands in line is sent
	}
	w.Stop()
	if doubled, _ := w.Doubled(); len(doubled) > 0 {
		t.Errorf("at call %d: sent twice: %v", s.at, doubled)
	}
	if id == "" || every > time.Hour {
		return
	}
	found, err := w.Any().Find(t.Context(), shop, id)
	arrived := len(w.ACS.Arrivals()) - max(0, 2-limits.PerMinute)
	switch {
	case problem.Is(err, problem.NotFound) && arrived == 0:
	case err == nil && found.Record.State == record.Accepted && arrived == 1:
	case err == nil && found.Record.Repeatable && arrived == 0:
	default:
		t.Errorf("at call %d ACS was called %d times, and the record is %+v, %v", s.at, arrived, found.Record, err)
	}
}

// dies leaves a message as a process does that dies at work on it.
func dies(t *testing.T, h *gatewaytest.Harness, id string, step func(context.Context, *record.Store, *record.Record) error) *record.Record {
	t.Helper()
	r, _, err := h.Records.Claim(t.Context(), record.Record{ID: id, Caller: "shop", Fingerprint: "f"})
	if err == nil {
		err = h.Records.BeginWork(t.Context(), r).AwaitNote(t.Context())
	}
	if err == nil {
		err = step(t.Context(), h.Records, r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func sending(ctx context.Context, b *record.Store, r *record.Record) error {
	return b.MarkSending(ctx, r)
}

// The watchdog ends what a dead process has left, by what ACS knows.
func TestTheWatchdogEndsWhatWasLeft(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		step  func(context.Context, *record.Store, *record.Record) error
		known map[string]string // to ACS
		age   time.Duration
		ends  string // the record's state
		asked int
	}{
		{name: "claimed", step: func(context.Context, *record.Store, *record.Record) error { return nil }, age: record.OwnerLife, ends: "failed, repeatable"},
		{name: "waiting, and in no line", step: func(ctx context.Context, b *record.Store, r *record.Record) error {
			r.Spooled = store.Key{Partition: "000-1-now-0", Row: "1"}
			return b.MarkWaiting(ctx, r)
		}, age: record.OwnerLife, ends: "failed, repeatable"},
		{name: "sent", step: sending, known: map[string]string{record.OperationID("shop", "1"): ""}, age: record.OwnerLife, ends: "accepted", asked: 1},
		{name: "refused", step: sending, known: map[string]string{record.OperationID("shop", "1"): "InvalidRecipient"}, age: record.OwnerLife, ends: "failed", asked: 1},
		{name: "not sent", step: sending, age: record.OwnerLife, ends: "unknown, repeatable", asked: 1},
		{name: "in doubt, and in no line", step: func(ctx context.Context, b *record.Store, r *record.Record) error {
			return b.MarkResolvingAfter(ctx, r, time.Minute)
		}, age: time.Minute, ends: "unknown, repeatable", asked: 1},
		{name: "its owner may live", step: sending, age: record.FenceLife - 5*time.Second, ends: "sending"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				for id, failure := range c.known {
					h.ACS.Known[id] = failure
				}
				r := dies(t, h, "1", c.step)
				time.Sleep(c.age + time.Second)
				for range 2 {
					if err := h.Watch(t.Context()); err != nil {
						t.Error(err)
					}
				}
				there := reads(t, h, r)
				ends := string(there.State)
				if there.Repeatable {
					ends += ", repeatable"
				}
				if ends != c.ends || len(h.ACS.Asked) != c.asked {
					t.Errorf("it is %s, after %d questions; want %s after %d", ends, len(h.ACS.Asked), c.ends, c.asked)
				}
			})
		})
	}
}

// While ACS cannot be asked, it is asked about one message a round, and what needs no
// question ends all the same. Afterwards the rest does.
func TestTheWatchdogWaitsForACS(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		for _, id := range []string{"1", "2", "3"} {
			dies(t, h, id, sending)
		}
		dies(t, h, "4", func(context.Context, *record.Store, *record.Record) error { return nil })
		time.Sleep(record.OwnerLife + time.Second)
		states := func() (all []string) {
			for _, id := range []string{"1", "2", "3", "4"} {
				if r, err := h.Records.Read(t.Context(), "shop", id); err == nil {
					all = append(all, string(r.State))
				}
			}
			return all
		}
		watch := func() {
			if err := h.Watch(t.Context()); err != nil {
				t.Error(err)
			}
		}
		h.ACS.FateErr = problem.New(problem.ACSFailed, "It is down.")
		watch()
		watch()
		if got := states(); !slices.Equal(got, []string{"sending", "sending", "sending", "failed"}) || len(h.ACS.Asked) != 2 {
			t.Errorf("while ACS is down they are %v, after %d questions", got, len(h.ACS.Asked))
		}
		h.ACS.FateErr = nil
		watch()
		watch()
		if got := states(); !slices.Equal(got, []string{"unknown", "unknown", "unknown", "failed"}) || len(h.ACS.Asked) != 5 {
			t.Errorf("then they are %v, after %d questions", got, len(h.ACS.Asked))
		}
	})
}

// A caller that cancels a message and leaves, while any of the calls is on its way, leaves
// nothing of it: neither its place in line nor its links.
func TestSimACancelCutOff(t *testing.T) {
	t.Parallel()
	for n := range 6 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, sim.Config{Seed: 1, Instances: 1, Limits: quota.Limits{PerMinute: 10, PerHour: 100}, Upstream: sim.Open, Way: 10 * time.Millisecond})
			i := w.Any()
			answer, err := i.Send(t.Context(), shop, "", sim.Message("one", attached()+`,"delivery":{"sendAt":"`+rfc(time.Hour)+`"}`))
			if err != nil || answer.Record.State != record.Waiting {
				t.Fatalf("%+v, %v", answer.Record, err)
			}
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			var calls atomic.Int64
			w.Plan = func(*sim.Instance, sim.Site, string) sim.Fault {
				if calls.Add(1) == int64(n+1) {
					leave()
				}
				return sim.Pass
			}
			_, _ = i.Cancel(ctx, shop, answer.Record.ID)
			w.Plan = nil
			found, err := i.Find(t.Context(), shop, answer.Record.ID)
			if err != nil || found.State != record.Cancelled || !found.Revoked || w.Waiting() != 0 {
				t.Errorf("cut off at call %d: %+v, %v; %d wait", n+1, found.Record, err, w.Waiting())
			}
		})
	}
}

// A repeat takes over what a dead process was sending, and ACS cannot be asked. Nobody
// asks again, so the watchdog ends it.
func TestWhatARepeatCouldNotAskAboutEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		rec := orphan(t, h, one)
		if _, err := h.Send(t.Context(), request(gatewaytest.Small("two"))); err != nil { // the note of the first is written over
			t.Fatal(err)
		}
		time.Sleep(record.FenceLife + time.Second)
		h.ACS.FateErr = errors.New("away")
		if answer, err := named(t, h, gatewaytest.Refusing(gatewaytest.Small("one"))); !problem.Is(err, problem.Unavailable) {
			t.Fatalf("the repeat got %+v, %v", answer.Record, err)
		}
		h.ACS.FateErr = nil
		h.Play(t, record.OwnerLife+2*time.Minute)
		if there := reads(t, h, rec); !there.Final() || !there.Repeatable {
			t.Errorf("the record is %+v", there)
		}
	})
}

package gateway_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway/sim"
	"github.com/posthorn/posthorn/handler/mail"
)

const (
	tooOften = "ACS gave no clear answer each time that the message was sent, and does not know it. It may or may not have been sent."
	notAsked = "ACS gave no clear answer, and could not be asked until the message's deadline. It may or may not have been sent."
	lost     = "The content of the message cannot be read any more, so it cannot be sent."
	late     = "The message waited until its deadline and was not sent."
)

// Whatever a message is given up for: its record says why, the operator reads the same,
// its content is kept, no row of it is left, nobody counts as waiting, and the next one
// goes at once.
func TestWhatIsGivenUpIsToldAndHoldsUpNobody(t *testing.T) {
	t.Parallel()
	always := func(op sim.Site) func(sim.Site) sim.Fault {
		return func(s sim.Site) sim.Fault {
			if s.Where == op.Where && s.Op == op.Op {
				return sim.Refuse
			}
			return sim.Pass
		}
	}
	nothing := func(context.Context, *sim.World) {}
	once := func(op sim.Site) func(sim.Site) sim.Fault {
		var done atomic.Bool
		return func(s sim.Site) sim.Fault {
			if s.Where == op.Where && s.Op == op.Op && done.CompareAndSwap(false, true) {
				return sim.Refuse
			}
			return sim.Pass
		}
	}
	const sentBefore = " ACS gave no clear answer when it was sent before, and does not know it: it may or may not have been sent then."
	for _, test := range []struct {
		name    string
		subject string
		more    string // of delivery, beside sendAt
		plan    func(sim.Site) sim.Fault
		meddle  func(context.Context, *sim.World) // before its time
		takes   time.Duration
		ends    record.State
		kind    string
		detail  string
		offers  int64
		blobs   int
	}{
		{
			name: "refused by ACS", subject: "refused", meddle: nothing, takes: time.Minute,
			ends: record.Failed, kind: "refused-by-acs", detail: "no", offers: 1, blobs: 1,
		},
		{
			name: "its deadline has passed", subject: "one", more: `,"deadline":"` + since2000(3*time.Minute) + `"`, takes: 3 * time.Minute,
			meddle: func(_ context.Context, w *sim.World) {
				w.ACS.Down(true)
				time.AfterFunc(4*time.Minute, func() { w.ACS.Down(false) })
			},
			ends: record.Failed, kind: "deadline-passed", detail: late, offers: -1, blobs: 1,
		},
		{
			name: "offered as often as may be", subject: "stranger", meddle: nothing, takes: 127 * time.Minute,
			ends: record.Failed, kind: "acs-misconfigured", offers: 8, blobs: 1,
			detail: "It was offered to ACS 8 times and not taken. The last reason: ACS does not know the sender.",
		},
		{
			name: "its content is lost", subject: "one", takes: time.Minute,
			meddle: func(ctx context.Context, w *sim.World) { w.LoseContent(ctx) },
			ends:   record.Failed, kind: "internal", detail: lost,
		},
		{
			name: "its content cannot be read", subject: "one", takes: time.Minute,
			meddle: func(ctx context.Context, w *sim.World) { w.SpoilContent(ctx) },
			ends:   record.Failed, kind: "internal", detail: lost, blobs: 1,
		},
		{
			name: "in doubt each time", subject: "one", meddle: nothing, takes: 80 * time.Second,
			plan: always(sim.Site{Where: "acs", Op: sim.Offer}),
			ends: record.Unknown, kind: "acs-failed", detail: tooOften, offers: 4, blobs: 1,
		},
		{
			name: "sent in doubt, then offered as often as may be", subject: "stranger", meddle: nothing, takes: 127 * time.Minute,
			plan: once(sim.Site{Where: "acs", Op: sim.Offer}),
			ends: record.Unknown, kind: "acs-misconfigured", offers: 9, blobs: 1,
			detail: "It was offered to ACS 8 times and not taken. The last reason: ACS does not know the sender." + sentBefore,
		},
		{
			name: "sent in doubt, then its content is lost", subject: "one", takes: 2 * time.Minute,
			meddle: func(ctx context.Context, w *sim.World) {
				w.ACS.Down(true) // after a minute's pause it is asked, and sent again
				time.AfterFunc(time.Minute, func() { w.LoseContent(ctx); w.ACS.Down(false) })
			},
			plan: once(sim.Site{Where: "acs", Op: sim.Offer}),
			ends: record.Unknown, kind: "internal", detail: lost + sentBefore, offers: 1,
		},
		{
			name: "in doubt until its deadline", subject: "one", more: `,"deadline":"` + since2000(10*time.Minute) + `"`, takes: 10*time.Minute + 30*time.Second,
			meddle: nothing,
			plan: func(s sim.Site) sim.Fault {
				switch s.Op {
				case sim.Offer:
					return sim.Lose
				case sim.Ask:
					return sim.Refuse
				}
				return sim.Pass
			},
			ends: record.Unknown, kind: "acs-failed", detail: notAsked, offers: 1, blobs: 1,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tr, offers := &trouble{}, atomic.Int64{}
				w := newWorld(t, sim.Config{
					Seed: 1, Instances: 2, Limits: quota.Limits{PerMinute: 10, PerHour: 100}, Upstream: sim.Open, Way: 10 * time.Millisecond, ACSTime: time.Second,
					Plan: func(i *sim.Instance, s sim.Site, key string) sim.Fault {
						if s.Op == sim.Offer {
							offers.Add(1)
						}
						return tr.plan(i, s, key)
					},
				})
				w.Play()
				watched := w.Watch()
				tr.set(test.plan)
				answer, err := w.Any().Send(t.Context(), shop, "", sim.Message(test.subject, `"delivery":{"sendAt":"`+rfc(30*time.Second)+`"`+test.more+`}`))
				if err != nil || answer.Record.State != record.Waiting {
					t.Fatalf("%+v, %v", answer.Record, err)
				}
				test.meddle(t.Context(), w)
				time.Sleep(test.takes - 30*time.Second)
				if found, err := w.Any().Find(t.Context(), shop, answer.Record.ID); test.takes > time.Minute && (err != nil || found.Record.Final()) {
					t.Errorf("too soon it is %+v, %v", found.Record, err)
				}
				time.Sleep(4 * time.Minute)
				tr.set(nil)
				found, err := w.Any().Find(t.Context(), shop, answer.Record.ID)
				if err != nil || found.Record.State != test.ends || found.Record.Resolving {
					t.Errorf("it is %+v, %v", found.Record, err)
				} else if f := found.Record.Failure; f == nil || f.Kind != test.kind || f.Detail != test.detail {
					t.Errorf("its failure is %+v", f)
				}
				if n := offers.Load(); n != test.offers && test.offers >= 0 {
					t.Errorf("ACS was offered it %d times, want %d", n, test.offers)
				}
				dead, err := w.Any().Dead(t.Context())
				if err != nil || len(dead) != 1 || dead[0].ID != answer.Record.ID || dead[0].Reason != test.detail {
					t.Errorf("the operator sees %+v, %v", dead, err)
				}
				usage, err := w.Any().Usage(t.Context(), mail.CustomDomain, shop)
				blobs, rows := w.Left(t.Context())
				if err != nil || usage.WaitingAll != 0 || rows != 0 || blobs != test.blobs {
					t.Errorf("%d count as waiting, %d rows, %d blobs, %v", usage.WaitingAll, rows, blobs, err)
				}
				if next, err := w.Any().Send(t.Context(), shop, "", sim.Message("next", "")); err != nil || next.Record.State != record.Accepted {
					t.Errorf("the next message is %+v, %v", next.Record, err)
				}
				w.Stop()
				for _, f := range watched.Faults() {
					t.Error(f)
				}
			})
		})
	}
}

// since2000 is a time after a bubble's beginning in RFC 3339.
func since2000(d time.Duration) string {
	return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(d).Format(time.RFC3339)
}

// What waits until shortly before its deadline is sent.
func TestWhatWaitsIsSentBeforeItsDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, _ := troubled(t)
		w.Play()
		w.ACS.Down(true)
		c := newCrowd(w)
		c.offer(t, shop, "", sim.Message("one", `"delivery":{"deadline":"`+rfc(10*time.Minute)+`"}`))
		time.Sleep(8 * time.Minute)
		c.all.Wait()
		w.ACS.Down(false)
		time.Sleep(4 * time.Minute)
		w.Stop()
		if states, faults := w.Ends(t.Context(), c.promises); states[record.Accepted] != 1 || len(faults) > 0 {
			t.Errorf("ends %v, %v", states, faults)
		}
	})
}

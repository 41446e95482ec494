package gateway_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/gateway/sim"
	"github.com/posthorn/posthorn/handler/mail"
)

// Whichever way a message leaves the queue: no row of it is left and nobody is counted as
// waiting, its record says what became of it, and the operator sees what was given up.
func TestEveryWayOutOfTheQueue(t *testing.T) {
	t.Parallel()
	soon := func() string { return `"delivery":{"sendAt":"` + rfc(30*time.Second) + `"}` }
	for name, test := range map[string]struct {
		subject string
		more    func() string
		fault   sim.Fault // of the first call to ACS
		meddle  func(t *testing.T, w *sim.World, id string)
		ends    record.State
		dead    int
		blobs   int
	}{
		"sent":                     {subject: "one", more: soon, ends: record.Accepted},
		"resolved":                 {subject: "one", more: soon, fault: sim.Lose, ends: record.Accepted},
		"sent again after a doubt": {subject: "one", more: soon, fault: sim.Refuse, ends: record.Accepted},
		"refused":                  {subject: "refused", more: soon, ends: record.Failed, dead: 1, blobs: 1},
		"refused and dropped": {subject: "refused", more: soon, ends: record.Failed, meddle: func(t *testing.T, w *sim.World, id string) {
			t.Helper()
			time.Sleep(2 * time.Minute)
			d, _, err := gatewaytest.DeadMessage(t.Context(), w.Any().Gateway, id)
			if err == nil {
				err = w.Any().DeadDrop(t.Context(), d)
			}
			if err != nil {
				t.Error(err)
			}
		}},
		"cancelled": {subject: "one", more: func() string { return `"delivery":{"sendAt":"` + rfc(24*time.Hour) + `"}` }, ends: record.Cancelled, meddle: func(t *testing.T, w *sim.World, id string) {
			t.Helper()
			if _, err := w.Any().Cancel(t.Context(), shop, id); err != nil {
				t.Error(err)
			}
		}},
		"expired": {subject: "one", more: func() string { return `"delivery":{"deadline":"` + rfc(3*time.Minute) + `"}` }, ends: record.Failed, dead: 1, blobs: 1, meddle: func(t *testing.T, w *sim.World, _ string) {
			t.Helper()
			time.Sleep(4 * time.Minute)
			w.ACS.Down(false)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var offers atomic.Int64
				w := newWorld(t, sim.Config{
					Seed: 1, Instances: 2, Limits: quota.Limits{PerMinute: 10, PerHour: 100}, Upstream: sim.Open, Way: 10 * time.Millisecond, ACSTime: time.Second,
					Plan: func(_ *sim.Instance, s sim.Site, _ string) sim.Fault {
						if s.Op == sim.Offer && offers.Add(1) == 1 {
							return test.fault
						}
						return sim.Pass
					},
				})
				w.Play()
				watched := w.Watch()
				w.ACS.Down(name == "expired")
				answer, err := w.Any().Send(t.Context(), shop, "", sim.Message(test.subject, test.more()))
				if err != nil || answer.Record.State != record.Waiting {
					t.Fatalf("%+v, %v", answer.Record, err)
				}
				if test.meddle != nil {
					test.meddle(t, w, answer.Record.ID)
				}
				time.Sleep(3 * time.Minute)
				found, err := w.Any().Find(t.Context(), shop, answer.Record.ID)
				if err != nil || found.Record.State != test.ends {
					t.Errorf("it is %+v, %v", found.Record, err)
				}
				usage, err := w.Any().Usage(t.Context(), mail.CustomDomain, shop)
				blobs, rows := w.Left(t.Context())
				dead, deadErr := w.Any().Dead(t.Context())
				if err != nil || deadErr != nil || usage.WaitingAll != 0 || rows != 0 || blobs != test.blobs || len(dead) != test.dead {
					t.Errorf("%d count as waiting, %d rows, %d blobs, %d given up (%v, %v)", usage.WaitingAll, rows, blobs, len(dead), err, deadErr)
				}
				// The next one goes at once: nobody waits before it.
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

// rfc is a time from now in RFC 3339.
func rfc(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }

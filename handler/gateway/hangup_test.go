package gateway_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/gateway/sim"
)

// A caller hangs up while one of the calls of its request is on its way there or back,
// whichever it is. Seconds later its message is sent, or waits, or nothing of it is there; and a repeat
// comes to an end.
func TestSimCallersHangUp(t *testing.T) {
	t.Parallel()
	for _, full := range []bool{false, true} {
		for _, c := range crashes {
			t.Run(fmt.Sprintf("%d %s, no room %v", c.row, c.name, full), func(t *testing.T) {
				t.Parallel()
				for n := range c.most {
					for after := range delays() {
						synctest.Test(t, func(t *testing.T) { hangUp(t, c, n+1, time.Duration(after)*5*time.Millisecond, full) })
					}
				}
			})
		}
	}
}

// delays are how many moments after a call are tried. What a race detector can see is the
// same in each.
func delays() int {
	if testing.Short() {
		return 1
	}
	return 5
}

func hangUp(t *testing.T, c crash, at int, after time.Duration, full bool) {
	t.Helper()
	const id = "11111111-1111-4111-8111-111111111111"
	limits := quota.Limits{PerMinute: 10, PerHour: 100}
	if full {
		limits = quota.Limits{PerMinute: 1, PerHour: 100}
	}
	var leave atomic.Pointer[context.CancelFunc]
	var seen atomic.Int64
	w := newWorld(t, sim.Config{
		Seed: 1, Instances: 1, Limits: limits, Upstream: sim.Open, Way: 10 * time.Millisecond, ACSTime: 500 * time.Millisecond,
		Plan: func(_ *sim.Instance, s sim.Site, _ string) sim.Fault {
			if f := leave.Load(); f != nil && s == c.site && seen.Add(1) == int64(at) {
				time.AfterFunc(after, *f)
			}
			return sim.Pass
		},
	})
	w.Play()
	i := w.Any()
	if full {
		if _, err := i.Send(t.Context(), shop, "", sim.Message("first", "")); err != nil {
			t.Fatal(err)
		}
	}
	request := func(ctx context.Context) (gateway.Answer, error) {
		return i.Gateway.Send(ctx, gateway.Request{
			Caller: shop, OperationID: id, ContentType: "application/json", Body: strings.NewReader(sim.Message("one", attached())), BodyBytes: -1,
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	leave.Store(&cancel)
	_, _ = request(ctx) // nobody hears of it
	leave.Store(nil)
	cancel()
	time.Sleep(5 * time.Second)
	if left, _ := w.Between(t.Context()); len(left) > 0 {
		t.Errorf("at call %d: 5 s later it is %v", at, left)
	}
	answer, err := request(t.Context())
	if err != nil || answer.Record.State != record.Accepted && answer.Record.State != record.Waiting {
		t.Errorf("at call %d: the repeat got %+v, %v", at, answer.Record, err)
	}
	time.Sleep(5 * time.Minute)
	w.Stop()
	found, err := i.Find(t.Context(), shop, id)
	if err != nil || found.Record.State != record.Accepted {
		t.Errorf("at call %d: at last it is %+v, %v", at, found.Record, err)
	}
	if doubled, _ := w.Doubled(); len(doubled) > 0 {
		t.Errorf("at call %d: sent twice: %v", at, doubled)
	}
}

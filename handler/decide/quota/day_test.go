package quota_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
)

// A day at the limits of a new subscription: 10,000 messages come in bursts to ten
// instances, and one wake-up message in twenty is lost.
func TestADayOfWaiting(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	synctest.Test(t, func(t *testing.T) {
		o := newTestGateway(t, 10, quota.CustomDomainSend)
		o.lose = 5
		defer o.end()
		go o.timer()
		go func() {
			for offered := 0; offered < 10_000; {
				for range min(1+o.rnd.n(300), 10_000-offered) {
					go o.offer(o.one(), quota.Call{Caller: "a", Class: quota.Normal, Cost: 1})
					offered++
				}
				time.Sleep(o.rnd.upTo(20 * time.Minute))
			}
		}()
		time.Sleep(24 * time.Hour)
		out := o.outcome()
		if err := out.fault(quota.CustomDomainSend); err != nil {
			t.Error(err)
		}
		used := float64(o.gone()) / 2400
		right, wrong := 0, 0
		for _, s := range o.sorted() {
			if s.expected.IsZero() {
				continue
			}
			off := s.at.Sub(s.expected).Abs()
			if off <= max(time.Minute, s.expected.Sub(s.joined)/10) {
				right++
			} else {
				wrong++
			}
		}
		share := float64(right) / float64(right+wrong)
		t.Logf("%.2f %% used, %.2f %% of %d expected times right, %d waiting, %d refused, %d dispatches, %d wake-up messages, %d writes, %d reads",
			100*used, 100*share, right+wrong, o.waiting(), o.refused, o.dispatches, o.wakeUps, o.row.writes, o.row.gets)
		if used < 0.95 || share < 0.95 {
			t.Error("want 95 % of both")
		}
	})
}

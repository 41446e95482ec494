package quota_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
)

func TestCallersShareTheLimit(t *testing.T) {
	t.Parallel()
	call := func(caller string, class quota.Class, share, most int) quota.Call {
		return quota.Call{Caller: caller, Class: class, Cost: 1, Share: share, Cap: most}
	}
	type load struct {
		call quota.Call
		each time.Duration
	}
	for name, test := range map[string]struct {
		reserved int
		loads    []load
		least    map[string]int // of 600 in six hours
		most     map[string]int
	}{
		"ten to one": {0, []load{{call("big", quota.Normal, 0, 0), 10 * time.Second}, {call("small", quota.Normal, 0, 0), 100 * time.Second}},
			map[string]int{"small": 205, "big": 370}, nil},
		"both more than half": {0, []load{{call("big", quota.Normal, 0, 0), 6 * time.Second}, {call("small", quota.Normal, 0, 0), 60 * time.Second}},
			map[string]int{"small": 285, "big": 285}, nil},
		"a small share is kept against a flood": {0, []load{{call("big", quota.Normal, 0, 0), 4 * time.Second}, {call("small", quota.Normal, 20, 0), 40 * time.Second}},
			map[string]int{"small": 114, "big": 400}, nil},
		"shares weigh": {0, []load{{call("big", quota.Normal, 60, 0), 20 * time.Second}, {call("small", quota.Normal, 30, 0), 20 * time.Second}},
			map[string]int{"big": 380, "small": 190}, nil},
		"a cap holds, and the rest is for others": {0, []load{{call("big", quota.Normal, 0, 25), 10 * time.Second}, {call("small", quota.Normal, 0, 0), 20 * time.Second}},
			map[string]int{"small": 425, "big": 125}, map[string]int{"big": 150}},
		"high goes before bulk": {0, []load{{call("bulk", quota.Bulk, 0, 0), 5 * time.Second}, {call("high", quota.High, 0, 0), 60 * time.Second}},
			map[string]int{"high": 355, "bulk": 230}, nil},
		"a part is kept for high": {30, []load{{call("bulk", quota.Bulk, 0, 0), 5 * time.Second}, {call("high", quota.High, 0, 0), 10 * time.Minute}},
			map[string]int{"high": 35, "bulk": 380}, map[string]int{"bulk": 420}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && name != "shares weigh" {
				t.Skip("takes some seconds")
			}
			synctest.Test(t, func(t *testing.T) {
				o := newTestGateway(t, 3, quota.CustomDomainSend, quota.Options{ReservedForHigh: test.reserved})
				defer o.end()
				go o.timer()
				for _, load := range test.loads {
					go func() {
						for o.ctx.Err() == nil {
							time.Sleep(load.each)
							go o.offer(o.one(), load.call)
						}
					}()
				}
				time.Sleep(2 * time.Hour) // until the use of the last hour tells
				before := o.perCaller(time.Now())
				time.Sleep(6 * time.Hour)
				got := o.perCaller(time.Now())
				for caller, n := range before {
					got[caller] -= n
				}
				t.Logf("%v sent of 600", got)
				for caller, n := range test.least {
					if got[caller] < n {
						t.Errorf("%s got %d, want at least %d", caller, got[caller], n)
					}
				}
				for caller, n := range test.most {
					if got[caller] > n {
						t.Errorf("%s got %d, want at most %d", caller, got[caller], n)
					}
				}
				if err := o.outcome().fault(quota.CustomDomainSend); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// However its calls fall, no hour holds more of a caller than its cap.
func TestACapHoldsInEveryHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newTestGateway(t, 4, quota.CustomDomainSend)
		defer o.end()
		go o.timer()
		go func() {
			for o.ctx.Err() == nil {
				time.Sleep(o.rnd.upTo(time.Duration(o.rnd.n(40)) * time.Minute / 10))
				for range o.rnd.n(12) {
					go o.offer(o.one(), quota.Call{Caller: "a", Class: quota.Normal, Cost: 1, Cap: 33})
				}
			}
		}()
		time.Sleep(24 * time.Hour)
		if err := o.outcome().fault(quota.Limits{PerMinute: 30, PerHour: 33}); err != nil {
			t.Error(err)
		}
		if n := o.gone(); n < 24*30 {
			t.Errorf("%d sent, want nearly %d", n, 24*33)
		}
	})
}

func TestAUrgentMessageDoesNotWaitBehindAMailing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newTestGateway(t, 2, quota.CustomDomainSend)
		defer o.end()
		go o.timer()
		for range 1000 {
			go o.offer(o.one(), quota.Call{Caller: "mailing", Class: quota.Bulk, Cost: 1})
		}
		time.Sleep(2 * time.Hour)
		urgent := quota.Call{Caller: "shop", Class: quota.High, Cost: 1}
		begin := time.Now()
		o.offer(o.one(), urgent)
		u, err := o.one().Overview(t.Context(), quota.Call{Caller: "mailing", Class: quota.Bulk, Cost: 1})
		if err != nil || u.WaitingOwn < 750 || u.WaitingAll != u.WaitingOwn+1 || u.Used < 95 || u.Expected.Sub(begin) < 7*time.Hour {
			t.Errorf("Usage = %+v, %v", u, err)
		}
		time.Sleep(time.Hour + 10*time.Second)
		if got := o.perCaller(time.Now())["shop"]; got != 1 {
			t.Errorf("%d sent, want 1", got)
		}
		for _, s := range o.sorted() {
			if s.call == urgent && s.at.Sub(s.expected).Abs() > 10*time.Second {
				t.Errorf("sent %v after it was expected", s.at.Sub(s.expected))
			}
		}
	})
}

func TestWhatIsScheduledGoesWhenItIsDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newTestGateway(t, 2, quota.CustomDomainSend)
		defer o.end()
		go o.timer()
		begin := time.Now()
		for i := range 5 {
			due := begin.Add(time.Duration(5-i) * time.Hour)
			c := quota.Call{Caller: "a", Class: quota.Normal, Cost: 1}
			place, err := o.one().Join(t.Context(), c, due, time.Time{})
			if err != nil || !place.At.Equal(due) || !place.Expected.Equal(due) || !place.WakeUpAt.Equal(due) {
				t.Errorf("Join = %+v, %v", place, err)
			}
			go o.wait(place, waiter{at: place.At, expected: due, call: c}, true)
		}
		time.Sleep(30 * time.Minute)
		o.offer(o.one(), quota.Call{Caller: "a", Class: quota.Normal, Cost: 1})
		if o.gone() != 1 {
			t.Error("what is not due holds up others")
		}
		time.Sleep(5 * time.Hour)
		for i, s := range o.sorted()[1:] {
			if late := s.at.Sub(begin.Add(time.Duration(i+1) * time.Hour)); late < 0 || late > 10*time.Second {
				t.Errorf("scheduled message %d goes %v late", i, late)
			}
		}
		if o.gone() != 6 || o.waiting() != 0 {
			t.Errorf("%d sent, %d wait", o.gone(), o.waiting())
		}
	})
}

package quota_test

import (
	"context"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
)

// load offers so many messages a second from all instances until the end.
func (o *testGateway) load(perSecond float64, length time.Duration, c quota.Call) {
	each := time.Duration(float64(time.Second) * float64(len(o.ledgers)) / perSecond)
	for _, l := range o.ledgers {
		go func() {
			for end := time.Now().Add(length); time.Now().Before(end) && o.ctx.Err() == nil; {
				time.Sleep(o.rnd.upTo(2 * each))
				go o.offer(l, c)
			}
		}()
	}
}

// writes are those of the busiest row, and of all.
func (o *testGateway) writes() (most, all int) {
	for _, r := range o.row.all() {
		r.mu.Lock()
		most, all = max(most, r.writes), all+r.writes
		r.mu.Unlock()
	}
	return most, all
}

// Two million an hour, from many instances: whatever they have to do, nobody
// writes a row more than 20 times a second, and one write serves many messages.
func TestWritesStayFewHoweverManyInstances(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	limits := quota.Limits{PerMinute: 40_000, PerHour: 2_000_000}
	for name, test := range map[string]struct {
		instances int
		limits    quota.Limits
		load      float64 // messages a second
		length    time.Duration
	}{
		"10 instances within the limit":         {10, limits, 500, 30 * time.Second},
		"200 instances within the limit":        {200, limits, 500, 30 * time.Second},
		"200 instances, three times the limit":  {200, quota.Limits{PerMinute: 12_000, PerHour: 2_000_000}, 600, 90 * time.Second},
		"100 instances, 100,000 an hour":        {100, quota.Limits{PerMinute: 2100, PerHour: 100_000}, 27, 60 * time.Second},
		"100 instances, 10,000 an hour, thrice": {100, quota.Limits{PerMinute: 300, PerHour: 10_000}, 9, 3 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := newTestGateway(t, test.instances, test.limits)
				defer o.end()
				go o.timer()
				o.load(test.load, test.length, quota.Call{Caller: "a", Class: quota.Normal, Cost: 1})
				time.Sleep(10 * time.Second) // until all have found their pace
				most0, all0 := o.writes()
				time.Sleep(test.length - 10*time.Second)
				most, all := o.writes()
				perRow := float64(most-most0) / (test.length - 10*time.Second).Seconds()
				sent := o.gone()
				t.Logf("%d rows, %.1f writes a second on the busiest, %.2f writes a message, %d sent, %d wait",
					len(o.row.all()), perRow, float64(all-all0)/(test.load*(test.length.Seconds()-10)), sent, o.waiting())
				var st quota.Stats
				for _, l := range o.ledgers {
					x := l.Stats()
					st.Reads, st.Writes, st.Conflicts, st.Reserved = st.Reads+x.Reads, st.Writes+x.Writes, st.Conflicts+x.Conflicts, st.Reserved+x.Reserved
					st.Refused, st.Joined, st.Taken = st.Refused+x.Refused, st.Joined+x.Joined, st.Taken+x.Taken
				}
				t.Logf("%+v; %d dispatches, %d wake-up messages", st, o.dispatches, o.wakeUps)
				if perRow > 20 {
					t.Errorf("%.1f writes a second on one row", perRow)
				}
				if err := o.outcome().fault(test.limits); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// While messages wait, shards use what they may.
func TestShardsUseTheLimitWhileMessagesWait(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	for name, test := range map[string]struct {
		limits  quota.Limits
		backlog int
		length  time.Duration
	}{
		"small":             {quota.Limits{PerMinute: 1000, PerHour: 2000}, 7_000, 3 * time.Hour},
		"large, in one row": {quota.Limits{PerMinute: 1000, PerHour: 9000}, 13_000, 80 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := newTestGateway(t, 5, test.limits)
				defer o.end()
				go o.timer()
				go func() {
					for offered := range test.backlog {
						go o.offer(o.one(), quota.Call{Caller: "a", Class: quota.Normal, Cost: 1})
						if offered%100 == 99 {
							time.Sleep(time.Second)
						}
					}
				}()
				time.Sleep(test.length)
				hours := math.Ceil(test.length.Hours()) // each begins with a burst
				used := float64(o.gone()) / min(float64(test.limits.PerHour)*hours, float64(test.backlog))
				right, wrong := 0, 0
				for _, s := range o.sorted() {
					if s.expected.IsZero() {
						continue
					}
					if s.at.Sub(s.expected).Abs() <= max(time.Minute, s.expected.Sub(s.joined)/10) {
						right++
					} else {
						wrong++
					}
				}
				t.Logf("%.1f %% of the limit used, %d wait, %d expected times right, %d wrong", 100*used, o.waiting(), right, wrong)
				if used < 0.95 || float64(right) < 0.95*float64(right+wrong) {
					t.Error("want 95 %")
				}
				if err := o.outcome().fault(test.limits); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// The operator changes the limits while messages wait: the lines move to the new
// rows, and those of shards that are no more are still served.
func TestLinesOutliveAChangeOfLayout(t *testing.T) {
	t.Parallel()
	large, small := quota.Limits{PerMinute: 6000, PerHour: 300_000}, quota.Limits{PerMinute: 600, PerHour: 6000}
	for name, test := range map[string]struct{ before, after quota.Limits }{
		"from six rows to one": {large, small},
		"from one row to six":  {small, large},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := newTestGateway(t, 3, test.before)
				defer o.end()
				// ACS is away, so that all lines fill.
				var away atomic.Bool
				away.Store(true)
				o.acs = func(_ *testGateway, l *quota.Ledger, g quota.Grant) bool {
					if away.Load() {
						if err := l.Backoff(t.Context(), 10*time.Minute, g); err != nil {
							t.Error(err)
						}
					}
					return !away.Load()
				}
				go o.timer()
				for range 120 {
					for range 10 {
						go o.offer(o.one(), quota.Call{Caller: "a", Class: quota.Normal, Cost: 1})
					}
					time.Sleep(time.Second)
				}
				fresh := ledgersOn(o, test.after)
				o.mu.Lock()
				o.ledgers = fresh
				shards := len(o.table)
				o.mu.Unlock()
				away.Store(false)
				time.Sleep(30 * time.Minute)
				if o.gone() < 1000 || o.waiting() != 0 {
					t.Errorf("%d sent, %d still wait, of %d shards", o.gone(), o.waiting(), shards)
				}
				u, err := o.one().Overview(context.Background(), costing(1))
				if err != nil || u.WaitingAll != 0 || u.Limits != test.after {
					t.Errorf("Usage = %+v, %v", u, err)
				}
			})
		})
	}
}

// ledgersOn are instances started anew on the same rows.
func ledgersOn(o *testGateway, limits quota.Limits) []*quota.Ledger {
	var ledgers []*quota.Ledger
	newID := ids()
	for range o.ledgers {
		f := &instanceTable{tableRow: o.row, way: func() time.Duration { return 5 * time.Millisecond }}
		ledgers = append(ledgers, quota.New(f, "send", limits, time.Now, func() string { return "again-" + newID() }))
	}
	return ledgers
}

// After a deployment all instances meet at the row for the first time at once. None
// has a pace yet; nobody is refused for it.
func TestAllInstancesAtOnceFindTheirTurn(t *testing.T) {
	t.Parallel()
	for _, instances := range []int{20, 200} {
		t.Run(strconv.Itoa(instances), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := newTestGateway(t, 0, quota.CustomDomainSend)
				newID := ids()
				var all sync.WaitGroup
				begun := time.Now()
				for range instances {
					f := &instanceTable{tableRow: o.row, way: func() time.Duration { return o.rnd.upTo(30 * time.Millisecond) }}
					l := quota.New(f, "send", quota.CustomDomainSend, time.Now, newID)
					all.Go(func() {
						if _, _, err := l.ReserveOrJoin(t.Context(), normal("a"), time.Time{}); err != nil {
							t.Error(err)
						}
					})
				}
				all.Wait()
				t.Logf("%d instances were answered within %v, with %d writes", instances, time.Since(begun), o.row.writes)
			})
		})
	}
}

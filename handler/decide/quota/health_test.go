package quota_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/problem"
)

// flood offers n messages of a caller at once.
func (o *testGateway) flood(caller string, n int) {
	for range n {
		go o.offer(o.one(), quota.Call{Caller: caller, Class: quota.Normal, Cost: 1})
	}
}

// calls notes when ACS was asked, and says no while it is told to.
type calls struct {
	at []time.Time
	no func(n int) bool // of the nth, counted from 0
}

func (o *testGateway) answer(c *calls, tell func(*quota.Ledger, quota.Grant)) {
	o.acs = func(o *testGateway, l *quota.Ledger, g quota.Grant) bool {
		o.mu.Lock()
		n := len(c.at)
		c.at = append(c.at, time.Now())
		o.mu.Unlock()
		if c.no(n) {
			tell(l, g)
			return false
		}
		return true
	}
}

// between counts the calls in [from, to).
func (c *calls) between(from, to time.Time) (n int) {
	for _, at := range c.at {
		if !at.Before(from) && at.Before(to) {
			n++
		}
	}
	return n
}

func TestAfterA429OneProbeGoesAndThenARamp(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes a minute under the race detector")
	}
	synctest.Test(t, func(t *testing.T) {
		o := newTestGateway(t, 10, quota.Limits{PerMinute: 300, PerHour: 3000})
		defer o.end()
		go o.timer()
		begin := time.Now()
		seen := &calls{no: func(n int) bool { return n >= 100 && time.Since(begin) < 80*time.Second }}
		o.answer(seen, func(l *quota.Ledger, g quota.Grant) {
			if err := l.Backoff(t.Context(), 30*time.Second, g); err != nil {
				t.Error(err)
			}
		})
		go func() {
			for o.ctx.Err() == nil {
				o.flood("a", 5)
				time.Sleep(200 * time.Millisecond)
			}
		}()
		time.Sleep(10 * time.Minute)
		o.mu.Lock()
		defer o.mu.Unlock()
		slices.SortFunc(seen.at, time.Time.Compare)
		first := seen.at[100]
		if n := seen.between(first.Add(250*time.Millisecond), first.Add(30*time.Second)); n > 0 {
			t.Errorf("%d calls while ACS asked for none", n)
		}
		back := slices.IndexFunc(seen.at, func(at time.Time) bool { return at.Sub(begin) > 80*time.Second })
		canaries := seen.between(first.Add(30*time.Second), seen.at[back])
		again := seen.at[back]
		ramp := []int{seen.between(again, again.Add(10*time.Second)), seen.between(again, again.Add(30*time.Second)), seen.between(again, again.Add(59*time.Second))}
		t.Logf("%d canaries that failed, then %v calls within 10, 30 and 59 s", canaries, ramp)
		if canaries != 2 || ramp[0] > 4 || ramp[1] < 8 || ramp[1] > 19 || ramp[2] < 150 || ramp[2] > 300 {
			t.Error("want 2, and about 3, 17, 225 of the limit's 300")
		}
	})
}

func TestAnACSThatIsAwayIsAskedMoreAndMoreRarely(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newTestGateway(t, 5, quota.CustomDomainSend)
		defer o.end()
		go o.timer()
		begin := time.Now()
		seen := &calls{no: func(int) bool { return time.Since(begin) < 6*time.Hour }}
		o.answer(seen, func(l *quota.Ledger, g quota.Grant) {
			if err := l.Failing(t.Context(), g, fmt.Sprint(time.Now())); err != nil { // each a message of its own
				t.Error(err)
			}
		})
		o.flood("a", 300)
		time.Sleep(5 * time.Minute)
		asked := func() int {
			o.mu.Lock()
			defer o.mu.Unlock()
			return len(seen.at)
		}
		early := asked()
		time.Sleep(5*time.Hour + 55*time.Minute)
		late := asked() - early
		t.Logf("%d calls in 5 min, %d in the rest of 6 h", early, late)
		if early > 50 || late < 100 || late > 650 {
			t.Error("want the calls under way and a few canaries, then up to one a minute, as the limit allows")
		}
		time.Sleep(4 * time.Hour)
		if o.gone() < 300 || o.waiting() != 0 {
			t.Errorf("%d sent, %d wait after it came back", o.gone(), o.waiting())
		}
	})
}

// A message that fails, however often, holds up nobody: ACS counts as failing once several
// different ones failed and none was taken between them, whatever process knows of it.
func TestOneMessageThatFailsIsNoOutage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		calls  []string // what becomes of each: the name of a message that fails, or "" for one that is taken
		closed bool
	}{
		{"one fails", []string{"a"}, false},
		{"one fails again and again", []string{"a", "a", "a", "a", "a"}, false},
		{"two fail", []string{"a", "b", "a", "b"}, false},
		{"one is taken between them", []string{"a", "b", "", "c", "d"}, false},
		{"three fail in a row", []string{"a", "b", "c"}, true},
		{"three fail after one was taken", []string{"a", "", "a", "b", "c"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &instanceTable{tableRow: &tableRow{}}
				processes := []*quota.Ledger{newLedger(f, quota.CustomDomainSend), newLedger(f, quota.CustomDomainSend)}
				for i, message := range c.calls {
					l := processes[i%len(processes)]
					g, err := l.Reserve(t.Context(), costing(1))
					if err != nil {
						t.Fatalf("call %d: %v", i, err)
					}
					if message == "" {
						err = l.Well(t.Context(), g)
					} else {
						err = l.Failing(t.Context(), g, message)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				for i, l := range processes {
					g, err := l.Reserve(t.Context(), costing(1))
					if closed := problem.Is(err, problem.OverQuota); closed != c.closed || !closed && !g.Healthy() {
						t.Errorf("process %d: %+v, %v; want closed %v", i, g, err, c.closed)
					}
				}
			})
		})
	}
}

func TestTheProbeOfAProcessThatDiedIsFollowedByAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(&instanceTable{tableRow: &tableRow{}}, quota.CustomDomainSend)
		for _, message := range []string{"one", "two", "three"} {
			g, _ := l.Reserve(t.Context(), costing(1))
			if !g.Healthy() {
				t.Errorf("the grant of %s is not healthy", message)
			}
			if err := l.Failing(t.Context(), g, message); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(3 * time.Second)
		g, err := l.Reserve(t.Context(), costing(1))
		if err != nil || g.Healthy() {
			t.Fatalf("the probe: healthy %v, %v", g.Healthy(), err)
		}
		time.Sleep(74 * time.Second)
		if _, err := l.Reserve(t.Context(), costing(1)); !problem.Is(err, problem.OverQuota) {
			t.Errorf("while the probe may return: %v", err)
		}
		time.Sleep(2 * time.Second)
		other, err := l.Reserve(t.Context(), costing(1))
		if err != nil {
			t.Fatalf("after the probe's life: %v", err)
		}
		if err := l.Well(t.Context(), g); err != nil { // the first one after all: too late to tell
			t.Fatal(err)
		}
		if _, err := l.Reserve(t.Context(), costing(1)); !problem.Is(err, problem.OverQuota) {
			t.Errorf("after the first probe's late return: %v", err)
		}
		if err := l.Well(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		if g, err := l.Reserve(t.Context(), costing(1)); err != nil || !g.Healthy() {
			t.Errorf("when all is well again: healthy %v, %v", g.Healthy(), err)
		}
	})
}

// Somebody else uses half of the subscription: the ledger finds out what it can
// have, and has it all back an hour or two after that ended.
func TestForeignUseLowersTheShareAndItComesBack(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes a minute under the race detector")
	}
	synctest.Test(t, func(t *testing.T) {
		limits := quota.Limits{PerMinute: 1000, PerHour: 1000}
		o := newTestGateway(t, 3, limits)
		defer o.end()
		go o.timer()
		const foreign = 500
		begin := time.Now()
		var taken []time.Time
		seen := &calls{}
		seen.no = func(int) bool {
			o.mu.Lock()
			defer o.mu.Unlock()
			now, n := time.Now(), 0
			for _, at := range taken {
				if now.Sub(at) < time.Hour {
					n++
				}
			}
			if now.Sub(begin) < 6*time.Hour && n >= limits.PerHour-foreign || n >= limits.PerHour {
				return true
			}
			taken = append(taken, now)
			return false
		}
		refused := []time.Time{}
		o.answer(seen, func(l *quota.Ledger, g quota.Grant) {
			o.mu.Lock()
			refused = append(refused, time.Now())
			o.mu.Unlock()
			if err := l.Backoff(t.Context(), 0, g); err != nil {
				t.Error(err)
			}
		})
		o.flood("a", 9000)
		time.Sleep(12 * time.Hour)
		o.mu.Lock()
		defer o.mu.Unlock()
		within := func(times []time.Time, from, to time.Duration) (n int) {
			for _, at := range times {
				if d := at.Sub(begin); d >= from && d < to {
					n++
				}
			}
			return n
		}
		busy, after := within(taken, time.Hour, 6*time.Hour), within(taken, 8*time.Hour, 12*time.Hour)
		t.Logf("%d of 2500 sent beside the other, %d of 4000 after; %d refusals, of them %d after the first hour",
			busy, after, len(refused), within(refused, time.Hour, 6*time.Hour))
		if busy < 2000 || after < 3800 || within(refused, time.Hour, 6*time.Hour) > 300 {
			t.Error("want most of what there is, and few refusals")
		}
	})
}

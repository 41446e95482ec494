package quota_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// world is a run of many instances on one row.
type world struct {
	limits    quota.Limits
	instances int
	callers   int // of each instance
	length    time.Duration
	costs     int           // a call costs 1 to this
	idle      time.Duration // a caller rests up to this after a call: 0 is full demand
	latest    bool          // a token is used at its last moment, not at any
	faults    int           // of 100 calls of storage
	way       time.Duration // to storage or back, at most
	error     time.Duration // of storage's Date, either way
	steady    bool          // error is the same in all answers to one instance
	seed      uint64
	after     quota.Limits // with which every instance is started anew, some time; zero: none is
}

func draw(t *rapid.T) world {
	w := world{
		limits: rapid.SampledFrom([]quota.Limits{
			quota.CustomDomainSend, quota.ManagedDomainSend, quota.ManagedDomainStatus, {PerMinute: 1, PerHour: 3}, {PerMinute: 40, PerHour: 40},
		}).Draw(t, "limits"),
		instances: rapid.IntRange(1, 10).Draw(t, "instances"),
		callers:   rapid.IntRange(1, 8).Draw(t, "callers"),
		length:    time.Duration(rapid.IntRange(5, 100).Draw(t, "minutes")) * time.Minute,
		idle:      time.Duration(rapid.SampledFrom([]int{0, 1, 30, 300}).Draw(t, "idle seconds")) * time.Second,
		latest:    rapid.Bool().Draw(t, "latest"),
		faults:    rapid.SampledFrom([]int{0, 0, 2, 30}).Draw(t, "faults"),
		way:       rapid.SampledFrom([]time.Duration{20 * time.Millisecond, 20 * time.Millisecond, 700 * time.Millisecond}).Draw(t, "way"),
		error:     time.Duration(rapid.IntRange(0, int(quota.ClockError.Milliseconds())).Draw(t, "error ms")) * time.Millisecond,
		steady:    rapid.Bool().Draw(t, "steady"),
		seed:      rapid.Uint64().Draw(t, "seed"),
	}
	w.costs = rapid.IntRange(1, min(5, w.limits.PerMinute, w.limits.PerHour)).Draw(t, "costs")
	return w
}

// outcome is what a run left behind.
type outcome struct {
	mu        sync.Mutex
	arrivals  []time.Time // at ACS, one for every token
	granted   int         // tokens
	reserved  int
	entity    store.Entity // the row at the end
	refused   int
	unserved  int // calls of Reserve that ended as unavailable
	wrongKind error
}

// random is safe for concurrent use.
type random struct {
	mu  sync.Mutex
	rnd *rand.Rand
}

func newRandom(seed, stream uint64) *random { return &random{rnd: rand.New(rand.NewPCG(seed, stream))} }

func (r *random) n(most int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rnd.IntN(most)
}

// upTo is between 0 and d, both included.
func (r *random) upTo(d time.Duration) time.Duration { return time.Duration(r.n(int(d) + 1)) }

// run is called in a synctest bubble.
func (w world) run(ctx context.Context) *outcome {
	shared, newID, out := &tableRow{}, ids(), &outcome{}
	var wg sync.WaitGroup
	for i := range w.instances {
		rnd := newRandom(w.seed, uint64(i))
		steady := rnd.upTo(2*w.error) - w.error
		f := &instanceTable{tableRow: shared, way: func() time.Duration { return rnd.upTo(w.way) }}
		f.skew = func() time.Duration {
			if w.steady {
				return steady
			}
			return rnd.upTo(2*w.error) - w.error
		}
		f.fate = func(write bool) fate {
			switch {
			case rnd.n(100) >= w.faults:
				return served
			case write:
				return fate(1 + rnd.n(int(timeless)))
			}
			return []fate{dropped, broken, timeless}[rnd.n(3)]
		}
		off := rnd.upTo(48*time.Hour) - 24*time.Hour
		l := &atomic.Pointer[quota.Ledger]{}
		l.Store(quota.New(f, "send", w.limits, clock(off), newID))
		if w.after != (quota.Limits{}) {
			again := w.length/4 + rnd.upTo(w.length/2)
			time.AfterFunc(again, func() { l.Store(quota.New(f, "send", w.after, clock(off), newID)) })
		}
		for c := range w.callers {
			wg.Go(func() { w.call(ctx, l, clock(off), newRandom(w.seed, uint64(1000+100*i+c)), out) })
		}
	}
	wg.Wait()
	time.Sleep(time.Second) // for writes that are still on their way
	shared.mu.Lock()
	defer shared.mu.Unlock()
	out.reserved, out.entity = shared.reserved, shared.entity
	return out
}

// call sends as long as w goes on, and waits exactly as it is told.
func (w world) call(ctx context.Context, l *atomic.Pointer[quota.Ledger], now func() time.Time, rnd *random, out *outcome) {
	for begin := time.Now(); time.Since(begin) < w.length; {
		time.Sleep(rnd.upTo(w.idle))
		cost := 1 + rnd.n(w.costs)
		g, err := l.Load().Reserve(ctx, costing(cost))
		if err != nil {
			out.note(err)
			time.Sleep(max(problem.Of(err).RetryAfter, 100*time.Millisecond))
			continue
		}
		wait := max(0, g.UseBy.Sub(now())-1)
		if !w.latest {
			wait = rnd.upTo(wait)
		}
		time.Sleep(wait)
		if !g.Live(now()) {
			continue
		}
		// What the clocks leave of the budget, the request may need.
		way := rnd.upTo(2 * (quota.ClockError - w.error))
		out.mu.Lock()
		out.granted += cost
		out.arrivals = append(out.arrivals, slices.Repeat([]time.Time{time.Now().Add(way)}, cost)...)
		out.mu.Unlock()
	}
}

func (o *outcome) note(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch problem.Of(err).Kind {
	case problem.OverQuota:
		o.refused++
	case problem.Unavailable:
		o.unserved++
	default:
		o.wrongKind = err
	}
}

// fault says what is wrong with the arrivals: in no interval [s, s+window) may
// there be more than limit.
func (o *outcome) fault(limits quota.Limits) error {
	slices.SortFunc(o.arrivals, time.Time.Compare)
	for _, w := range []struct {
		limit int
		width time.Duration
	}{{limits.PerMinute, time.Minute}, {limits.PerHour, time.Hour}} {
		for i := w.limit; i < len(o.arrivals); i++ {
			if d := o.arrivals[i].Sub(o.arrivals[i-w.limit]); d < w.width {
				return fmt.Errorf("%d calls arrived within %v, %d may in %v", w.limit+1, d, w.limit, w.width)
			}
		}
	}
	return nil
}

func TestNoWindowOfAnyAlignmentHoldsMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := draw(rt)
		var out *outcome
		synctest.Test(t, func(t *testing.T) { out = w.run(t.Context()) })
		if err := out.fault(w.limits); err != nil {
			rt.Error(err)
		}
		if out.wrongKind != nil {
			rt.Errorf("Reserve: %v", out.wrongKind)
		}
		if out.granted > out.reserved || w.faults == 0 && w.way < time.Second/10 && (out.granted != out.reserved || out.unserved > 0) {
			rt.Errorf("%d tokens granted, %d in the log, %d calls unavailable", out.granted, out.reserved, out.unserved)
		}
	})
}

func TestADayOfDemandUsesTheHourlyLimit(t *testing.T) {
	t.Parallel()
	const hours = 24
	w := world{
		limits: quota.CustomDomainSend, instances: 4, callers: 5, length: hours * time.Hour, costs: 1,
		way: 20 * time.Millisecond, error: quota.ClockError, seed: *simFirst,
	}
	var out *outcome
	synctest.Test(t, func(t *testing.T) { out = w.run(t.Context()) })
	if err := out.fault(w.limits); err != nil {
		t.Error(err)
	}
	used := float64(out.granted) / float64(hours*w.limits.PerHour)
	if used < 0.95 {
		t.Errorf("%.1f %% of the limit used, want 95 %%", 100*used)
	}
	if n := added(nil, reservations(out.entity)); n > w.limits.PerHour {
		t.Errorf("%d reservations in the log", n)
	}
	if n := len(strings.Fields(out.entity.Values["attempts"].(string))); n != 32 {
		t.Errorf("%d attempt ids, want 32", n)
	}
	t.Logf("%.2f %% used; %d refusals, %d unserved", 100*used, out.refused, out.unserved)
}

func TestRetryAfterIsExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		limits := rapid.SampledFrom([]quota.Limits{quota.CustomDomainSend, quota.ManagedDomainSend, {PerMinute: 3, PerHour: 4}}).Draw(rt, "limits")
		most := min(limits.PerMinute, limits.PerHour)
		gaps := rapid.SliceOfN(rapid.IntRange(0, rapid.SampledFrom([]int{2_000_000, 40_000_000}).Draw(rt, "longest gap")), 5, 60).Draw(rt, "gaps in µs")
		costs := rapid.IntRange(1, most)
		backoff := rapid.SampledFrom([]time.Duration{0, 0, 1500 * time.Millisecond, 5 * time.Minute}).Draw(rt, "backoff")
		seed := rapid.Uint64().Draw(rt, "seed")
		cost := costs.Draw(rt, "cost")
		var faults []string
		synctest.Test(t, func(t *testing.T) {
			rnd, shared, newID := newRandom(seed, 0), &tableRow{}, ids()
			var ledgers []*quota.Ledger
			for range 3 {
				off := rnd.upTo(48*time.Hour) - 24*time.Hour
				ledgers = append(ledgers, quota.New(&instanceTable{tableRow: shared}, "send", limits, clock(off), newID))
			}
			one := func() *quota.Ledger { return ledgers[rnd.n(len(ledgers))] }
			for i, gap := range gaps {
				time.Sleep(time.Duration(gap) * time.Microsecond)
				g, err := one().Reserve(t.Context(), costing(1+rnd.n(most)))
				if err == nil {
					err = one().Well(t.Context(), g)
				}
				if backoff > 0 && i == len(gaps)/2 {
					err = one().Backoff(t.Context(), backoff, quota.Grant{})
				}
				if err != nil && !problem.Is(err, problem.OverQuota) {
					faults = append(faults, err.Error())
				}
			}
			_, err := one().Reserve(t.Context(), costing(cost))
			if err == nil {
				return
			}
			wait := problem.Of(err).RetryAfter
			if wait%time.Second != 0 || wait <= 0 {
				faults = append(faults, fmt.Sprintf("RetryAfter is %v", wait))
			}
			time.Sleep(wait - time.Second)
			if _, err := one().Reserve(t.Context(), costing(cost)); !problem.Is(err, problem.OverQuota) {
				faults = append(faults, fmt.Sprintf("a second before RetryAfter %v: %v", wait, err))
			}
			time.Sleep(time.Second)
			if _, err := one().Reserve(t.Context(), costing(cost)); err != nil {
				faults = append(faults, fmt.Sprintf("after RetryAfter %v: %v", wait, err))
			}
		})
		if len(faults) > 0 {
			rt.Errorf("%q", faults)
		}
	})
}

// A reading that was asked for just after the second tells more than a fresh one
// just before the next; a reservation must not leave earlier for it.
func TestRetryAfterIsExactForASharperClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared, limits := &tableRow{}, quota.Limits{PerMinute: 6, PerHour: 100}
		one, two := newLedger(&instanceTable{tableRow: shared}, limits), newLedger(&instanceTable{tableRow: shared}, limits)
		refused := func(l *quota.Ledger) time.Duration {
			_, err := l.Reserve(t.Context(), costing(5))
			return problem.Of(err).RetryAfter
		}
		reserve(t, one, 1)
		time.Sleep(300 * time.Millisecond)
		reserve(t, one, 4) // logged between two seconds
		time.Sleep(44700 * time.Millisecond)
		reserve(t, two, 1) // reads the clock at 45.0 s
		time.Sleep(1900 * time.Millisecond)
		wait := refused(one)
		if wait != 24*time.Second {
			t.Errorf("RetryAfter %v at 46.9 s, want 24s", wait)
		}
		time.Sleep(wait - time.Second)
		if got := refused(two); got != time.Second {
			t.Errorf("RetryAfter %v at 69.9 s, want 1s", got)
		}
		time.Sleep(time.Second)
		if got := refused(two); got != 0 {
			t.Errorf("RetryAfter %v at 70.9 s, want room", got)
		}
	})
}

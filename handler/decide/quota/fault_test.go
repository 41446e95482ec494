package quota_test

import (
	"encoding/json"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/problem"
)

// script deals the fates in turn, served after the last.
func script(reads, writes []fate) func(bool) fate {
	return func(write bool) fate {
		from := &reads
		if write {
			from = &writes
		}
		if len(*from) == 0 {
			return served
		}
		next := (*from)[0]
		*from = (*from)[1:]
		return next
	}
}

func repeat(f fate, n int) (all []fate) {
	for range n {
		all = append(all, f)
	}
	return all
}

func TestFaultsOfStorage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		reads, writes []fate
		granted       bool
		reserved      int // tokens in the log at the end
	}{
		"none":                                   {nil, nil, true, 1},
		"answer of the write lost":               {nil, []fate{lost}, true, 1},
		"answer lost, repeated below":            {nil, []fate{repeated}, true, 1},
		"answer without a time":                  {nil, []fate{timeless}, true, 1},
		"write not done":                         {nil, []fate{dropped}, true, 1},
		"write not done, thrice":                 {nil, repeat(dropped, 3), true, 1},
		"write done after it was looked for":     {nil, []fate{late, late}, true, 1},
		"write done while the next are tried":    {nil, append([]fate{late}, repeat(dropped, 8)...), true, 1},
		"overtaken":                              {nil, []fate{overtaken}, true, 1},
		"overtaken, then answer lost":            {nil, []fate{overtaken, overtaken, lost}, true, 1},
		"overtaken to the end of patience":       {nil, repeat(overtaken, 100), false, 0},
		"answer lost and the row not readable":   {[]fate{served, dropped}, []fate{lost}, false, 1},
		"write not done and row not readable":    {[]fate{served, dropped}, []fate{dropped}, false, 0},
		"write refused for an unknown reason":    {nil, repeat(broken, 100), false, 0},
		"nothing readable":                       {[]fate{dropped}, nil, false, 0},
		"reads refused for an unknown reason":    {[]fate{broken}, nil, false, 0},
		"a read without a time":                  {[]fate{timeless}, nil, false, 0},
		"nothing works":                          {repeat(dropped, 100), repeat(dropped, 100), false, 0},
		"last write lost at the end of patience": {nil, append(repeat(overtaken, 11), lost), true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &instanceTable{tableRow: &tableRow{}, fate: script(test.reads, test.writes)}
				g, err := newLedger(f, quota.CustomDomainSend).Reserve(t.Context(), costing(1))
				if g.Live(time.Now()) != test.granted {
					t.Errorf("Reserve = %v, %v; want granted: %v", g, err, test.granted)
				}
				if !test.granted && !problem.Is(err, problem.Unavailable) {
					t.Errorf("error %v, want unavailable", err)
				}
				time.Sleep(time.Second) // for what comes late
				if f.reserved != test.reserved {
					t.Errorf("%d tokens logged, want %d", f.reserved, test.reserved)
				}
			})
		})
	}
}

func TestALostWriteOnACachedRow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &instanceTable{tableRow: &tableRow{}}
		l := newLedger(f, quota.CustomDomainSend)
		reserve(t, l, 1)
		f.fate = script(nil, []fate{lost, repeated, late, dropped})
		if granted := reserve(t, l, 4); granted != 4 || f.reserved != 5 {
			t.Errorf("%d granted, %d logged in all; want 4, 5", granted, f.reserved)
		}
	})
}

func TestALostWriteIsFoundAmongThoseOfOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared, limits := &tableRow{}, quota.Limits{PerMinute: 100, PerHour: 100}
		newID := ids()
		others := quota.New(&instanceTable{tableRow: shared}, "send", limits, time.Now, newID)
		reads := 0
		f := &instanceTable{tableRow: shared, fate: func(write bool) fate {
			if write {
				return lost
			}
			if reads++; reads == 2 {
				reserve(t, others, 31)
			}
			return served
		}}
		l := quota.New(f, "send", limits, time.Now, newID)
		if granted := reserve(t, l, 1); granted != 1 || shared.reserved != 32 {
			t.Errorf("%d granted, %d logged in all; want 1, 32", granted, shared.reserved)
		}
	})
}

// All instances begin at once, and every call takes as long as any other's: only
// the pauses part them.
func TestManyInstancesAtOnceAreAllServed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const instances = 20
		shared, limits, newID := &tableRow{}, quota.Limits{PerMinute: 100, PerHour: 100}, ids()
		var wg sync.WaitGroup
		for range instances {
			l := quota.New(&instanceTable{tableRow: shared, way: func() time.Duration { return 5 * time.Millisecond }}, "send", limits, time.Now, newID)
			wg.Go(func() {
				if _, err := l.Reserve(t.Context(), costing(1)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if shared.reserved != instances {
			t.Errorf("%d tokens logged, want %d", shared.reserved, instances)
		}
		t.Logf("%d writes", shared.writes)
	})
}

func TestSlowStorageBurnsTokens(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		way      time.Duration
		granted  bool
		reserved int
	}{
		"nearly too slow":           {990 * time.Millisecond, true, 1},
		"too slow to tell the time": {1001 * time.Millisecond, false, 0},
		"slower than its deadline":  {time.Minute, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &instanceTable{tableRow: &tableRow{}, way: func() time.Duration { return test.way }}
				// A second each way: read from 0 to 2 s, written from 2 s to 4 s, and
				// a token lives 4 s from when its clock reading was asked for.
				g, err := newLedger(f, quota.CustomDomainSend).Reserve(t.Context(), costing(1))
				if (err == nil) != test.granted || g.Live(time.Now()) != test.granted || f.reserved != test.reserved {
					t.Errorf("Reserve = %v, %v with %d logged", g, err, f.reserved)
				}
			})
		})
	}
	t.Run("a read that is slow twice", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			legs := 0
			f := &instanceTable{tableRow: &tableRow{}, way: func() time.Duration {
				if legs++; legs <= 4 {
					return 1500 * time.Millisecond
				}
				return 10 * time.Millisecond
			}}
			if granted := reserve(t, newLedger(f, quota.CustomDomainSend), 1); granted != 1 || f.reserved != 1 {
				t.Errorf("%d granted, %d logged, want 1", granted, f.reserved)
			}
		})
	})
	t.Run("a write that is answered too late", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f := &instanceTable{tableRow: &tableRow{}}
			l := newLedger(f, quota.CustomDomainSend)
			reserve(t, l, 1)
			f.way = func() time.Duration { return 2 * time.Second }
			if g, err := l.Reserve(t.Context(), costing(1)); !problem.Is(err, problem.Unavailable) || g.Live(time.Now()) {
				t.Errorf("Reserve = %v, %v", g, err)
			}
			if f.reserved != 2 {
				t.Errorf("%d tokens logged, want 2: one granted, one burnt", f.reserved)
			}
		})
	})
}

func TestBackoffHoldsForEveryInstance(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		wait   time.Duration
		closed time.Duration // one second more, because Date may be cut by one
	}{
		"as ACS asks":     {90 * time.Second, 91 * time.Second},
		"ACS is silent":   {0, 61 * time.Second},
		"in the past":     {-time.Hour, 2 * time.Second},
		"a fraction":      {1500 * time.Millisecond, 3 * time.Second},
		"for days":        {48 * time.Hour, 2*time.Hour + time.Second},
		"less than a tic": {time.Nanosecond, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				shared := &tableRow{}
				one, two := newLedger(&instanceTable{tableRow: shared}, quota.CustomDomainSend), newLedger(&instanceTable{tableRow: shared}, quota.CustomDomainSend)
				reserve(t, two, 3) // two has the row, and must notice that it has changed
				if err := one.Backoff(t.Context(), test.wait, quota.Grant{}); err != nil {
					t.Fatal(err)
				}
				for _, l := range []*quota.Ledger{one, two} {
					_, err := l.Reserve(t.Context(), costing(1))
					if got := problem.Of(err).RetryAfter; !problem.Is(err, problem.OverQuota) || got != test.closed {
						t.Errorf("Reserve: %v, RetryAfter %v, want %v", err, got, test.closed)
					}
					if v := l.View(); v.RemainingMinute != 0 || v.RemainingHour != 0 {
						t.Errorf("View = %+v", v)
					}
				}
				_, err := two.Reserve(t.Context(), costing(1))
				time.Sleep(problem.Of(err).RetryAfter)
				if granted := reserve(t, two, 1); granted != 1 || shared.reserved != 4 {
					t.Errorf("%d granted after the backoff, %d logged", granted, shared.reserved)
				}
			})
		})
	}
}

func TestBackoffNeverShortens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &instanceTable{tableRow: &tableRow{}}
		l := newLedger(f, quota.CustomDomainSend)
		for _, wait := range []time.Duration{time.Hour, time.Minute} {
			if err := l.Backoff(t.Context(), wait, quota.Grant{}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.Reserve(t.Context(), costing(1)); problem.Of(err).RetryAfter < time.Hour {
			t.Errorf("Reserve: %v", err)
		}
		if f.writes != 1 {
			t.Errorf("%d writes, want 1", f.writes)
		}
	})
}

func TestBackoffUnderFaults(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		reads, writes []fate
		stored        bool
		least, most   int // writes that come to storage
	}{
		"answer lost":             {nil, []fate{lost}, true, 1, 1},
		"repeated below":          {nil, []fate{repeated}, true, 1, 1},
		"overtaken":               {nil, []fate{overtaken, dropped}, true, 2, 2},
		"overtaken for 20 s":      {nil, repeat(overtaken, 1000), false, 13, 50},
		"failing for ever":        {nil, repeat(dropped, 1000), false, 0, 0},
		"not readable":            {[]fate{dropped}, nil, false, 0, 0},
		"not readable after that": {[]fate{served, dropped}, []fate{dropped}, false, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &instanceTable{tableRow: &tableRow{}, fate: script(test.reads, test.writes)}
				err := newLedger(f, quota.CustomDomainSend).Backoff(t.Context(), time.Minute, quota.Grant{})
				if (err == nil) != test.stored || (err != nil && !problem.Is(err, problem.Unavailable)) {
					t.Errorf("Backoff: %v", err)
				}
				var health struct{ BackoffUntil int64 }
				if text, ok := f.entity.Values["health"].([]byte); ok {
					if err := json.Unmarshal(text, &health); err != nil {
						t.Fatal(err)
					}
				}
				until := health.BackoffUntil
				if (until > time.Now().Add(time.Minute).UnixMilli()) != test.stored {
					t.Errorf("backoffUntil %d", until)
				}
				if f.writes < test.least || f.writes > test.most {
					t.Errorf("%d writes came to storage, want %d to %d", f.writes, test.least, test.most)
				}
			})
		})
	}
}

// While the rows of a large limit cannot be found, nobody waits longer than one read of
// storage takes, however many there are; a second later they are looked for again.
func TestALayoutThatIsNotFoundIsLookedForOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := true
		f := &instanceTable{tableRow: &tableRow{}, way: func() time.Duration { return time.Second / 2 }, fate: func(bool) fate {
			if down {
				return dropped
			}
			return served
		}}
		l := newLedger(f, quota.Limits{PerMinute: 40_000, PerHour: 2_000_000})
		begin := time.Now()
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if _, err := l.Reserve(t.Context(), costing(1)); !problem.Is(err, problem.Unavailable) {
					t.Errorf("error %v, want unavailable", err)
				}
			})
		}
		all.Wait()
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("the last of them waited %v", took)
		}
		down = false
		time.Sleep(time.Second)
		if g, err := l.Reserve(t.Context(), costing(1)); !g.Live(time.Now()) {
			t.Errorf("then: %v, %v", g, err)
		}
	})
}

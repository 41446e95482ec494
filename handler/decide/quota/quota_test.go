package quota_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// clock is a local clock that is off.
func clock(off time.Duration) func() time.Time {
	return func() time.Time { return time.Now().Add(off) }
}

// ids counts, which is as good as random where all ask the same counter.
func ids() func() string {
	var n atomic.Int64
	return func() string { return fmt.Sprintf("attempt-%d", n.Add(1)) }
}

func newLedger(f *front, limits quota.Limits) *quota.Ledger {
	return quota.New(f, "send", limits, time.Now, ids())
}

// book books n tokens, one by one, and counts what was granted.
func book(t *testing.T, l *quota.Ledger, n int) (granted int) {
	t.Helper()
	for range n {
		if _, err := l.Reserve(t.Context(), costing(1)); err == nil {
			granted++
		} else if !problem.Is(err, problem.OverQuota) {
			t.Fatalf("Book: %v", err)
		}
	}
	return granted
}

func TestAThousandAtOnceGetExactlyTheLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &front{row: &row{}}
		l := newLedger(f, quota.CustomDomainSend)
		begin := time.Now()
		end := begin.Add(3 * time.Hour)
		var mu sync.Mutex
		var granted []time.Duration
		for range 1000 {
			go func() {
				for time.Now().Before(end) {
					g, err := l.Reserve(t.Context(), costing(1))
					if err != nil {
						time.Sleep(problem.Of(err).RetryAfter)
						continue
					}
					if !g.Live(time.Now()) {
						t.Error("a grant is dead on arrival")
					}
					mu.Lock()
					granted = append(granted, time.Since(begin))
					mu.Unlock()
					return
				}
			}()
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		upTo := func(d time.Duration) (n int) {
			for _, g := range granted {
				if g < d {
					n++
				}
			}
			return n
		}
		for _, want := range []struct {
			until  time.Duration
			tokens int
		}{
			{time.Second, 30},
			{69 * time.Second, 30},
			{70 * time.Second, 60},
			{138 * time.Second, 60},
			{139 * time.Second, 90},
			{208 * time.Second, 100},
			{time.Hour, 100},
			{3610 * time.Second, 130},
			{2 * time.Hour, 200},
			{3 * time.Hour, 300},
		} {
			if got := upTo(want.until); got != want.tokens {
				t.Errorf("%d tokens granted before %v, want %d", got, want.until, want.tokens)
			}
		}
		if f.booked != len(granted) {
			t.Errorf("%d tokens logged, %d granted", f.booked, len(granted))
		}
		time.Sleep(time.Hour) // the last sleepers leave
	})
}

func TestWhoArrivesDuringAWriteIsBookedByTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &front{row: &row{}, way: func() time.Duration { return 200 * time.Millisecond }}
		l := newLedger(f, quota.CustomDomainSend)
		var wg sync.WaitGroup
		for i := range 21 {
			wg.Go(func() {
				if _, err := l.Reserve(t.Context(), costing(1)); err != nil {
					t.Errorf("caller %d: %v", i, err)
				}
			})
			if i == 0 {
				time.Sleep(500 * time.Millisecond) // the read is over, the write under way
			}
		}
		wg.Wait()
		if f.writes != 2 || f.gets != 1 || f.booked != 21 {
			t.Errorf("%d writes, %d reads, %d tokens; want 2, 1, 21", f.writes, f.gets, f.booked)
		}
	})
}

func TestInABatchTheFirstGetWhatThereIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &front{row: &row{}, way: func() time.Duration { return 200 * time.Millisecond }}
		l := newLedger(f, quota.ManagedDomainSend)
		granted := make([]bool, 8)
		var wg sync.WaitGroup
		for i := range granted {
			wg.Go(func() {
				_, err := l.Reserve(t.Context(), costing(1))
				granted[i] = err == nil
				if err != nil && (!problem.Is(err, problem.OverQuota) || problem.Of(err).RetryAfter > 70*time.Second) {
					t.Errorf("caller %d: %v", i, err)
				}
			})
			synctest.Wait() // so that i arrives before i+1
		}
		wg.Wait()
		if want := []bool{true, true, true, true, true, false, false, false}; !slices.Equal(granted, want) {
			t.Errorf("granted %v, want %v", granted, want)
		}
		if f.gets != 2 || f.writes != 2 {
			t.Errorf("%d reads and %d writes, want 2 and 2: a refusal takes a fresh read", f.gets, f.writes)
		}
	})
}

func TestRoomThatCameWhileOthersWereBooked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &front{row: &row{}}
		l := newLedger(f, quota.ManagedDomainSend)
		book(t, l, 1)
		time.Sleep(66 * time.Second)
		f.way = func() time.Duration { return 500 * time.Millisecond }
		errs := make([]error, 3) // the 1st is booked at 67 s, the others at 69 s by a read at 68.5 s
		var wg sync.WaitGroup
		for i, cost := range []int{1, 3, 1} {
			wg.Go(func() { _, errs[i] = l.Reserve(t.Context(), costing(cost)) })
			synctest.Wait()
		}
		wg.Wait()
		if errs[0] != nil || errs[1] != nil || problem.Of(errs[2]).RetryAfter != time.Second {
			t.Errorf("%v; want the last to come back in a second", errs)
		}
	})
}

func TestWhoLeavesDoesNotBreakTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &front{row: &row{}, way: func() time.Duration { return 200 * time.Millisecond }}
		l := newLedger(f, quota.CustomDomainSend)
		short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		before, cancelBefore := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		call := func(ctx context.Context, want error) {
			wg.Go(func() {
				g, err := l.Reserve(ctx, costing(1))
				if !errors.Is(err, want) || (want != nil && !problem.Is(err, problem.Unavailable)) || g.Live(time.Now()) == (want != nil) {
					t.Errorf("Book = %v, %v; want %v", g, err, want)
				}
			})
			synctest.Wait()
		}
		call(short, context.DeadlineExceeded) // leads, and leaves while its write is under way
		call(t.Context(), nil)
		call(before, context.Canceled) // leaves before its booking begins
		call(t.Context(), nil)
		cancelBefore()
		wg.Wait()
		if f.booked != 3 {
			t.Errorf("%d tokens logged, want 3: two granted, one burnt", f.booked)
		}
	})
}

func TestAFreshViewSavesTheRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &front{row: &row{}}
		l := newLedger(f, quota.CustomDomainSend)
		book(t, l, 10)
		if f.gets != 1 || f.writes != 10 {
			t.Errorf("%d reads and %d writes for 10 tokens, want 1 and 10", f.gets, f.writes)
		}
		time.Sleep(31 * time.Second)
		book(t, l, 1)
		if f.gets != 2 {
			t.Errorf("%d reads, want 2: the reading of the clock is too old", f.gets)
		}
		f.touch()
		book(t, l, 1)
		if f.gets != 3 || f.booked != 12 {
			t.Errorf("%d reads, %d tokens; want 3, 12: the ETag has changed", f.gets, f.booked)
		}
	})
}

func TestCostsThatNeverFit(t *testing.T) {
	t.Parallel()
	f := &front{row: &row{}}
	l := newLedger(f, quota.Limits{PerMinute: 30, PerHour: 20})
	for cost, want := range map[int]problem.Kind{-1: problem.Internal, 0: problem.Internal, 21: problem.InvalidMessage, 50: problem.InvalidMessage} {
		if _, err := l.Reserve(t.Context(), costing(cost)); !problem.Is(err, want) {
			t.Errorf("cost %d: %v, want %v", cost, err, want)
		}
	}
	if _, err := newLedger(f, quota.Limits{}).Reserve(t.Context(), costing(1)); !problem.Is(err, problem.InvalidMessage) {
		t.Errorf("no limits: %v", err)
	}
	if f.gets+f.writes != 0 {
		t.Error("storage was asked")
	}
	if _, err := l.Reserve(t.Context(), costing(20)); err != nil || f.booked != 20 {
		t.Errorf("cost 20: %v, %d tokens logged", err, f.booked)
	}
}

func TestALowerLimitHoldsForWhatIsBooked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &front{row: &row{}}
		book(t, newLedger(f, quota.CustomDomainSend), 30)
		l := newLedger(f, quota.ManagedDomainSend)
		_, err := l.Reserve(t.Context(), costing(1))
		if got := problem.Of(err).RetryAfter; got != 3609*time.Second {
			t.Errorf("RetryAfter %v, want 1h0m9s", got)
		}
		if v := l.View(); v.RemainingMinute != 0 || v.RemainingHour != 0 || v.ResetHour != 3609 {
			t.Errorf("View = %+v", v)
		}
	})
}

func TestARowThatCannotBeReadIsRefused(t *testing.T) {
	t.Parallel()
	second := []byte{0, 0, 0, 0xdc, 0x6a, 0, 0, 0} // within 1999, and synctest begins in 2000
	values := func(name string, v any) map[string]any {
		all := map[string]any{"format": int64(1), "log": second, "attempts": "a b", "backoffUntil": int64(0)}
		all[name] = v
		return all
	}
	for name, row1 := range map[string]struct {
		values map[string]any
		want   string
	}{
		"no properties":       {map[string]any{}, "missing"},
		"log is a string":     {values("log", "x"), "another type"},
		"no attempts":         {values("attempts", nil), "missing"},
		"of a later version":  {values("format", int64(4)), "format 4"},
		"log cut off":         {values("log", second[:7]), "7 bytes"},
		"log too long":        {values("log", make([]byte, 8*quota.LogEntries+8)), "65544 bytes"},
		"times run backwards": {values("log", append(slices.Clone(second), 0, 0, 0, 0xdc, 0x69, 0, 0, 0)), "follow each other"},
		"a time before 1970":  {values("log", []byte{0xff, 0, 0, 0, 0, 0, 0, 0}), "follow each other"},
		"negative backoff":    {values("backoffUntil", int64(-1)), "backoffUntil"},
		"hours ahead":         {values("log", []byte{0, 0, 0, 0xdc, 0x6d, 0, 0, 0}), "ahead"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &front{row: &row{entity: store.Entity{ETag: "1", Values: row1.values}, version: 1}}
				l := newLedger(f, quota.CustomDomainSend)
				_, err := l.Reserve(t.Context(), costing(1))
				if !problem.Is(err, problem.Unavailable) || !strings.Contains(err.Error(), row1.want) {
					t.Errorf("Book: %v, want %q", err, row1.want)
				}
				if err := l.Backoff(t.Context(), 0, quota.Grant{}); !problem.Is(err, problem.Unavailable) {
					t.Errorf("Backoff: %v", err)
				}
				if f.writes != 0 || l.View().Known {
					t.Error("the row was taken as it is")
				}
			})
		})
	}
}

// costing is a call of nobody.
func costing(n int) quota.Call { return quota.Call{Cost: n} }

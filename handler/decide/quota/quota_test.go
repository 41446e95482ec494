package quota_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
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
	"github.com/posthorn/posthorn/handler/decide/quota/window"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
	storeclock "github.com/posthorn/posthorn/handler/store/clock"
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

func newLedger(f *instanceTable, limits quota.Limits) *quota.Ledger {
	return quota.New(f, "send", limits, time.Now, ids())
}

// reserve reserves n tokens, one by one, and counts what was granted.
func reserve(t *testing.T, l *quota.Ledger, n int) (granted int) {
	t.Helper()
	for range n {
		if _, err := l.Reserve(t.Context(), costing(1)); err == nil {
			granted++
		} else if !problem.Is(err, problem.OverQuota) {
			t.Fatalf("Reserve: %v", err)
		}
	}
	return granted
}

func TestAThousandAtOnceGetExactlyTheLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &instanceTable{tableRow: &tableRow{}}
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
		if f.reserved != len(granted) {
			t.Errorf("%d tokens logged, %d granted", f.reserved, len(granted))
		}
		time.Sleep(time.Hour) // the last sleepers leave
	})
}

func TestACallDuringAWriteIsReservedByTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &instanceTable{tableRow: &tableRow{}, way: func() time.Duration { return 200 * time.Millisecond }}
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
		if f.writes != 2 || f.gets != 1 || f.reserved != 21 {
			t.Errorf("%d writes, %d reads, %d tokens; want 2, 1, 21", f.writes, f.gets, f.reserved)
		}
	})
}

func TestInABatchTheFirstGetWhatThereIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &instanceTable{tableRow: &tableRow{}, way: func() time.Duration { return 200 * time.Millisecond }}
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

func TestRoomThatCameWhileOthersReserved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &instanceTable{tableRow: &tableRow{}}
		l := newLedger(f, quota.ManagedDomainSend)
		reserve(t, l, 1)
		time.Sleep(66 * time.Second)
		f.way = func() time.Duration { return 500 * time.Millisecond }
		errs := make([]error, 3) // the 1st is reserved at 67 s, the others at 69 s by a read at 68.5 s
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
		f := &instanceTable{tableRow: &tableRow{}, way: func() time.Duration { return 200 * time.Millisecond }}
		l := newLedger(f, quota.CustomDomainSend)
		short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		before, cancelBefore := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		call := func(ctx context.Context, want error) {
			wg.Go(func() {
				g, err := l.Reserve(ctx, costing(1))
				if !errors.Is(err, want) || (want != nil && !problem.Is(err, problem.Unavailable)) || g.Live(time.Now()) == (want != nil) {
					t.Errorf("Reserve = %v, %v; want %v", g, err, want)
				}
			})
			synctest.Wait()
		}
		call(short, context.DeadlineExceeded) // leads, and leaves while its write is under way
		call(t.Context(), nil)
		call(before, context.Canceled) // leaves before its reservation begins
		call(t.Context(), nil)
		cancelBefore()
		wg.Wait()
		if f.reserved != 3 {
			t.Errorf("%d tokens logged, want 3: two granted, one burnt", f.reserved)
		}
	})
}

func TestAFreshViewSavesTheRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &instanceTable{tableRow: &tableRow{}}
		l := newLedger(f, quota.CustomDomainSend)
		reserve(t, l, 10)
		if f.gets != 1 || f.writes != 10 {
			t.Errorf("%d reads and %d writes for 10 tokens, want 1 and 10", f.gets, f.writes)
		}
		time.Sleep(31 * time.Second)
		reserve(t, l, 1)
		if f.gets != 2 {
			t.Errorf("%d reads, want 2: the reading of the clock is too old", f.gets)
		}
		f.rewrite()
		reserve(t, l, 1)
		if f.gets != 3 || f.reserved != 12 {
			t.Errorf("%d reads, %d tokens; want 3, 12: the ETag has changed", f.gets, f.reserved)
		}
	})
}

// After silence the row is written as it was last seen, at the time that any other answer of
// storage has told. The ETag says whether it is so still.
func TestAnyAnswerThatTellsTheTimeSavesTheRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, server := &instanceTable{tableRow: &tableRow{}}, storeclock.New(time.Now)
		l := quota.New(f, "send", quota.CustomDomainSend, time.Now, ids(), quota.Options{Clock: server})
		reserve(t, l, 30)
		for _, c := range []struct {
			name    string
			age     time.Duration // of the other answer
			changed bool          // the row meanwhile
			reads   int
		}{
			{"an answer just now", 0, false, 0},
			{"an answer of half a minute ago", window.ReadingLife, false, 0},
			{"an older one", window.ReadingLife + time.Second, false, 1},
			{"the row has changed", 0, true, 1},
		} {
			time.Sleep(2 * time.Minute)
			server.Observe(time.Now().Truncate(time.Second), time.Now())
			time.Sleep(c.age)
			if c.changed {
				f.rewrite()
			}
			before := f.gets
			reserve(t, l, 1)
			if f.gets != before+c.reads {
				t.Errorf("%s: %d reads, want %d", c.name, f.gets-before, c.reads)
			}
		}
		if f.reserved != 34 {
			t.Errorf("%d tokens logged, want 34", f.reserved)
		}
	})
}

func TestCostsThatNeverFit(t *testing.T) {
	t.Parallel()
	f := &instanceTable{tableRow: &tableRow{}}
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
	if _, err := l.Reserve(t.Context(), costing(20)); err != nil || f.reserved != 20 {
		t.Errorf("cost 20: %v, %d tokens logged", err, f.reserved)
	}
}

func TestALowerLimitHoldsForWhatIsReserved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &instanceTable{tableRow: &tableRow{}}
		reserve(t, newLedger(f, quota.CustomDomainSend), 30)
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
	usage := func(numbers ...uint64) (text []byte) {
		for _, n := range numbers {
			text = binary.AppendUvarint(text, n)
		}
		return []byte(`"` + base64.RawStdEncoding.EncodeToString(text) + `"`)
	}
	const second = 946_684_000 // within 1999, and synctest begins in 2000
	for name, c := range map[string]struct {
		property string
		value    any
		want     string
	}{
		"no format":                {"format", nil, "format <nil>"},
		"of an earlier version":    {"format", int64(3), "format 3, not 4"},
		"of a later version":       {"format", int64(5), "format 5, not 4"},
		"no attempts":              {"attempts", nil, "missing"},
		"usage is a string":        {"usage", "x", "usage"},
		"usage is empty":           {"usage", []byte(`""`), "cut off"},
		"a reservation is cut off": {"usage", usage(second*1000, second), "cut off"},
		"a number is cut off":      {"usage", []byte(`"gA"`), "cut off"},
		"a number is too large":    {"usage", usage(second*1000, 1<<62, 1), "cut off"},
		"two of one second":        {"usage", usage(second*1000, second, 1, 0, 1), "ascend"},
		"newer than the newest":    {"usage", usage(second*1000, second, 1, 1, 1), "ascend"},
		"hours ahead":              {"usage", usage((second+9000)*1000, second+9000, 1), "ahead"},
		"health is no JSON":        {"health", []byte("{"), "health"},
		"health of another time":   {"health", []byte(`{"mood":1}`), "health"},
		"no lines":                 {"queues", nil, "queues"},
		"no layout":                {"layout", []byte("{}"), "layout"},
		"fewer homes than shards":  {"layout", []byte(`{"shards":2,"homes":1}`), "layout"},
		"a caller ahead":           {"callers", []byte(`{"a":` + string(usage(second*1000, second+600, 1)) + `}`), "ascend"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				values := emptyRow()
				values[c.property] = c.value
				f := &instanceTable{tableRow: &tableRow{entity: store.Entity{ETag: "1", Values: values}, version: 1}}
				l := newLedger(f, quota.CustomDomainSend)
				_, err := l.Reserve(t.Context(), costing(1))
				if !problem.Is(err, problem.Unavailable) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("Reserve: %v, want %q", err, c.want)
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

package quota_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/problem"
)

// The limits of every form of ledger: in one row, the same with tokens leased ahead, in one
// of a hundred thousand an hour, in several.
var forms = []quota.Limits{
	{PerMinute: 100, PerHour: 400}, {PerMinute: 600, PerHour: 9000}, {PerMinute: 2100, PerHour: 100_000}, {PerMinute: 6000, PerHour: 300_000},
}

func TestNoWindowOfLargeLimitsHoldsMore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := draw(rt)
		w.limits = rapid.SampledFrom(forms[1:]).Draw(rt, "large limits")
		w.costs = rapid.SampledFrom([]int{1, 7, 50}).Draw(rt, "large costs")
		w.length = time.Duration(rapid.IntRange(2, 70).Draw(rt, "large minutes")) * time.Minute
		w.length = min(w.length, 2*time.Minute+time.Duration(3_000*int(time.Minute)/w.limits.PerMinute))
		var out *outcome
		synctest.Test(t, func(t *testing.T) { out = w.run(t.Context()) })
		if err := out.fault(w.limits); err != nil {
			rt.Error(err)
		}
		if out.wrongKind != nil {
			rt.Errorf("Reserve: %v", out.wrongKind)
		}
	})
}

func TestNoWindowHoldsMoreWhileTheLayoutChanges(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := draw(rt)
		w.limits = rapid.SampledFrom(forms).Draw(rt, "limits before")
		w.after = rapid.SampledFrom(forms).Draw(rt, "limits after")
		w.costs = rapid.SampledFrom([]int{1, 50}).Draw(rt, "large costs")
		w.length = time.Duration(rapid.IntRange(2, 12).Draw(rt, "minutes with a change")) * time.Minute
		var out *outcome
		synctest.Test(t, func(t *testing.T) { out = w.run(t.Context()) })
		most := quota.Limits{PerMinute: max(w.limits.PerMinute, w.after.PerMinute), PerHour: max(w.limits.PerHour, w.after.PerHour)}
		if err := out.fault(most); err != nil {
			rt.Error(err)
		}
		if out.wrongKind != nil {
			rt.Errorf("Reserve: %v", out.wrongKind)
		}
	})
}

// As TestTheWindowIsAsWideAsTheWorstCase, and the first burst is reserved at the end of a
// second: the call that opened the second is not asked for, it leaves earlier.
func TestTheWindowOfALargeLimitIsAsWideAsTheWorstCase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared, limits, newID := &tableRow{}, quota.Limits{PerMinute: 600, PerHour: 9000}, ids()
		behind := func() time.Duration { return -quota.ClockError }
		ahead := func() time.Duration { return quota.ClockError }
		first := quota.New(&instanceTable{tableRow: shared, skew: behind}, "send", limits, time.Now, newID)
		second := quota.New(&instanceTable{tableRow: shared, skew: ahead}, "send", limits, time.Now, newID)
		time.Sleep(990 * time.Millisecond) // Date will be cut by nearly a second
		if _, err := first.Reserve(t.Context(), costing(1)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(990 * time.Millisecond) // and the second is nearly over
		g, err := first.Reserve(t.Context(), costing(599))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // to the second, when Date is at its most
		for err = problem.New(problem.OverQuota, ""); err != nil; _, err = second.Reserve(t.Context(), costing(2)) {
			time.Sleep(time.Second)
		}
		if gap := time.Since(g.UseBy); gap < time.Minute || gap > time.Minute+50*time.Millisecond {
			t.Errorf("the 2nd call of the second burst can arrive %v after the last of the first, want 1m0s to 1m0.05s", gap)
		}
	})
}

// A row that is seen to be full is passed over, as long as another one has room: one
// process reserves all that all rows have.
func TestAFullRowIsPassedOver(t *testing.T) {
	t.Parallel()
	for rows, limits := range map[int]quota.Limits{
		2: {PerMinute: 1000, PerHour: 36_000},
		3: {PerMinute: 1500, PerHour: 54_000},
	} {
		t.Run(strconv.Itoa(rows), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLedger(&instanceTable{tableRow: &tableRow{}}, limits)
				granted, seen := 0, map[int]bool{}
				for ; ; granted++ {
					g, err := l.Reserve(t.Context(), costing(1))
					if err != nil {
						if !problem.Is(err, problem.OverQuota) {
							t.Error(err)
						}
						break
					}
					seen[g.Shard()] = true
				}
				if granted != limits.PerMinute || len(seen) != rows {
					t.Errorf("%d calls of %d rows, want %d of %d", granted, len(seen), limits.PerMinute, rows)
				}
			})
		})
	}
}

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

// The two bursts are as near as the ledger lets them: the first held to its last
// moment on a front end whose clock is behind, the second at once on one that is
// ahead, both by all of ClockError. The window has 10 ms to spare, so none of its
// parts can be left out.
func TestTheWindowIsAsWideAsTheWorstCase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := &tableRow{}
		behind := func() time.Duration { return -quota.ClockError }
		ahead := func() time.Duration { return quota.ClockError }
		newID := ids()
		first := quota.New(&instanceTable{tableRow: shared, skew: behind}, "send", quota.CustomDomainSend, time.Now, newID)
		second := quota.New(&instanceTable{tableRow: shared, skew: ahead}, "send", quota.CustomDomainSend, time.Now, newID)
		time.Sleep(990 * time.Millisecond) // Date will be cut by nearly a second
		var lastArrival time.Time
		for range 30 {
			g, err := first.Reserve(t.Context(), costing(1))
			if err != nil {
				t.Fatal(err)
			}
			lastArrival = g.UseBy
		}
		time.Sleep(10 * time.Millisecond) // to the second, when Date is at its most
		for {
			_, err := second.Reserve(t.Context(), costing(1))
			if err == nil {
				break
			}
			time.Sleep(time.Second)
		}
		gap := time.Since(lastArrival)
		if gap < time.Minute || gap > time.Minute+20*time.Millisecond {
			t.Errorf("the 31st call can arrive %v after the 1st, want 1m0s to 1m0.02s", gap)
		}
	})
}

// However slow the way to storage is, and whichever half of it, a token is logged
// at a time that has come and used no later than MaxAge after it.
func TestTheTimeOnTheWayIsOnTheSafeSide(t *testing.T) {
	t.Parallel()
	for name, ways := range map[string][]time.Duration{ // there and back, of the read and of the write
		"none":             {0, 0, 0, 0},
		"request slow":     {1900 * time.Millisecond, 0, 0, 0},
		"answer slow":      {0, 1900 * time.Millisecond, 0, 0},
		"both slow":        {time.Second, 900 * time.Millisecond, 0, 0},
		"write slow":       {0, 0, 1500 * time.Millisecond, 0},
		"write heard late": {0, 0, 0, 1500 * time.Millisecond},
	} {
		for _, phase := range []time.Duration{0, 100 * time.Millisecond, 999 * time.Millisecond} {
			t.Run(fmt.Sprint(name, " at ", phase), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					time.Sleep(phase)
					legs, begin := slices.Clone(ways), time.Now()
					f := &instanceTable{tableRow: &tableRow{}, way: func() (d time.Duration) { d, legs = legs[0], legs[1:]; return d }}
					g, err := newLedger(f, quota.CustomDomainSend).Reserve(t.Context(), costing(1))
					if err != nil {
						t.Fatal(err)
					}
					logged := newest(f.entity)
					if written := begin.Add(ways[0] + ways[1]); logged.After(written) {
						t.Errorf("logged %v before it was time", logged.Sub(written))
					}
					if age := g.UseBy.Sub(logged); age > quota.MaxAge {
						t.Errorf("a token may be %v old", age)
					}
				})
			})
		}
	}
}

func TestTheLocalClockMayShowAnything(t *testing.T) {
	t.Parallel()
	for name, off := range map[string]time.Duration{"right": 0, "a day ahead": 24 * time.Hour, "ten years behind": -87600 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &instanceTable{tableRow: &tableRow{}}
				now := clock(off)
				l := quota.New(f, "send", quota.ManagedDomainSend, now, ids())
				g, err := l.Reserve(t.Context(), costing(5))
				if err != nil || g.UseBy.Sub(now()) != 4*time.Second {
					t.Fatalf("Reserve = %v from now, %v; want 4s", g.UseBy.Sub(now()), err)
				}
				if logged := newest(f.entity); !logged.Equal(time.Now()) {
					t.Errorf("logged at %v, storage's clock shows %v", logged, time.Now())
				}
				_, err = l.Reserve(t.Context(), costing(1))
				if got := problem.Of(err).RetryAfter; got != 69*time.Second {
					t.Errorf("RetryAfter %v, want 1m9s", got)
				}
			})
		})
	}
}

package quota_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/problem"
)

// Whatever becomes of a write and its answer, a dispatcher's call happens once or is
// told as failed.
func TestDispatchersUnderFaults(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		reads, writes []fate
		done          bool
	}{
		"none":                   {nil, nil, true},
		"answer lost":            {nil, []fate{lost}, true},
		"repeated below":         {nil, []fate{repeated}, true},
		"answer without a time":  {nil, []fate{timeless}, true},
		"overtaken":              {nil, []fate{overtaken}, true},
		"overtaken, answer lost": {nil, []fate{overtaken, lost}, true},
		"done late":              {nil, []fate{late, dropped, dropped}, true},
		"not done":               {nil, []fate{dropped}, true},
		"nothing works":          {nil, repeat(dropped, 100), false},
		"not readable":           {repeat(dropped, 100), repeat(dropped, 100), false},
	} {
		// begin is a shard with seven waiting, and room for five.
		begin := func(t *testing.T) (f *instanceTable, l *quota.Ledger, places []quota.Position) {
			t.Helper()
			f = &instanceTable{tableRow: &tableRow{}}
			l = newLedger(f, quota.ManagedDomainSend)
			for range 7 {
				place, err := l.Join(t.Context(), normal("a"), time.Time{}, time.Time{})
				if err != nil {
					t.Fatal(err)
				}
				places = append(places, place)
			}
			return f, l, places
		}
		waiting := func(t *testing.T, l *quota.Ledger) int {
			t.Helper()
			u, err := l.Overview(t.Context(), normal("a"))
			if err != nil {
				t.Fatal(err)
			}
			return u.WaitingOwn
		}
		check := func(t *testing.T, what string, err error) {
			t.Helper()
			if (err == nil) != test.done || err != nil && !problem.Is(err, problem.Unavailable) {
				t.Errorf("%s: %v, want done: %v", what, err, test.done)
			}
		}
		t.Run("Join/"+name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f, l, _ := begin(t)
				f.fate = script(test.reads, test.writes)
				_, err := l.Join(t.Context(), normal("a"), time.Time{}, time.Time{})
				check(t, "Join", err)
				f.fate = nil
				if n := waiting(t, l); (n == 8) != test.done {
					t.Errorf("%d wait", n)
				}
			})
		})
		t.Run("Open/"+name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f, l, _ := begin(t)
				f.fate = script(test.reads, test.writes)
				_, _, _, ok, err := opened(l.Open(t.Context(), 0, "dispatcher", false))
				check(t, "Open", err)
				f.fate = nil
				_, _, _, other, _ := opened(l.Open(t.Context(), 0, "other", false))
				if ok != test.done || other == ok {
					t.Errorf("the dispatcher has the lease: %v, another: %v", ok, other)
				}
			})
		})
		t.Run("Take/"+name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f, l, places := begin(t)
				if _, _, _, ok, err := opened(l.Open(t.Context(), 0, "dispatcher", false)); !ok || err != nil {
					t.Fatal(err)
				}
				f.fate = script(test.reads, test.writes)
				grants, _, err := l.Take(t.Context(), 0, "dispatcher", []quota.Want{want("a", 3, places[:3]...)})
				check(t, "Take", err)
				time.Sleep(time.Second)
				f.fate = nil
				if test.done && (len(grants[0]) != 3 || f.reserved != 3 || waiting(t, l) != 4) {
					t.Errorf("%d granted, %d reserved, %d wait; want 3, 3, 4", len(grants[0]), f.reserved, waiting(t, l))
				}
				if grants, _, err := l.Take(t.Context(), 0, "dispatcher", []quota.Want{want("a", 2)}); err != nil || len(grants[0]) != 2 {
					t.Errorf("the next Take: %v, %v; the lease is lost", grants, err)
				}
			})
		})
		t.Run("Rest/"+name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f, l, places := begin(t)
				if _, _, _, ok, err := opened(l.Open(t.Context(), 0, "dispatcher", false)); !ok || err != nil {
					t.Fatal(err)
				}
				if _, _, err := l.Take(t.Context(), 0, "dispatcher", []quota.Want{want("a", 7, places...)}); err != nil { // all there is room for
					t.Fatal(err)
				}
				f.fate = script(test.reads, test.writes)
				check(t, "Rest", l.Rest(t.Context(), 0, "dispatcher", time.Now().Add(time.Minute)))
				f.fate = nil
				if shards, err := l.Overdue(t.Context(), nil); len(shards) > 0 || err != nil {
					t.Errorf("overdue at once: %v, %v", shards, err)
				}
				time.Sleep(82 * time.Second)
				if shards, err := l.Overdue(t.Context(), nil); len(shards) != 1 || err != nil {
					t.Errorf("overdue when the wake-up message is late, or the lease has ended: %v, %v", shards, err)
				}
			})
		})
	}
}

func TestALeaseThatFallsSilentIsFree(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(&instanceTable{tableRow: &tableRow{}}, quota.CustomDomainSend)
		if _, err := l.Join(t.Context(), normal("a"), time.Time{}, time.Time{}); err != nil {
			t.Fatal(err)
		}
		open := func(dispatcher string) bool {
			_, _, _, ok, err := opened(l.Open(t.Context(), 0, dispatcher, false))
			if err != nil {
				t.Error(err)
			}
			return ok
		}
		for try := range 2 {
			if !open("dead") {
				t.Errorf("try %d: the lease cannot be taken, or not again by the same", try)
			}
		}
		time.Sleep(quota.LeaseLife - time.Second)
		if open("next") {
			t.Error("the lease is free too early")
		}
		time.Sleep(2 * time.Second)
		if !open("next") {
			t.Error("the lease is not free")
		}
		if _, _, err := l.Take(t.Context(), 0, "dead", []quota.Want{want("a", 1)}); !errors.Is(err, quota.ErrLeaseTaken) {
			t.Errorf("the dead one wakes and takes: %v", err)
		}
		if err := l.Rest(t.Context(), 0, "dead", time.Time{}); !errors.Is(err, quota.ErrLeaseTaken) {
			t.Errorf("the dead one rests: %v", err)
		}
	})
}

// A message that joins while the dispatcher thinks that nothing is left, is not left.
func TestWhoJoinsDuringTheLastLookIsSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(&instanceTable{tableRow: &tableRow{}}, quota.CustomDomainSend)
		join := func() quota.Position {
			place, err := l.Join(t.Context(), normal("a"), time.Time{}, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			return place
		}
		first := join()
		l.Open(t.Context(), 0, "dispatcher", false)
		if _, next, err := l.Take(t.Context(), 0, "dispatcher", []quota.Want{want("a", 1, first)}); !next.IsZero() || err != nil {
			t.Fatalf("next %v, %v", next, err)
		}
		second := join()
		if !second.WakeUpAt.IsZero() {
			t.Errorf("a wake-up message for %v, though a dispatcher is there", second.WakeUpAt)
		}
		if err := l.Rest(t.Context(), 0, "dispatcher", time.Time{}); !errors.Is(err, quota.ErrJoined) {
			t.Fatalf("Rest: %v", err)
		}
		grants, next, err := l.Take(t.Context(), 0, "dispatcher", []quota.Want{want("a", 0)})
		if err != nil || len(grants[0]) != 0 || next.IsZero() || time.Until(next) > 5*time.Second {
			t.Fatalf("before its row is there: %v, next %v, %v", grants, next, err)
		}
		if _, next, err = l.Take(t.Context(), 0, "dispatcher", []quota.Want{want("a", 1, second)}); !next.IsZero() || err != nil {
			t.Errorf("next %v, %v", next, err)
		}
		if err := l.Rest(t.Context(), 0, "dispatcher", time.Time{}); err != nil {
			t.Errorf("Rest: %v", err)
		}
	})
}

// Counts are a hint: too many are given up after a while, and lines that only the
// table knows are learned.
func TestCountsAreCorrectedByWhatIsSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(&instanceTable{tableRow: &tableRow{}}, quota.CustomDomainSend)
		for range 5 { // whose processes died before they wrote the rows
			if _, err := l.Join(t.Context(), normal("ghost"), time.Time{}, time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		looks := 0
		for next := time.Now(); !next.IsZero(); looks++ {
			time.Sleep(time.Until(next))
			if _, _, _, ok, err := opened(l.Open(t.Context(), 0, "dispatcher", false)); !ok || err != nil {
				t.Fatalf("Open: %v, %v", ok, err)
			}
			var err error
			if _, next, err = l.Take(t.Context(), 0, "dispatcher", []quota.Want{want("ghost", 0)}); err != nil {
				t.Fatal(err)
			}
			if err := l.Rest(t.Context(), 0, "dispatcher", next); err != nil {
				t.Fatal(err)
			}
		}
		if looks > 12 {
			t.Errorf("%d looks for rows that never came", looks)
		}
		if _, err := l.Reserve(t.Context(), normal("b")); err != nil {
			t.Errorf("the ghosts still wait: %v", err)
		}
		line := quota.Line{Class: quota.Normal, Caller: "unknown"}
		shards, err := l.Overdue(t.Context(), map[int][]quota.LineView{0: {{Line: line, Waiting: 3}}})
		if err != nil || len(shards) != 1 {
			t.Errorf("Overdue with a line found in the table = %v, %v", shards, err)
		}
		if u, err := l.Overview(t.Context(), normal("unknown")); err != nil || u.WaitingOwn != 3 {
			t.Errorf("Usage = %+v, %v", u, err)
		}
		for range 3 {
			if err := l.Leave(t.Context(), 0, line, 0); err != nil {
				t.Fatal(err)
			}
		}
		if u, err := l.Overview(t.Context(), normal("unknown")); err != nil || u.WaitingOwn != 0 {
			t.Errorf("Usage after they left = %+v, %v", u, err)
		}
	})
}

// A line that only the timer has found is served now, although a wake-up message is on its way for
// another that has no room until much later.
func TestAWakeUpThatIsFarOffDoesNotHideWhatMayGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(&instanceTable{tableRow: &tableRow{}}, quota.CustomDomainSend)
		scheduled := quota.Line{Class: quota.Normal, Caller: "a", Later: true}
		due := time.Now().Add(time.Hour)
		if _, err := l.Join(t.Context(), normal("a"), due, time.Time{}); err != nil {
			t.Fatal(err)
		}
		found := map[int][]quota.LineView{0: {{Line: scheduled, Waiting: 1, NextDue: due}}}
		if shards, err := l.Overdue(t.Context(), found); len(shards) > 0 || err != nil {
			t.Errorf("Overdue = %v, %v; its wake-up message is on its way", shards, err)
		}
		found[0] = append(found[0], quota.LineView{Line: quota.Line{Class: quota.Normal, Caller: "b"}, Waiting: 1})
		if shards, err := l.Overdue(t.Context(), found); len(shards) != 1 || err != nil {
			t.Errorf("Overdue = %v, %v", shards, err)
		}
	})
}

// The timer has a line looked at that has no room for long: somebody may stand in it for
// reasons of his own, of whom the ledger could not be told.
func TestALineWithoutRoomIsLookedAtWhenTheTimerComes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(&instanceTable{tableRow: &tableRow{}}, quota.Limits{PerMinute: 10, PerHour: 10})
		for range 10 {
			if _, err := l.Reserve(t.Context(), normal("a")); err != nil {
				t.Fatal(err)
			}
		}
		place, err := l.Join(t.Context(), normal("a"), time.Time{}, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		found := map[int][]quota.LineView{0: {{Line: quota.Line{Class: quota.Normal, Caller: "a"}, Waiting: 1}}}
		for range 2 {
			time.Sleep(time.Minute)
			if shards, err := l.Overdue(t.Context(), found); len(shards) != 1 || err != nil {
				t.Fatalf("Overdue = %v, %v", shards, err)
			}
			time.Sleep(time.Second)
			if lines, _, _, ok, err := opened(l.Open(t.Context(), 0, "dispatcher", false)); !ok || err != nil || !lines[0].Held {
				t.Fatalf("Open = %+v, %v, %v", lines, ok, err)
			}
			grants, next, err := l.Take(t.Context(), 0, "dispatcher", []quota.Want{want("a", 1, place)})
			if len(grants[0]) != 0 || time.Until(next) < 50*time.Minute || err != nil {
				t.Fatalf("Take = %d grants, next %v, %v", len(grants[0]), next, err)
			}
			if err := l.Rest(t.Context(), 0, "dispatcher", next); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A dispatcher with messages in its hands keeps its lease, and the lease its life, though
// nothing may be done for a while.
func TestABusyDispatcherKeepsItsLease(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		busy bool
	}{{"busy", true}, {"not busy", false}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLedger(&instanceTable{tableRow: &tableRow{}}, quota.Limits{PerMinute: 1, PerHour: 100})
				var places []quota.Position
				for range 2 {
					place, err := l.Join(t.Context(), normal("a"), time.Time{}, time.Time{})
					if err != nil {
						t.Fatal(err)
					}
					places = append(places, place)
				}
				l.Open(t.Context(), 0, "dispatcher", false)
				if grants, _, err := l.Take(t.Context(), 0, "dispatcher", []quota.Want{want("a", 2, places...)}); len(grants[0]) != 1 || err != nil {
					t.Fatalf("Take = %d grants, %v", len(grants[0]), err)
				}
				for range 6 {
					time.Sleep(10 * time.Second)
					open, err := l.Open(t.Context(), 0, "dispatcher", c.busy)
					if open.OK || open.Kept != c.busy || err != nil {
						t.Fatalf("Open = %+v, %v", open, err)
					}
				}
				time.Sleep(20 * time.Second) // there is room
				if open, err := l.Open(t.Context(), 0, "other", false); open.OK == c.busy || err != nil {
					t.Errorf("Open by another = %+v, %v", open, err)
				}
			})
		})
	}
}

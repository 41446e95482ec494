package quota_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/problem"
)

// want is n calls of a caller's normal line, seen whole. places are where they had
// joined.
func want(caller string, n int, places ...quota.Position) quota.Want {
	w := quota.Want{Line: quota.Line{Class: quota.Normal, Caller: caller}, Complete: true}
	for range n {
		w.Calls = append(w.Calls, quota.Call{Cost: 1})
	}
	for _, p := range places {
		w.Seen = append(w.Seen, p.Ticket)
	}
	return w
}

// opened is an Opening as a list.
func opened(o quota.Opening, err error) (lines []quota.LineView, room int, next time.Time, ok bool, failed error) {
	return o.Lines, o.Room, o.Next, o.OK, err
}

func normal(caller string) quota.Call {
	return quota.Call{Caller: caller, Class: quota.Normal, Cost: 1}
}

func TestWhoFindsNoRoomWaitsInLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &instanceTable{tableRow: &tableRow{}}
		l := newLedger(f, quota.ManagedDomainSend)
		begin := time.Now()
		for range 5 {
			if _, place, err := l.ReserveOrJoin(t.Context(), normal("a"), time.Time{}); place != nil || err != nil {
				t.Fatalf("with room: %+v, %v", place, err)
			}
		}
		var places []*quota.Position
		for range 7 {
			_, place, err := l.ReserveOrJoin(t.Context(), normal("a"), time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			places = append(places, place)
		}
		for i, after := range map[int]time.Duration{0: 69 * time.Second, 4: 69 * time.Second, 5: 3609 * time.Second, 6: 3609 * time.Second} {
			if got := places[i].Expected.Sub(begin); got != after {
				t.Errorf("waiting message %d is expected after %v, want %v", i, got, after)
			}
			if woken := !places[i].WakeUpAt.IsZero(); woken != (i == 0) {
				t.Errorf("waiting message %d asks for a wake-up message: %v", i, woken)
			}
			if i > 0 && !places[i].At.After(places[i-1].At) {
				t.Errorf("waiting message %d has its place at %v, the one before at %v", i, places[i].At, places[i-1].At)
			}
		}
		if at := places[0].WakeUpAt.Sub(begin); at != 69*time.Second {
			t.Errorf("the wake-up message is for %v, want 1m9s", at)
		}
		if _, err := l.Reserve(t.Context(), normal("b")); problem.Of(err).RetryAfter != 69*time.Second {
			t.Errorf("a direct call of another: %v", err)
		}
		if _, _, err := l.ReserveOrJoin(t.Context(), normal("a"), begin.Add(time.Hour)); !problem.Is(err, problem.OverQuota) {
			t.Errorf("with too early a deadline: %v", err)
		}
	})
}

func TestADispatcherServesTheLineAndRests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &instanceTable{tableRow: &tableRow{}}
		l := newLedger(f, quota.ManagedDomainSend)
		reserve(t, l, 5)
		for range 7 {
			if _, err := l.Join(t.Context(), normal("a"), time.Time{}, time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		lines, _, next, ok, err := opened(l.Open(t.Context(), 0, "early", false))
		if err != nil || ok || len(lines) > 0 || !next.IsZero() {
			t.Errorf("Open before its time = %v, next %v, %v, %v; the wake-up message is on its way already", lines, next, ok, err)
		}
		time.Sleep(69 * time.Second)
		lines, room, _, ok, err := opened(l.Open(t.Context(), 0, "dispatcher", false))
		if err != nil || !ok || len(lines) != 1 || lines[0].Waiting != 7 || room != 5 {
			t.Fatalf("Open = %v, room %d, %v, %v", lines, room, ok, err)
		}
		if _, _, next, ok, err := opened(l.Open(t.Context(), 0, "other", false)); ok || !next.IsZero() || err != nil {
			t.Errorf("Open by another = next %v, %v, %v", next, ok, err)
		}
		grants, next, err := l.Take(t.Context(), 0, "dispatcher", []quota.Want{want("a", 7)})
		if err != nil || len(grants[0]) != 5 || time.Until(next) != 3540*time.Second {
			t.Fatalf("Take = %d grants, next %v, %v", len(grants[0]), next, err)
		}
		if _, _, err := l.Take(t.Context(), 0, "other", nil); !errors.Is(err, quota.ErrLeaseTaken) {
			t.Errorf("Take by another: %v", err)
		}
		if err := l.Rest(t.Context(), 0, "dispatcher", next); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3540 * time.Second)
		if _, _, _, ok, err := opened(l.Open(t.Context(), 0, "dispatcher", false)); !ok || err != nil {
			t.Fatalf("Open when the rest may go: %v, %v", ok, err)
		}
		if grants, next, err = l.Take(t.Context(), 0, "dispatcher", []quota.Want{want("a", 2)}); len(grants[0]) != 2 || !next.IsZero() || err != nil {
			t.Errorf("Take of the rest = %d grants, next %v, %v", len(grants[0]), next, err)
		}
		if err := l.Rest(t.Context(), 0, "dispatcher", time.Time{}); err != nil {
			t.Fatal(err)
		}
		if shards, err := l.Overdue(t.Context(), nil); len(shards) > 0 || err != nil {
			t.Errorf("Overdue = %v, %v", shards, err)
		}
	})
}

// A line whose caller may use a less urgent class by now does not wake its dispatcher for room that
// only its old class has.
func TestALineInALessUrgentClassWaitsForItsRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := quota.New(&instanceTable{tableRow: &tableRow{}}, "send", quota.Limits{PerMinute: 10, PerHour: 100}, time.Now, ids(), quota.Options{ReservedForHigh: 50})
		for range 5 {
			if _, err := l.Reserve(t.Context(), normal("b")); err != nil {
				t.Fatal(err)
			}
		}
		high := quota.Line{Class: quota.High, Caller: "a"}
		place, err := l.Join(t.Context(), quota.Call{Caller: "a", Class: quota.High, Cost: 1}, time.Time{}, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if open, err := l.Open(t.Context(), 0, "dispatcher", false); err != nil || !open.OK {
			t.Fatalf("%+v, %v", open, err)
		}
		want := quota.Want{Line: high, Calls: []quota.Call{{Caller: "a", Class: quota.Normal, Cost: 1}}, Complete: true, Seen: []int64{place.Ticket}}
		grants, next, err := l.Take(t.Context(), 0, "dispatcher", []quota.Want{want})
		if err != nil || len(grants[0]) != 0 || time.Until(next) != 69*time.Second {
			t.Errorf("%d grants, then in %v, %v", len(grants[0]), time.Until(next), err)
		}
		if _, place, err := l.ReserveOrJoin(t.Context(), quota.Call{Caller: "c", Class: quota.High, Cost: 1}, time.Time{}); err != nil || place != nil {
			t.Errorf("one more urgent waits behind it: %+v, %v", place, err)
		}
		time.Sleep(69 * time.Second)
		grants, _, err = l.Take(t.Context(), 0, "dispatcher", []quota.Want{want})
		if err != nil || len(grants[0]) != 1 {
			t.Errorf("%d grants in the end, %v", len(grants[0]), err)
		}
	})
}

package window

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

const (
	second = Instant(1000)
	begin  = 946_684_800 * second // the year 2000
	wide   = 60*second + 9*second // a minute, MaxAge and twice ClockError
)

func usageOf(reservations ...Reservation) (u Usage) {
	u.Reservations = reservations
	if n := len(reservations); n > 0 {
		u.Newest = reservations[n-1].At
	}
	return u
}

func TestWhatAWindowHas(t *testing.T) {
	t.Parallel()
	u := usageOf(Reservation{begin, 3}, Reservation{begin + 10*second, 4})
	for name, c := range map[string]struct {
		usage   Usage
		at      Instant
		free    int
		leaving Instant
		fits    Instant // 8 more tokens
	}{
		"nothing was reserved":           {Usage{}, begin, 10, 0, 0},
		"all of it counts":               {u, begin + 20*second, 3, begin + wide, begin + wide + 10*second},
		"to the last millisecond":        {u, begin + wide - 1, 3, begin + wide, begin + wide + 10*second},
		"the first has left":             {u, begin + wide, 6, begin + wide + 10*second, begin + wide + 10*second},
		"all have left":                  {u, begin + wide + 10*second, 10, 0, begin + wide + 10*second},
		"more was reserved than may be":  {usageOf(Reservation{begin, 12}), begin, 0, begin + wide, begin + wide},
		"more than fits is free of some": {usageOf(Reservation{begin, 2}), begin, 8, begin + wide, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := minute(10)
			if got := c.usage.free(w, c.at); got != c.free {
				t.Errorf("free: %d, want %d", got, c.free)
			}
			if got := c.usage.nextLeaving(w, c.at); got != c.leaving {
				t.Errorf("the next leaves at %d, want %d", got-begin, c.leaving-begin)
			}
			if got := c.usage.fitsIn(w, 8); got != c.fits {
				t.Errorf("8 more fit at %d, want %d", got-begin, c.fits-begin)
			}
		})
	}
}

// drawn are limits, and what was reserved under them.
func drawn(t *rapid.T) (l Limits, u Usage, at Instant) {
	l = Limits{rapid.IntRange(1, 30).Draw(t, "per minute"), rapid.IntRange(1, 100).Draw(t, "per hour")}
	at = begin
	for range rapid.IntRange(0, 40).Draw(t, "reservations") {
		at = max(at+Instant(rapid.IntRange(0, 90_000).Draw(t, "later")), u.fits(l, 1))
		u.add(hour(0), at, 1)
	}
	return l, u, at
}

// Whatever is reserved when it fits, no interval of a widened window holds more than its limit.
func TestNoWidenedWindowHoldsMore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := Limits{rapid.IntRange(1, 30).Draw(t, "per minute"), rapid.IntRange(1, 100).Draw(t, "per hour")}
		var u Usage
		var all []Reservation
		at := begin
		for range rapid.IntRange(1, 60).Draw(t, "calls") {
			cost := rapid.IntRange(1, min(l.PerMinute, l.PerHour)).Draw(t, "cost")
			at = max(at+Instant(rapid.IntRange(0, 200_000).Draw(t, "later")), u.fits(l, cost))
			u.add(hour(0), at, cost)
			all = append(all, Reservation{at, cost})
		}
		if err := u.check(); err != nil {
			t.Fatal(err)
		}
		for i, first := range all {
			for _, w := range l.windows() {
				sum := 0
				for _, b := range all[i:] {
					if b.At < first.At.Add(w.width) {
						sum += b.Tokens
					}
				}
				if sum > w.limit {
					t.Fatalf("%d tokens within %v from %d, and the limit is %d", sum, w.width, first.At-begin, w.limit)
				}
			}
		}
	})
}

// A forecast is what happens if tokens go one by one as soon as they fit.
func TestAForecastIsWhatHappens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l, u, at := drawn(t)
		from := at + Instant(rapid.IntRange(0, 4_000).Draw(t, "wait"))*second
		forecast, live, goes := u.forecast(from, l.windows()...), u.clone(), from
		for n := 1; n <= l.PerHour; n++ { // it repeats from there
			goes = max(goes, live.fits(l, 1))
			live.add(hour(0), goes, 1)
			if got := forecast(n); got != goes {
				t.Fatalf("token %d is promised for %d and goes at %d", n, got-begin, goes-begin)
			}
		}
	})
}

// What rows are dealt, counts together what they counted before, second by second.
func TestWhatIsDealtOutIsCountedOn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		sum := func(rows []Usage) map[Instant]int {
			all := map[Instant]int{}
			for _, u := range rows {
				if err := u.check(); err != nil {
					t.Fatal(err)
				}
				for _, b := range u.Reservations {
					all[b.At] += b.Tokens
				}
			}
			return all
		}
		old, fresh := make([]Usage, rapid.IntRange(1, 5).Draw(t, "rows")), make([]Usage, rapid.IntRange(1, 5).Draw(t, "new rows"))
		for i := range old {
			_, old[i], _ = drawn(t)
		}
		for i := range fresh {
			fresh[i] = mergeUsages(old...).part(i, len(fresh))
		}
		want, got := sum(old), sum(fresh)
		for at, n := range want {
			if got[at] != n {
				t.Errorf("at %d %d tokens count, and %d did", at-begin, got[at], n)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d seconds count, and %d did", len(got), len(want))
		}
	})
}

func TestACapHoldsInEveryHour(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		most, at := rapid.IntRange(1, 20).Draw(t, "cap"), begin+Instant(rapid.IntRange(0, 600_000).Draw(t, "begin"))
		all, used := []Instant(nil), CallerUsage{}
		for n := 1; n <= 3*most; n++ {
			promised := used["shop"].forecast(at, capWindow(most))(1)
			at = max(at, used["shop"].fitsIn(capWindow(most), 1))
			if promised != at {
				t.Fatalf("call %d is promised for %d and may go at %d", n, promised-begin, at-begin)
			}
			used.add("shop/contact", at, 1)
			all = append(all, at)
			if n > most && at.Sub(all[n-1-most]) < time.Hour {
				t.Fatalf("%d calls within %v", most+1, at.Sub(all[n-1-most]))
			}
			at += Instant(rapid.IntRange(0, 400_000).Draw(t, "later"))
		}
		if used.used("shop", at) != used.used("shop/contact", at) {
			t.Error("what a part used does not count for the whole")
		}
	})
}

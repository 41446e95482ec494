package host

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestNextTimeOfASchedule(t *testing.T) {
	t.Parallel()
	monday := time.Date(2026, 11, 23, 14, 3, 2, 5, time.UTC)
	for _, c := range []struct{ name, schedule, next string }{
		{"every hour at minute 7", "0 7 * * * *", "2026-11-23T14:07:00Z"},
		{"every five minutes", "0 */5 * * * *", "2026-11-23T14:05:00Z"},
		{"every second", "* * * * * *", "2026-11-23T14:03:03Z"},
		{"the same second comes a minute later", "2 * * * * *", "2026-11-23T14:04:02Z"},
		{"list", "0 0 3,16 * * *", "2026-11-23T16:00:00Z"},
		{"range with a step", "0 10-40/15 * * * *", "2026-11-23T14:10:00Z"},
		{"from a number on, with a step", "0 40/10 * * * *", "2026-11-23T14:40:00Z"},
		{"working days at night", "0 30 2 * * 1-5", "2026-11-24T02:30:00Z"},
		{"Sunday is 0", "0 0 0 * * 0", "2026-11-29T00:00:00Z"},
		{"first of the year", "0 0 0 1 1 *", "2027-01-01T00:00:00Z"},
		{"leap day", "0 0 0 29 2 *", "2028-02-29T00:00:00Z"},
		{"day and weekday both", "0 0 0 13 * 5", "2027-08-13T00:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, err := parseSchedule(c.schedule)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.next(monday).Format(time.RFC3339Nano); got != c.next {
				t.Errorf("got %s, want %s", got, c.next)
			}
		})
	}
}

func TestAWrongScheduleIsRefused(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]string{
		"empty": "", "five fields": "0 * * * *", "seven fields": "0 0 * * * * *", "word": "0 0 0 * * mon",
		"above": "60 * * * * *", "below": "0 0 0 0 * *", "backwards": "5-3 * * * * *", "open range": "5- * * * * *",
		"step 0": "*/0 * * * * *", "step a word": "*/x * * * * *", "never": "0 0 0 30 2 *", "empty item": "1,,2 * * * * *",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c, err := parseSchedule(s); err == nil {
				t.Errorf("%q read as %+v", s, c)
			}
		})
	}
}

// The next time is the first second after t that the fields allow.
func TestNextSkipsNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		field := func(low, top int) uint64 {
			var set uint64
			for n := low; n <= top; n++ {
				if rapid.IntRange(0, 2).Draw(t, "allowed") > 0 {
					set |= 1 << n
				}
			}
			return set | 1<<rapid.IntRange(low, top).Draw(t, "certain")
		}
		s := schedule{field(0, 59), field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6)}
		from := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "from"), 0).UTC()
		got := s.next(from)
		if !got.After(from) || !s.allows(got) {
			t.Fatalf("%v is not after %v, or not allowed", got, from)
		}
		for at, n := from.Add(time.Second), 0; at.Before(got) && n < 100_000; at, n = at.Add(time.Second), n+1 {
			if s.allows(at) {
				t.Fatalf("skipped %v", at)
			}
		}
	})
}

func (c *schedule) allows(t time.Time) bool {
	in := func(set uint64, n int) bool { return set&(1<<n) != 0 }
	return in(c.second, t.Second()) && in(c.minute, t.Minute()) && in(c.hour, t.Hour()) &&
		in(c.day, t.Day()) && in(c.month, int(t.Month())) && in(c.weekday, int(t.Weekday()))
}

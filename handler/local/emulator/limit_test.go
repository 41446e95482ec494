package emulator

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestLimitAnswers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		limit   Limit
		window  Window
		before  []time.Duration // earlier calls, as time before noon
		wait    int             // seconds; 0 means accepted
		message string
	}{
		{name: "no limit", before: []time.Duration{0, 0, 0}},
		{name: "room in the minute", limit: Limit{PerMinute: 3}, before: []time.Duration{2 * time.Second, 0}},
		{name: "minute is full", limit: Limit{PerMinute: 2}, before: []time.Duration{0, 0}, wait: 60,
			message: "PerSubscriptionPerMinuteLimitExceeded - Please try again after 60 seconds."},
		{name: "minute has room soon", limit: Limit{PerMinute: 2}, before: []time.Duration{41 * time.Second, time.Second}, wait: 19,
			message: "PerSubscriptionPerMinuteLimitExceeded - Please try again after 19 seconds."},
		{name: "a wait is rounded up", limit: Limit{PerMinute: 1}, before: []time.Duration{59_900 * time.Millisecond}, wait: 1,
			message: "PerSubscriptionPerMinuteLimitExceeded - Please try again after 1 seconds."},
		{name: "a call a minute ago no longer counts", limit: Limit{PerMinute: 1}, before: []time.Duration{time.Minute}},
		{name: "hour is full", limit: Limit{PerMinute: 9, PerHour: 2}, before: []time.Duration{30 * time.Minute, 20 * time.Minute}, wait: 1800,
			message: "PerSubscriptionPerHourLimitExceeded - Please try again after 1800 seconds."},
		{name: "hour and minute are full", limit: Limit{PerMinute: 1, PerHour: 1}, before: []time.Duration{10 * time.Second}, wait: 3590,
			message: "PerSubscriptionPerHourLimitExceeded - Please try again after 3590 seconds."},
		{name: "fixed minute began anew", limit: Limit{PerMinute: 1}, window: WindowFixed, before: []time.Duration{31 * time.Second}},
		{name: "fixed minute is full", limit: Limit{PerMinute: 1}, window: WindowFixed, before: []time.Duration{30 * time.Second}, wait: 30,
			message: "PerSubscriptionPerMinuteLimitExceeded - Please try again after 30 seconds."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			now := noon
			e, out := newTest(t, Config{Limits: Limits{Send: test.limit}, Window: test.window, Now: func() time.Time { return now }})
			for _, ago := range test.before {
				now = noon.Add(-ago)
				if w := call(e, newCall("POST", sendPath, messageTo("ann@example.com"))); w.Code != 202 {
					t.Fatalf("an earlier call was answered %d", w.Code)
				}
			}
			now = noon
			w := call(e, newCall("POST", sendPath, messageTo("ann@example.com")))
			if test.wait == 0 {
				if w.Code != 202 {
					t.Errorf("got %d %s", w.Code, w.Body)
				}
				return
			}
			wantRefusal(t, w, 429, "TooManyRequests", test.message)
			if got, want := w.Header().Get("Retry-After"), strconv.Itoa(test.wait); got != want {
				t.Errorf("Retry-After %s, want %s", got, want)
			}
			if out.count() != len(test.before) {
				t.Errorf("%d delivered, want %d", out.count(), len(test.before))
			}
		})
	}
}

func TestStatusHasItsOwnLimit(t *testing.T) {
	t.Parallel()
	e, _ := newTest(t, Config{Limits: Limits{Send: Limit{PerMinute: 1}, Status: Limit{PerMinute: 2}}})
	sendTo(e, "ann@example.com")
	status(e)
	if w := status(e); w.Code != 200 {
		t.Errorf("second status call: %d", w.Code)
	}
	wantRefusal(t, status(e), 429, "TooManyRequests", "PerSubscriptionPerMinuteLimitExceeded - Please try again after 60 seconds.")
}

func TestRefusedCallsCountIfAsked(t *testing.T) {
	t.Parallel()
	l := limiter{limit: Limit{PerMinute: 1}, countRefused: true}
	if l.take(noon) != nil || l.take(noon.Add(30*time.Second)) == nil {
		t.Fatal("want the first call accepted, the second refused")
	}
	if l.take(noon.Add(time.Minute)) == nil {
		t.Error("a refused call half a minute ago did not count")
	}
}

// Whatever comes, no window holds more calls than allowed, and a client that waits as
// long as told is let in.
func TestLimitHoldsAlways(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := Limit{PerMinute: rapid.IntRange(0, 4).Draw(t, "per minute"), PerHour: rapid.IntRange(0, 9).Draw(t, "per hour")}
		l := limiter{limit: limit, window: rapid.SampledFrom([]Window{WindowSliding, WindowFixed}).Draw(t, "window")}
		now := noon
		var accepted []time.Time
		for range rapid.IntRange(1, 60).Draw(t, "calls") {
			now = now.Add(time.Duration(rapid.IntRange(0, 90_000).Draw(t, "ms")) * time.Millisecond)
			refused := l.take(now)
			if refused != nil {
				later := now.Add(refused.retryAfter)
				copied := limiter{limit: l.limit, window: l.window, calls: slices.Clone(l.calls)}
				if again := copied.take(later); again != nil && again.message[:24] == refused.message[:24] {
					t.Fatalf("refused for %v, and after that again: %v", refused.retryAfter, again)
				}
				continue
			}
			accepted = append(accepted, now)
		}
		for i, first := range accepted {
			for _, w := range []struct {
				length time.Duration
				limit  int
			}{{time.Minute, limit.PerMinute}, {time.Hour, limit.PerHour}} {
				in := 0
				for _, at := range accepted[i:] {
					same := at.Sub(first) < w.length
					if l.window == WindowFixed {
						same = at.Truncate(w.length).Equal(first.Truncate(w.length))
					}
					if same {
						in++
					}
				}
				if w.limit > 0 && in > w.limit {
					t.Fatalf("%d calls in %v, limit %d", in, w.length, w.limit)
				}
			}
		}
	})
}

package acs

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	const served = "Mon, 23 Nov 2026 18:00:00 GMT" // six hours away from the local clock
	tests := []struct {
		name    string
		headers [][2]string
		text    string
		want    time.Duration
	}{
		{"missing", nil, "", 0},
		{"seconds", [][2]string{{"Retry-After", "17"}}, "", 17 * time.Second},
		{"seconds with spaces", [][2]string{{"Retry-After", " 17 "}}, "", 17 * time.Second},
		{"more than an hour", [][2]string{{"Retry-After", "3636"}}, "", 3636 * time.Second},
		{"exactly the upper bound", [][2]string{{"Retry-After", "7200"}}, "", 2 * time.Hour},
		{"beyond the upper bound", [][2]string{{"Retry-After", "7201"}}, "", 2 * time.Hour},
		{"a billion", [][2]string{{"Retry-After", "1000000000"}}, "", 2 * time.Hour},
		{"a billion as an exponent", [][2]string{{"Retry-After", "1e9"}}, "", 2 * time.Hour},
		{"beyond a float", [][2]string{{"Retry-After", "1e999"}}, "", 2 * time.Hour},
		{"digits without end", [][2]string{{"Retry-After", strings.Repeat("9", 400)}}, "", 2 * time.Hour},
		{"a fraction", [][2]string{{"Retry-After", "2.5"}}, "", 2500 * time.Millisecond},
		{"a fraction below the lower bound", [][2]string{{"Retry-After", "0.2"}}, "", time.Second},
		{"zero", [][2]string{{"Retry-After", "0"}}, "", time.Second},
		{"negative", [][2]string{{"Retry-After", "-5"}}, "", 0},
		{"junk", [][2]string{{"Retry-After", "soon"}}, "", 0},
		{"not a number", [][2]string{{"Retry-After", "NaN"}}, "", 0},
		{"infinity", [][2]string{{"Retry-After", "Inf"}}, "", 0},
		{"hexadecimal", [][2]string{{"Retry-After", "0x10"}}, "", 0},
		{"empty", [][2]string{{"Retry-After", ""}}, "", 0},
		{"date against the local clock", [][2]string{{"Retry-After", "Mon, 23 Nov 2026 12:02:00 GMT"}}, "", 2 * time.Minute},
		{"date against the answer's Date", [][2]string{{"Date", served}, {"Retry-After", "Mon, 23 Nov 2026 18:03:00 GMT"}}, "", 3 * time.Minute},
		{"date against an unreadable Date", [][2]string{{"Date", "today"}, {"Retry-After", "Mon, 23 Nov 2026 12:02:00 GMT"}}, "", 2 * time.Minute},
		{"date in RFC 850 form", [][2]string{{"Retry-After", "Monday, 23-Nov-26 12:02:00 GMT"}}, "", 2 * time.Minute},
		{"date that is over", [][2]string{{"Date", served}, {"Retry-After", "Mon, 23 Nov 2026 17:00:00 GMT"}}, "", time.Second},
		{"date in years", [][2]string{{"Retry-After", "Mon, 23 Nov 2099 12:00:00 GMT"}}, "", 2 * time.Hour},
		{"date before all clocks", [][2]string{{"Retry-After", "Mon, 01 Jan 0001 00:00:00 GMT"}}, "", time.Second},
		{"milliseconds", [][2]string{{"retry-after-ms", "2500"}}, "", 2500 * time.Millisecond},
		{"milliseconds in Microsoft's header", [][2]string{{"x-ms-retry-after-ms", "1500"}}, "", 1500 * time.Millisecond},
		{"milliseconds below the lower bound", [][2]string{{"retry-after-ms", "20"}}, "", time.Second},
		{"milliseconds that are junk", [][2]string{{"retry-after-ms", "-20"}}, "", 0},
		{"several headers, the longest", [][2]string{{"retry-after-ms", "2500"}, {"Retry-After", "3"}}, "", 3 * time.Second},
		{"a header twice, the longest", [][2]string{{"Retry-After", "30"}, {"Retry-After", "4"}}, "", 30 * time.Second},
		{"junk beside a good one", [][2]string{{"retry-after-ms", "x"}, {"Retry-After", "4"}}, "", 4 * time.Second},
		{"text alone", nil, "PerSubscriptionPerHourLimitExceeded - Please try again after 3636 seconds.", 3636 * time.Second},
		{"text that is longer than the header", [][2]string{{"Retry-After", "60"}}, "Please try again after 4000 seconds.", 4000 * time.Second},
		{"header that is longer than the text", [][2]string{{"Retry-After", "90"}}, "Please try again after 60 seconds.", 90 * time.Second},
		{"text with one second", nil, "try again after 1 second", time.Second},
		{"text without a number", nil, "Please try again after a while.", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			for _, line := range tt.headers {
				h.Add(line[0], line[1])
			}
			if got := retryAfter(h, tt.text, now); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func FuzzRetryAfterStaysWithinItsBounds(f *testing.F) {
	f.Add("3", "", "")
	f.Add("Mon, 23 Nov 2026 12:02:00 GMT", "1e9", "Please try again after 99999999999999999999 seconds.")
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, seconds, milliseconds, text string) {
		h := http.Header{"Retry-After": {seconds}, "Retry-After-Ms": {milliseconds}}
		if got := retryAfter(h, text, now); got != 0 && (got < MinRetryAfter || got > MaxRetryAfter) {
			t.Errorf("got %v", got)
		}
	})
}

package acs

import (
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Bounds of every RetryAfter. The service has been seen to ask for more than an
// hour; more than two is taken for a mistake of a proxy or a clock.
const (
	MinRetryAfter = time.Second
	MaxRetryAfter = 2 * time.Hour
	// DefaultRetryAfter stands for a 429 that does not say when.
	DefaultRetryAfter = time.Minute
)

// decimal leaves out what strconv.ParseFloat takes beyond it: signs, NaN, Inf,
// hexadecimal.
var decimal = regexp.MustCompile(`^\d+(\.\d*)?([eE]\+?\d+)?$`)

// tryAgain matches the text of a 429: "PerSubscriptionPerHourLimitExceeded -
// Please try again after 3636 seconds."
var tryAgain = regexp.MustCompile(`(?i)try again after (\d+) seconds?`)

// retryAfter returns the longest wait that an answer asks for, within the
// bounds, or 0 if it asks for none that can be understood. now is used against
// an HTTP-date if the answer has no Date of its own (RFC 9110 section 10.2.3).
func retryAfter(h http.Header, text string, now time.Time) time.Duration {
	longest, found := time.Duration(0), false
	consider := func(d time.Duration, ok bool) {
		longest, found = max(longest, d), found || ok
	}
	for _, v := range h.Values("Retry-After") {
		v = strings.TrimSpace(v)
		consider(multiple(v, time.Second))
		if at, err := http.ParseTime(v); err == nil {
			if date, err := http.ParseTime(h.Get("Date")); err == nil {
				now = date
			}
			consider(at.Sub(now), true)
		}
	}
	for _, name := range []string{"Retry-After-Ms", "X-Ms-Retry-After-Ms"} {
		for _, v := range h.Values(name) {
			consider(multiple(strings.TrimSpace(v), time.Millisecond))
		}
	}
	if match := tryAgain.FindStringSubmatch(text); match != nil {
		consider(multiple(match[1], time.Second))
	}
	if !found {
		return 0
	}
	return min(max(longest, MinRetryAfter), MaxRetryAfter)
}

// multiple reads a decimal number of units. It stops at MaxRetryAfter, beyond
// which a Duration could overflow.
func multiple(v string, unit time.Duration) (time.Duration, bool) {
	if !decimal.MatchString(v) {
		return 0, false
	}
	f, _ := strconv.ParseFloat(v, 64) // out of range is +Inf, which the next line bounds
	return time.Duration(math.Min(f*float64(unit), float64(MaxRetryAfter))), true
}

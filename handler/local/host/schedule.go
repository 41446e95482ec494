package host

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// schedule is an NCRONTAB expression of six fields, second first. A day must
// satisfy the day-of-month and the day-of-week field both, unlike in crontab.
// Names of months and days are not understood, nor is 7 for Sunday.
// Source: github.com/atifaziz/NCrontab, and learn.microsoft.com, "Timer trigger
// for Azure Functions", section NCRONTAB expressions.
type schedule struct {
	second, minute, hour, day, month, weekday uint64 // bit n: n is allowed
}

// horizon bounds the search for the next time: a leap day comes at the latest
// after eight years.
const horizon = 9 * 366 * 24 * time.Hour

var errFields = errors.New("a schedule has six fields: second, minute, hour, day, month, day of the week")

func parseSchedule(s string) (*schedule, error) {
	fields := strings.Fields(s)
	if len(fields) != 6 {
		return nil, fmt.Errorf("schedule %q: %w", s, errFields)
	}
	var c schedule
	for i, f := range []struct {
		into     *uint64
		low, top int
	}{{&c.second, 0, 59}, {&c.minute, 0, 59}, {&c.hour, 0, 23}, {&c.day, 1, 31}, {&c.month, 1, 12}, {&c.weekday, 0, 6}} {
		set, err := parseField(fields[i], f.low, f.top)
		if err != nil {
			return nil, fmt.Errorf("schedule %q: %w", s, err)
		}
		*f.into = set
	}
	if c.next(time.Unix(0, 0)).IsZero() {
		return nil, fmt.Errorf("schedule %q never comes", s)
	}
	return &c, nil
}

// parseField reads a comma-separated list of *, n, n-m, each perhaps with /step.
func parseField(s string, low, top int) (set uint64, err error) {
	for item := range strings.SplitSeq(s, ",") {
		span, step, stepped := strings.Cut(item, "/")
		by := 1
		if stepped {
			if by, err = strconv.Atoi(step); err != nil || by < 1 {
				return 0, fmt.Errorf("%q is not a step", item)
			}
		}
		from, to := low, top
		if span != "*" {
			first, last, ranged := strings.Cut(span, "-")
			if from, err = strconv.Atoi(first); err != nil {
				return 0, fmt.Errorf("%q is not a number", item)
			}
			if !ranged && !stepped {
				to = from
			}
			if ranged {
				if to, err = strconv.Atoi(last); err != nil {
					return 0, fmt.Errorf("%q is not a range", item)
				}
			}
		}
		if from < low || to > top || from > to {
			return 0, fmt.Errorf("%q is not within %d-%d", item, low, top)
		}
		for n := from; n <= to; n += by {
			set |= 1 << n
		}
	}
	return set, nil
}

// next is the first time after t, zero if there is none within the horizon.
func (c *schedule) next(t time.Time) time.Time {
	t = t.UTC().Truncate(time.Second).Add(time.Second)
	for end := t.Add(horizon); t.Before(end); {
		y, m, d := t.Date()
		switch {
		case c.month&(1<<m) == 0:
			t = time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC)
		case c.day&(1<<d) == 0 || c.weekday&(1<<t.Weekday()) == 0:
			t = time.Date(y, m, d+1, 0, 0, 0, 0, time.UTC)
		case c.hour&(1<<t.Hour()) == 0:
			t = t.Truncate(time.Hour).Add(time.Hour)
		case c.minute&(1<<t.Minute()) == 0:
			t = t.Truncate(time.Minute).Add(time.Minute)
		case c.second>>t.Second() == 0:
			t = t.Truncate(time.Minute).Add(time.Minute)
		default:
			skip := bits.TrailingZeros64(c.second >> t.Second())
			return t.Add(time.Duration(skip) * time.Second)
		}
	}
	return time.Time{}
}

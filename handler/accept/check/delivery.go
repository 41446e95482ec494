package check

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// delivery holds the delivery member and returns what it asks for.
func delivery(f *violations, d *mail.Delivery, now time.Time) Terms {
	switch d.Priority {
	case "", mail.PriorityHigh, mail.PriorityNormal, mail.PriorityBulk:
	default:
		f.add("/delivery/priority", "This must be one of: %s, %s, %s.", mail.PriorityHigh, mail.PriorityNormal, mail.PriorityBulk)
	}
	switch d.WhenBusy {
	case "", mail.WhenBusyWait, mail.WhenBusyRefuse:
	default:
		f.add("/delivery/whenBusy", "This must be one of: %s, %s.", mail.WhenBusyWait, mail.WhenBusyRefuse)
	}
	tagsOnce(f, d.Tags)
	t := Terms{LinkLife: linkLife(f, d.LinkExpiresAfter), Wait: d.WhenBusy != mail.WhenBusyRefuse}
	t.SendAt, t.Deadline = times(f, d, now)
	return t
}

// times reads sendAt and deadline. A sendAt that has passed is now.
func times(f *violations, d *mail.Delivery, now time.Time) (sendAt, deadline time.Time) {
	sendAt = instant(f, "/delivery/sendAt", d.SendAt, now)
	switch {
	case sendAt.After(now.Add(mail.MaxWait)):
		f.add("/delivery/sendAt", "This is more than %.0f days ahead.", mail.MaxWait.Hours()/24)
		sendAt = time.Time{}
	case !sendAt.After(now):
		sendAt = time.Time{}
	case d.WhenBusy == mail.WhenBusyRefuse:
		f.add("/delivery/whenBusy", "A message with %s has to wait: leave out one of them.", problem.Name{"/delivery/sendAt"})
	}
	from := now
	if !sendAt.IsZero() {
		from = sendAt
	}
	deadline = instant(f, "/delivery/deadline", d.Deadline, now)
	switch latest := from.Add(mail.MaxWait); {
	case d.Deadline == "" || deadline.After(latest):
		deadline = latest
	case deadline.IsZero(): // a violation that was told
	case !deadline.After(now):
		f.add("/delivery/deadline", "The deadline has passed already.")
	case !deadline.After(from):
		f.add("/delivery/deadline", "The deadline is before %s.", problem.Name{"/delivery/sendAt"})
	}
	return sendAt, deadline
}

func tagsOnce(f *violations, tags []mail.Tag) {
	first := make(map[string]string)
	for i, tag := range tags {
		if tag.Name == "" {
			continue // members says that it is missing
		}
		here := fmt.Sprintf("/delivery/tags/%d/name", i)
		if at, twice := first[tag.Name]; twice {
			f.add(here, "%s has the same name.", problem.Name{at})
			continue
		}
		first[tag.Name] = here
	}
}

var (
	// outline is the form of RFC 3339 section 5.6, in capitals. The offset may go without
	// its colon, as PHP's DATE_ISO8601 has it. time.Parse alone takes a comma, an hour
	// of one digit and an offset of any size.
	outline = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):?[0-5]\d)$`)
	naive   = regexp.MustCompile(`^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?$`)
	// fromNow is what Resend's reference shows, "in 1 min". A repeat says the same, so
	// that it is known as one, and the first one's time holds.
	fromNow = regexp.MustCompile(`(?i)^in +(\d{1,6}|an?) *(?:(s|secs?|seconds?)|(m|mins?|minutes?)|(h|hrs?|hours?)|(d|days?)|(w|weeks?))$`)
)

// instant reads a time; it is zero if there is none or none that can be read.
func instant(f *violations, pointer, s string, now time.Time) time.Time {
	if s == "" {
		return time.Time{}
	}
	if words := fromNow.FindStringSubmatch(strings.TrimSpace(s)); words != nil {
		return now.Add(span(words))
	}
	layout := time.RFC3339
	if strings.LastIndexByte(s, ':') < len("2006-01-02T15:04:05") {
		layout = "2006-01-02T15:04:05Z0700"
	}
	t, err := time.Parse(layout, s)
	switch {
	case naive.MatchString(s):
		f.add(pointer, "This time has no offset. Put Z behind it for UTC, or an offset such as +02:00.")
	case err != nil || !outline.MatchString(s):
		f.add(pointer, "This must be a time of RFC 3339 such as 2030-01-31T12:00:00Z, or in words: in 2 hours.")
	default:
		return t
	}
	return time.Time{}
}

// span is how long the words of fromNow are.
func span(words []string) time.Duration {
	n, err := strconv.Atoi(words[1])
	if err != nil {
		n = 1 // a or an
	}
	units := []time.Duration{time.Second, time.Minute, time.Hour, 24 * time.Hour, 7 * 24 * time.Hour}
	unit := units[slices.IndexFunc(words[2:], func(s string) bool { return s != "" })]
	if n > int(mail.MaxWait/unit) {
		return mail.MaxWait + unit // too far ahead, and no overflow
	}
	return unit * time.Duration(n)
}

func linkLife(f *violations, s string) time.Duration {
	if s == "" {
		return mail.DefaultLinkLife
	}
	life, err := isoDuration(s)
	if err != nil {
		f.add("/delivery/linkExpiresAfter", "%s", problem.AsSentence(err))
	} else if life < mail.MinLinkLife || life > mail.MaxLinkLife {
		f.add("/delivery/linkExpiresAfter", "This must be between %.0f and %.0f hours.", mail.MinLinkLife.Hours(), mail.MaxLinkLife.Hours())
	}
	return life
}

var (
	errDuration     = errors.New("this must be a duration of ISO 8601 in whole numbers such as P30D, P2W or PT36H")
	errDurationLong = errors.New("this duration is too long to be counted")
	errDurationYear = errors.New("years and months have no fixed length; use weeks, days, hours, minutes or seconds")
)

var (
	durations     = regexp.MustCompile(`^P(?:(\d{1,9})W|(?:(\d{1,9})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?)$`)
	calendarUnits = regexp.MustCompile(`^P[^T]*\d[YM]`)
)

// isoDuration reads the durations of RFC 3339 appendix A that have a fixed
// length, a day being 24 hours; parts in the middle may be missing, as ISO 8601
// allows (PT1H30S).
func isoDuration(s string) (time.Duration, error) {
	if calendarUnits.MatchString(s) {
		return 0, errDurationYear
	}
	parts := durations.FindStringSubmatch(s)
	if parts == nil || s == "P" || strings.HasSuffix(s, "T") {
		return 0, errDuration
	}
	var seconds int64
	for i, unit := range []int64{7 * 24 * 3600, 24 * 3600, 3600, 60, 1} {
		n, _ := strconv.ParseInt(parts[i+1], 10, 64) // 0 for a part that is missing
		seconds += n * unit                          // nine digits of weeks are far from the end of int64
	}
	if seconds > int64(math.MaxInt64/time.Second) {
		return 0, errDurationLong
	}
	return time.Duration(seconds) * time.Second, nil
}

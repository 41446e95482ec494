package check

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
)

// delivery holds the delivery member and returns what it asks for.
func delivery(f *faults, d *mail.Delivery, now time.Time) Terms {
	if d.SendAt != "" {
		f.notYet("/delivery/sendAt", "Sending at a later time is not served yet; leave it out to send now.")
	}
	if d.Priority != "" {
		f.notYet("/delivery/priority", "Priorities are not served yet; leave it out.")
	}
	switch d.WhenBusy {
	case "", mail.WhenBusyRefuse:
	case mail.WhenBusyWait:
		f.notYet("/delivery/whenBusy", "Waiting for quota is not served yet; use refuse or leave it out.")
	default:
		f.add("/delivery/whenBusy", "This must be one of: %s, %s.", mail.WhenBusyWait, mail.WhenBusyRefuse)
	}
	tagsOnce(f, d.Tags)
	return Terms{LinkLife: linkLife(f, d.LinkExpiresAfter), Deadline: deadline(f, d.Deadline, now)}
}

func tagsOnce(f *faults, tags []mail.Tag) {
	first := make(map[string]string)
	for i, tag := range tags {
		if tag.Name == "" {
			continue // members says that it is missing
		}
		here := fmt.Sprintf("/delivery/tags/%d/name", i)
		if at, twice := first[tag.Name]; twice {
			f.add(here, "The same name stands at %s.", at)
			continue
		}
		first[tag.Name] = here
	}
}

// times is the outline of RFC 3339 section 5.6, in capitals. time.Parse alone
// takes a comma, an hour of one digit and an offset of any size.
var times = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

func deadline(f *faults, s string, now time.Time) time.Time {
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || !times.MatchString(s) {
		f.add("/delivery/deadline", "This must be a time of RFC 3339 such as 2030-01-31T12:00:00Z.")
	} else if !t.After(now) {
		f.add("/delivery/deadline", "The deadline has passed already.")
	}
	return t
}

func linkLife(f *faults, s string) time.Duration {
	if s == "" {
		return mail.DefaultLinkLife
	}
	life, err := isoDuration(s)
	if err != nil {
		f.add("/delivery/linkExpiresAfter", "%s", asSentence(err))
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

package check

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
)

func TestISODuration(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	rows := []struct {
		s    string
		want time.Duration
		err  error
	}{
		{"P30D", 30 * day, nil},
		{"P2W", 14 * day, nil},
		{"PT36H", 36 * time.Hour, nil},
		{"PT90M", 90 * time.Minute, nil},
		{"PT5S", 5 * time.Second, nil},
		{"P1DT2H3M4S", day + 2*time.Hour + 3*time.Minute + 4*time.Second, nil},
		{"PT1H30S", time.Hour + 30*time.Second, nil},
		{"P007D", 7 * day, nil},
		{"P0D", 0, nil},
		{fmt.Sprintf("PT%dS", 999_999_999), 999_999_999 * time.Second, nil},
		{"P106751D", 106751 * day, nil},
		{"P106752D", 0, errDurationLong},
		{"P999999999W", 0, errDurationLong},
		{"P1Y", 0, errDurationYear},
		{"P3M", 0, errDurationYear},
		{"P1Y2M3DT4H", 0, errDurationYear},
		{"", 0, errDuration},
		{"P", 0, errDuration},
		{"PT", 0, errDuration},
		{"P1DT", 0, errDuration},
		{"1D", 0, errDuration},
		{"P1", 0, errDuration},
		{"P1H", 0, errDuration},
		{"PT1D", 0, errDuration},
		{"PT1M1H", 0, errDuration},
		{"P1W1D", 0, errDuration},
		{"-P1D", 0, errDuration},
		{"P-1D", 0, errDuration},
		{"P+1D", 0, errDuration},
		{"P1.5D", 0, errDuration},
		{"PT1,5S", 0, errDuration},
		{"p1d", 0, errDuration},
		{" P1D", 0, errDuration},
		{"P1D\n", 0, errDuration},
		{"P١D", 0, errDuration},
		{"P1234567890D", 0, errDuration},
	}
	for _, row := range rows {
		got, err := isoDuration(row.s)
		if got != row.want || !errors.Is(err, row.err) {
			t.Errorf("%q is %v, %v; want %v, %v", row.s, got, err, row.want, row.err)
		}
	}
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	later := now.Add(90 * time.Minute)
	rows := []struct {
		s    string
		want time.Time // zero: a violation
	}{
		{"2030-01-31T13:30:00Z", later},
		{"2030-01-31T14:30:00+01:00", later},
		{"2030-01-31T13:30:00-00:00", later},
		{"2030-01-31T14:30:00+0100", later}, // PHP's DATE_ISO8601
		{"2030-01-31T14:30:00.000+0100", later},
		{"in 90 min", later}, // resend.com/docs/dashboard/emails/schedule-email
		{"In 5400  seconds", later},
		{"in an hour", now.Add(time.Hour)},
		{"in 1 hour", now.Add(time.Hour)},
		{"in 2 days", now.Add(48 * time.Hour)},
		{"in 1w", now.Add(mail.MaxWait)},
		{"in 0 min", time.Time{}},
		{"tomorrow at 9am", time.Time{}},
		{"Friday at 3pm ET", time.Time{}},
		{"in 2 fortnights", time.Time{}},
		{"in two hours", time.Time{}},
		{"2030-01-31T13:30:00.000Z", later},
		{"2030-01-31T12:00:00.000000001Z", now.Add(1)},
		{"2030-01-31T12:00:00Z", time.Time{}},
		{"2020-01-31T12:00:00Z", time.Time{}},
		{"2030-01-31T13:30:00", time.Time{}},
		{"2030-01-31 13:30:00Z", time.Time{}},
		{"2030-01-31", time.Time{}},
		{"2030-1-31T13:30:00Z", time.Time{}},
		{"2030-01-31T13:30:00,5Z", time.Time{}},
		{"2030-01-31T13:30:00+24:00", time.Time{}},
		{"2030-01-31T13:30:00+2400", time.Time{}},
		{"2030-01-31T13:30:00+01", time.Time{}},
		{"2030-01-31T24:00:00Z", time.Time{}},
		{"2030-13-31T13:30:00Z", time.Time{}},
		{"2030-02-30T13:30:00Z", time.Time{}},
		{"1926208800", time.Time{}},
	}
	for _, row := range rows {
		var f violations
		_, got := times(&f, &mail.Delivery{Deadline: row.s}, now)
		if bad := row.want.IsZero(); bad != (len(f.list) == 1) || !bad && !got.Equal(row.want) {
			t.Errorf("%q is %v with violations %v, want %v", row.s, got, f.list, row.want)
		}
	}
}

// What a message asks for has an end, whether it says so or not.
func TestTermsOfWaiting(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) string { return now.Add(d).Format(time.RFC3339) }
	const week = mail.MaxWait
	for _, row := range []struct {
		name             string
		asked            mail.Delivery
		sendAt, deadline time.Time
		wait             bool
	}{
		{"nothing said", mail.Delivery{}, time.Time{}, now.Add(week), true},
		{"refuse", mail.Delivery{WhenBusy: mail.WhenBusyRefuse}, time.Time{}, now.Add(week), false},
		{"wait", mail.Delivery{WhenBusy: mail.WhenBusyWait}, time.Time{}, now.Add(week), true},
		{"tomorrow", mail.Delivery{SendAt: at(24 * time.Hour)}, now.Add(24 * time.Hour), now.Add(24*time.Hour + week), true},
		{"in a week", mail.Delivery{SendAt: at(week)}, now.Add(week), now.Add(2 * week), true},
		{"yesterday is now", mail.Delivery{SendAt: at(-24 * time.Hour)}, time.Time{}, now.Add(week), true},
		{"deadline", mail.Delivery{Deadline: at(time.Hour)}, time.Time{}, now.Add(time.Hour), true},
		{"deadline in a year", mail.Delivery{Deadline: at(365 * 24 * time.Hour)}, time.Time{}, now.Add(week), true},
		{"deadline after sendAt", mail.Delivery{SendAt: at(time.Hour), Deadline: at(2 * time.Hour)}, now.Add(time.Hour), now.Add(2 * time.Hour), true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var f violations
			got := delivery(&f, &row.asked, now)
			if !got.SendAt.Equal(row.sendAt) || !got.Deadline.Equal(row.deadline) || got.Wait != row.wait || len(f.list) > 0 {
				t.Errorf("got %+v, violations %v", got, f.list)
			}
		})
	}
}

func FuzzISO8601(f *testing.F) {
	for _, seed := range []string{"P30D", "P2W", "P1DT2H3M4S", "PT1H30S", "P", "PT", "P1Y", "P106752D", "P999999999W"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := isoDuration(s)
		if err != nil {
			if d != 0 {
				t.Fatalf("%q refused, yet %v came back", s, d)
			}
			return
		}
		if d < 0 || d%time.Second != 0 {
			t.Fatalf("%q is %v", s, d)
		}
		written := fmt.Sprintf("P%dDT%dH%dM%dS", d/(24*time.Hour), d/time.Hour%24, d/time.Minute%60, d/time.Second%60)
		if again, err := isoDuration(written); err != nil || again != d {
			t.Fatalf("%q is %v, but %q is %v, %v", s, d, written, again, err)
		}
	})
}

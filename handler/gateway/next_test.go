package gateway

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

var results = []result{accepted, rejected, silent, failing, refused, postponed, unknown, unasked, expired, forbidden, unreadable, changed}

// The rows of the table in docs/decisions/waiting.md are what next does, and name all results.
func TestNextIsTheTableOfTheDecision(t *testing.T) {
	t.Parallel()
	rows := tableRows(t)
	named := map[result]bool{}
	for i, row := range rows {
		t.Run(fmt.Sprintf("row %d: %s, %s", i+1, row[0], row[2]), func(t *testing.T) {
			t.Parallel()
			all := []result{result(row[2])}
			if row[2] == "anything" {
				all = results
			}
			for _, r := range all {
				rec, e, now := recordOf(t, row[0]), entryOf(t, row[1]), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
				o := outcome{result: r, err: problem.New(problem.ACSFailed, "no"), failure: &record.Failure{Detail: "no"}, fenced: row[0] == "sending"}
				a := next(rec, e, o, now)
				if got := []string{string(a.state), string(a.step), pauseOf(a, now)}; !slices.Equal(got, row[3:]) {
					t.Errorf("after %q: %q, want %q", r, got, row[3:])
				}
				if (a.step == deadLetter) != (a.reason != "") || (a.state == record.Failed) != (a.failure != nil && a.state != record.Unknown) {
					t.Errorf("after %q: %+v", r, a)
				}
			}
		})
		named[result(row[2])] = true
	}
	for _, r := range results {
		if !named[r] {
			t.Errorf("the table has no row for %q", r)
		}
	}
}

// tableRows are the rows of the page's table, without their head.
func tableRows(t *testing.T) (rows [][]string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/decisions/waiting.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "## The life of a queued message\n")
	table, _, _ = strings.Cut(table, "\n## ")
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(line, "|\n"), "|")
		for i := range cells {
			cells[i] = strings.Trim(strings.TrimSpace(cells[i]), "`")
		}
		if strings.HasPrefix(line, "| ") && len(cells) == 6 {
			rows = append(rows, cells)
		}
	}
	if len(rows) < 30 {
		t.Fatalf("the table has %d rows", len(rows))
	}
	return rows[2:]
}

var queuedAt = store.Key{Partition: "here", Row: "1"}

// recordOf is a record in the words of the table.
func recordOf(t *testing.T, words string) *record.Record {
	t.Helper()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	state, _, late := strings.Cut(words, ", late")
	r := &record.Record{Spooled: queuedAt, State: record.State(state), Deadline: now.Add(time.Hour), OwnerUntil: now.Add(time.Minute)}
	if late {
		r.Deadline = now.Add(-time.Second)
	}
	switch state {
	case "none":
		return nil
	case "elsewhere":
		r.State, r.Spooled.Row = record.Waiting, "2"
	case "accepted", "failed", "cancelled", "unknown", "waiting", "sending":
	case "sending, another":
		r.State = record.Sending
	case "sending, dead":
		r.State, r.OwnerUntil = record.Sending, now.Add(-time.Second)
	case "resolving":
		r.State, r.Resolving = record.Unknown, true
	default:
		t.Fatalf("the table has the record %q", words)
	}
	return r
}

// entryOf is a queue entry in the words of the table.
func entryOf(t *testing.T, words string) spool.Entry {
	t.Helper()
	e := spool.Entry{Key: queuedAt}
	for _, w := range strings.Split(words, ", ") {
		n := 0
		switch {
		case w == "":
		case w == "version":
			e.Version = "of another"
		case w == "failing":
			e.Doubt = spool.FailureAnswer
		case scan(w, "asked %d", &n):
			e.UnknownAnswers = n
		case scan(w, "repeated %d", &n):
			e.Repeats = n
		case scan(w, "tried %d", &n):
			e.Tries = n
		default:
			t.Fatalf("the table has the entry %q", words)
		}
	}
	return e
}

func scan(s, format string, n *int) bool {
	_, err := fmt.Sscanf(s, format, n)
	return err == nil
}

// pauseOf is how long an action lets its entry wait, in the words of the table.
func pauseOf(a action, now time.Time) string {
	d := a.entry.NotBefore.Sub(now)
	switch {
	case a.step != requeued || a.entry.NotBefore.IsZero():
		return ""
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d%time.Minute > 0:
		return "its owner's end"
	}
	return fmt.Sprintf("%d min", d/time.Minute)
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/problem"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestASelectionMeansWhatItsFlagsSay(t *testing.T) {
	t.Parallel()
	all := map[string]spool.Entry{
		"old":       {ID: "old", Line: spool.Line{Caller: "shop"}, Due: noon.Add(-2 * time.Hour)},
		"new":       {ID: "new", Line: spool.Line{Caller: "ops"}, Due: noon.Add(-time.Minute)},
		"scheduled": {ID: "scheduled", Line: spool.Line{Caller: "shop", Later: true}, Due: noon.Add(time.Hour)},
		"due":       {ID: "due", Line: spool.Line{Caller: "shop", Later: true}, Due: noon},
		"paused":    {ID: "paused", Line: spool.Line{Caller: "shop"}, Due: noon.Add(-time.Minute), NotBefore: noon.Add(time.Minute)},
		"tried":     {ID: "tried", Line: spool.Line{Caller: "shop"}, Due: noon.Add(-time.Minute), NotBefore: noon},
		"stopped":   {ID: "stopped", Line: spool.Line{Caller: "stopped"}, Due: noon.Add(-time.Minute), Hook: "alerts"},
		"unread":    {ID: "unread", Unreadable: true, Due: noon},
		"doubtful":  {ID: "doubtful", Line: spool.Line{Caller: "ops", Later: true}, Due: noon.Add(time.Minute), Doubt: spool.NoAnswer, NotBefore: noon.Add(time.Minute)},
	}
	for _, c := range []struct {
		name string
		s    selection
		want string
	}{
		{"all", selection{}, "old new scheduled due paused tried stopped unread doubtful"},
		{"a caller's", selection{Caller: "ops"}, "new doubtful"},
		{"by id", selection{IDs: []string{"new", "due"}}, "new due"},
		{"by id, of another caller", selection{IDs: []string{"new"}, Caller: "shop"}, ""},
		{"waiting", selection{State: waiting}, "old new due tried"},
		{"scheduled", selection{State: scheduled}, "scheduled"},
		{"in back-off", selection{State: backoff}, "paused"},
		{"paused", selection{State: paused}, "stopped"},
		{"a hook's", selection{Hook: "alerts"}, "stopped"},
		{"unreadable", selection{State: unreadable}, "unread"},
		{"in doubt", selection{State: doubt}, "doubtful"},
		{"old", selection{OlderThan: time.Hour}, "old"},
		{"not older than itself", selection{OlderThan: 2 * time.Hour}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for name, m := range all {
				if got, want := c.s.wants(&m, view{now: noon, paused: map[string]bool{"stopped": true}}), strings.Contains(" "+c.want+" ", " "+name+" "); got != want {
					t.Errorf("%s: %t, want %t", name, got, want)
				}
			}
		})
	}
}

func some(n int) []queuedMessage {
	all := make([]queuedMessage, n)
	for i := range all {
		all[i] = queuedMessage{Entry: spool.Entry{ID: strconv.Itoa(i), Line: spool.Line{Caller: fmt.Sprintf("c%d", i%10)}}, state: waiting}
	}
	return all
}

func TestWhatIsDoneToManyIsCounted(t *testing.T) {
	t.Parallel()
	late := problem.New(problem.TooLate, "It is on its way.")
	away := problem.New(problem.Unavailable, "Storage is away.")
	for _, c := range []struct {
		name  string
		do    func(n string) error
		says  string
		fails string
	}{
		{"all", func(string) error { return nil }, "Dropped 100 messages.", ""},
		{"but for one", func(id string) error {
			if id == "7" {
				return late
			}
			return nil
		}, "Dropped 99 messages.", "1 message left: on the way to ACS, ended, or in doubt"},
		{"none without storage", func(string) error { return away }, "Dropped 0 messages.", "Storage is away."},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var said bytes.Buffer
			con := &console{said: &said}
			err := eachOf(t.Context(), con, waitingJob(con, "Drop", "Dropped", func(_ context.Context, s *spool.Entry) error { return c.do(s.ID) }), some(100))
			if fails := fmt.Sprint(err); (err != nil) != (c.fails != "") || !strings.Contains(fails, c.fails) || strings.TrimSpace(said.String()) != c.says {
				t.Errorf("it says %q, and ends with %v", said.String(), err)
			}
		})
	}
}

func TestAnInterruptionSaysWhatIsLeft(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var said bytes.Buffer
	con := &console{said: &said}
	err := eachOf(ctx, con, waitingJob(con, "Drop", "Dropped", func(ctx context.Context, s *spool.Entry) error {
		if s.ID == "20" {
			cancel()
		}
		return nil
	}), some(100))
	if err == nil || !strings.Contains(err.Error(), "Run the same command again") || !strings.HasPrefix(said.String(), "Dropped ") {
		t.Errorf("it says %q, and ends with %v", said.String(), err)
	}
}

func TestAPlanNamesCallersAndStates(t *testing.T) {
	t.Parallel()
	of := waitingJob(nil, "", "", nil).of
	if got := plan([]queuedMessage{{Entry: spool.Entry{Line: spool.Line{Caller: "shop"}}, state: doubt}}, of); got != "1 message (1 doubt of shop)" {
		t.Errorf("got %q", got)
	}
	if got := plan(some(20), of); !strings.HasPrefix(got, "20 messages (2 waiting of c0, 2 waiting of c1, ") || !strings.HasSuffix(got, ", others)") {
		t.Errorf("got %q", got)
	}
}

// What cannot be undone needs a word: of a person, or of the command.
func TestWhatCannotBeUndoneIsAsked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		yes, person bool
		answer      string
		want        string // of the error; none without one
	}{
		{"said before", true, false, "", ""},
		{"a person says yes", false, true, "yes\n", ""},
		{"a person says no", false, true, "no\n", "nothing was done"},
		{"a person says nothing", false, true, "\n", "nothing was done"},
		{"nobody is there", false, false, "yes\n", "add --yes"},
		{"a terminal that ends", false, true, "", "add --yes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var said bytes.Buffer
			err := (&console{in: strings.NewReader(c.answer), said: &said, person: c.person}).confirm(c.yes, "Drop all?")
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
			if _, usage := errors.AsType[usageError](err); usage != (c.want == "add --yes") {
				t.Errorf("the error is %T", err)
			}
		})
	}
}

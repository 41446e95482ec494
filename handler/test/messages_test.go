package test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/test/world"
)

// What waits, as its operator sees and treats it.
func (p *product) testMessages(t *testing.T) {
	w := newDeployment(t, &product{p.Anew(t)}, world.Options{})
	ids := make([]string, 4)
	for i := range ids {
		ids[i] = w.MustSend(t, world.Message(later(time.Hour))).ID
	}
	t.Run("list", func(t *testing.T) { w.expectList(t, ids) })
	t.Run("show", func(t *testing.T) {
		shown := w.Operate(t, "messages", "show", ids[0])
		for _, want := range []string{ids[0], w.Caller, "scheduled", "1, at example.net", world.Sender} {
			if !strings.Contains(shown, want) {
				t.Errorf("%q is not in\n%s", want, shown)
			}
		}
		if strings.Contains(shown, world.Recipient) || strings.Contains(shown, world.Subject) || strings.Contains(shown, world.Text) {
			t.Errorf("it tells what the message says:\n%s", shown)
		}
	})
	t.Run("a dry run", func(t *testing.T) {
		if said := w.Operate(t, "messages", "drop", "--all", "--dry-run"); strings.Count(said, "\n") != len(ids) || w.waiting(t) != len(ids) {
			t.Errorf("%d wait still; it says\n%s", w.waiting(t), said)
		}
	})
	t.Run("without a word", func(t *testing.T) {
		(&product{w.Product}).expectFailure(t, w.Env, []string{"messages", "drop", "--all"}, 2, "Drop 4 messages (4 scheduled of "+w.Caller+")?")
	})
	t.Run("drop", func(t *testing.T) {
		w.Operate(t, "messages", "drop", ids[0], "--yes")
		if d := w.Get(t, world.Operation(ids[0])).Document(t); d.Status != "Canceled" {
			t.Errorf("it is %v", d.Status)
		}
		if rows, contents := w.Rows(t, "posthornqueue"), w.Contents(t); rows != 3 || contents != 3 {
			t.Errorf("%d rows and %d messages are left, want 3", rows, contents)
		}
		(&product{w.Product}).expectFailure(t, w.Env, []string{"messages", "drop", ids[0], "--yes"}, 3, "No queued message has the id")
	})
	w.PlayHost(t, 5*time.Second)
	t.Run("release", func(t *testing.T) {
		w.Operate(t, "messages", "release", ids[1], "--yes")
		w.awaitState(t, ids[1], "accepted")
		if n := len(w.ACS.Arrivals(t)); n != 1 {
			t.Errorf("ACS was called %d times", n)
		}
	})
	t.Run("pause", func(t *testing.T) { w.expectPause(t, ids[2]) })
	t.Run("revoke", func(t *testing.T) {
		w.Operate(t, "callers", "revoke", w.Caller, "--drop", "--yes")
		if rows, contents := w.Rows(t, "posthornqueue"), w.Contents(t); rows != 0 || contents != 0 {
			t.Errorf("%d rows and %d messages are left", rows, contents)
		}
	})
}

// expectPause stops all sending, releases a message meanwhile, and lets it go.
func (w *deployment) expectPause(t *testing.T, id string) {
	t.Helper()
	w.Operate(t, "sending", "pause", "--reason", "canary-reason")
	other := w.Caller + "-z" // the handler keeps what it has read of a caller for a while
	w.Operate(t, "callers", "add", other, "--sender", world.Sender)
	w.Operate(t, "callers", "pause", other, "--reason", "canary-reason")
	if said := w.Operate(t, "sending", "show"); !strings.Contains(said, "canary-reason") {
		t.Errorf("sending show says %s", said)
	}
	if said := w.Operate(t, "callers", "list"); !strings.HasSuffix(said, " yes") {
		t.Errorf("callers list says %s", said)
	}
	w.Operate(t, "messages", "release", id, "--yes")
	if said := w.Operate(t, "messages", "list", "--state", "paused"); strings.Count(said, "\n") != 1 || !strings.Contains(said, id) {
		t.Errorf("the list says %s", said)
	}
	w.Operate(t, "callers", "resume", other)
	if said := w.Operate(t, "callers", "list"); !strings.HasSuffix(said, " no") {
		t.Errorf("callers list says %s", said)
	}
	if d := w.Get(t, world.Operation(id)).Document(t); d.Delivery.State != "waiting" {
		t.Errorf("while sending is paused, the message is %s", d.Delivery.State)
	}
	w.Operate(t, "sending", "resume")
	w.awaitState(t, id, "accepted")
}

func (w *deployment) waiting(t *testing.T) int {
	t.Helper()
	return strings.Count(w.Operate(t, "messages", "list"), "\n")
}

func (w *deployment) expectList(t *testing.T, ids []string) {
	t.Helper()
	for _, c := range []struct {
		name string
		args []string
		want int
	}{
		{"all", nil, len(ids)},
		{"one", ids[:1], 1},
		{"the caller's", []string{"--caller", w.Caller}, len(ids)},
		{"another's", []string{"--caller", "nobody"}, 0},
		{"scheduled", []string{"--state", "scheduled"}, len(ids)},
		{"in doubt", []string{"--state", "doubt"}, 0},
		{"due for long", []string{"--older-than", "1m"}, 0},
	} {
		var rows []struct {
			ID, Caller, Priority, State string
			Due                         time.Time
			Bytes                       int
		}
		said := w.Operate(t, append([]string{"messages", "list", "--json"}, c.args...)...)
		if err := json.Unmarshal([]byte(said), &rows); err != nil || len(rows) != c.want {
			t.Errorf("%s: %v, %s", c.name, err, said)
		}
		for _, r := range rows {
			if r.ID == "" || r.Caller != w.Caller || r.Priority != "normal" || r.State != "scheduled" || time.Until(r.Due) < 50*time.Minute || r.Bytes == 0 {
				t.Errorf("%s: %+v", c.name, r)
			}
		}
	}
}

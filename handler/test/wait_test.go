package test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/test/world"
)

// What waits is sent by the queue function, may be cancelled until then, and what
// cannot be sent is shown to the operator.
func (p *product) testWaiting(t *testing.T) {
	w := newDeployment(t, &product{p.Anew(t)}, world.Options{})
	w.PlayHost(t, 5*time.Second)
	t.Run("until its time", w.testSendAt)
	t.Run("until it is cancelled", w.testCancel)
	t.Run("until ACS takes more", w.testWaitsForACS)
	t.Run("and cannot be sent", w.testDead)
	if n := w.Rows(t, "posthornqueue") + w.Rows(t, "posthorndeadletters") + w.Contents(t); n != 0 {
		t.Errorf("%d rows and messages are left", n)
	}
}

// soon is when a message goes that waits only for its time: on a busy machine a request takes
// seconds, too.
const soon = 6 * time.Second

// later lets a message go at a time from now.
func later(d time.Duration) func(map[string]any) {
	return world.With("delivery", map[string]any{"sendAt": time.Now().Add(d).UTC().Format(time.RFC3339Nano)})
}

// awaitState waits for what becomes of a message.
func (w *deployment) awaitState(t *testing.T, id, state string) (d world.Document) {
	t.Helper()
	var last string
	defer func() {
		if t.Failed() {
			t.Logf("the last answer was %s", last)
		}
	}()
	world.Await(t, "the state "+state, func(context.Context) bool {
		a := w.Get(t, world.Operation(id))
		d, last = a.Document(t), string(a.Body)
		return d.Delivery.State == state
	})
	return d
}

func (w *deployment) testSendAt(t *testing.T) {
	at := time.Now().Add(soon)
	message := world.Message(later(soon))
	d := w.MustSend(t, message, "Idempotency-Key", "canary-later")
	if d.Delivery.State != "waiting" || len(w.ACS.Arrivals(t)) != 0 {
		t.Errorf("before its time the state is %s", d.Delivery.State)
	}
	again := w.Send(t, message, "Idempotency-Key", "canary-later")
	if again.Header.Get("Idempotency-Replayed") != "true" || again.Document(t).ID != d.ID {
		t.Errorf("a repeat was answered %s %s", again.Status, again.Body)
	}
	w.awaitState(t, d.ID, "accepted")
	if got := w.ACS.Arrivals(t); len(got) != 1 || got[0].At.Before(at) {
		t.Errorf("it should have been sent once, at %s: %+v", at, got)
	}
	w.ACS.Message(t)
	w.Do(t, http.MethodDelete, world.Operation(d.ID), nil).Want(t, http.StatusConflict, "too-late")
}

func (w *deployment) testCancel(t *testing.T) {
	calls := len(w.ACS.Arrivals(t))
	d := w.MustSend(t, world.Message(later(time.Hour), world.Attached("a.zip", file(fileBytes+10))))
	if n := w.Rows(t, "posthornqueue"); n != 1 {
		t.Errorf("%d messages are in line, want 1", n)
	}
	for range 2 { // it may be repeated
		if a := w.Do(t, http.MethodDelete, world.Operation(d.ID), nil); a.StatusCode != http.StatusOK || a.Document(t).Delivery.State != "cancelled" {
			t.Errorf("%s: %s", a.Status, a.Body)
		}
	}
	if d := w.Get(t, world.Operation(d.ID)).Document(t); d.Status != "Canceled" {
		t.Errorf("afterwards it is %v", d.Status)
	}
	if rows, contents := w.Rows(t, "posthornqueue"), w.Contents(t); rows != 0 || contents != 0 {
		t.Errorf("%d rows and %d messages are left", rows, contents)
	}
	if n := len(w.ACS.Arrivals(t)); n != calls {
		t.Errorf("ACS was called %d times", n-calls)
	}
}

// 429 and 5xx of ACS make a message wait, and nothing is sent twice.
func (w *deployment) testWaitsForACS(t *testing.T) {
	before := len(w.ACS.Messages(t))
	w.ACS.Fault(t, `{"kind":"429","count":1,"retryAfterSeconds":1}`)
	busy := w.MustSend(t, world.Message())
	if busy.Delivery.State != "waiting" {
		t.Errorf("after 429 it is %s", busy.Delivery.State)
	}
	w.awaitState(t, busy.ID, "accepted")
	w.ACS.Fault(t, `{"kind":"500","count":1}`)
	doubtful := w.MustSend(t, world.Message())
	w.awaitState(t, doubtful.ID, "accepted")
	if n := len(w.ACS.Messages(t)) - before; n != 2 {
		t.Errorf("%d messages have arrived, want 2", n)
	}
}

func (w *deployment) testDead(t *testing.T) {
	const to = "400+canary-dead@example.net"
	d := w.MustSend(t, world.Message(later(soon), world.To(to)))
	failed := w.awaitState(t, d.ID, "failed")
	if failed.Status != "Failed" || failed.Error.Code != "BadRequest" {
		t.Errorf("its caller is told %+v", failed)
	}
	list := w.awaitDead(t, 1)
	if !strings.HasPrefix(list, "ID ") || strings.Count(list, d.ID) != 1 || !strings.Contains(list, w.Caller) {
		t.Errorf("the list is %s", list)
	}
	shown := w.Operate(t, "dead", "show", d.ID)
	for _, want := range []string{d.ID, w.Caller, "reason", "kept until", "1, at example.net", world.Sender} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is not in\n%s", want, shown)
		}
	}
	for _, secret := range []string{to, world.Subject, world.Text} {
		if strings.Contains(list+shown, secret) {
			t.Errorf("%q is in\n%s\n%s", secret, list, shown)
		}
	}

	calls := len(w.ACS.Arrivals(t))
	if dry := w.Operate(t, "dead", "retry", "--caller", w.Caller, "--reason", "acs REFUSED", "--dry-run"); strings.Count(dry, "\n") != 1 {
		t.Errorf("a dry run shows\n%s", dry)
	}
	w.Operate(t, "dead", "retry", d.ID, "--yes")
	world.Await(t, "another try", func(context.Context) bool { return len(w.ACS.Arrivals(t)) == calls+1 })
	w.awaitState(t, d.ID, "failed")
	w.awaitDead(t, 1)
	(&product{w.Product}).expectFailure(t, w.Env, []string{"dead", "drop", "--all"}, 2, "Drop 1 message (1 of "+w.Caller+")?")
	w.Operate(t, "dead", "drop", d.ID, "--yes")
	w.awaitDead(t, 0)
	(&product{w.Product}).expectFailure(t, w.Env, []string{"dead", "show", d.ID}, 3, "No dead letter has the id")
}

// awaitDead waits until the operator's list holds n, and returns it.
func (w *deployment) awaitDead(t *testing.T, n int) (list string) {
	t.Helper()
	world.Await(t, "the list", func(context.Context) bool {
		list = w.Operate(t, "dead", "list")
		return strings.Count(list, "\n") == n
	})
	return list
}

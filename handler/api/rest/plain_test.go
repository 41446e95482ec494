package rest

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/mail"
)

// Whatever of an operation may be set, its plain text is the one that JSON has.
func TestAPlainOperationIsWrittenAsJSONIs(t *testing.T) {
	t.Parallel()
	word := rapid.SampledFrom([]string{"", "Running", "accepted", "8f2c-1", `a"b`, `a\b`, "ä", "<&>", "a\nb", "a\x7fb", "a\xffb"})
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "never") {
			return time.Time{}
		}
		return time.Unix(rapid.Int64Range(0, 1<<34).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC()
	})
	rapid.Check(t, func(t *rapid.T) {
		o := operation{ID: word.Draw(t, "id"), Status: word.Draw(t, "status"), Delivery: delivery{
			State: record.State(word.Draw(t, "state")), Created: moment.Draw(t, "created"), Updated: moment.Draw(t, "updated"),
		}}
		more := rapid.SampledFrom([]func(){
			func() {},
			func() { o.Error = &acsError{"Code", "message"} },
			func() { o.Delivery.Resolving = true },
			func() { o.Delivery.Sandbox = true },
			func() { o.Delivery.Redirected = true },
			func() { o.Delivery.Expected = time.Unix(1, 0).UTC() },
			func() { o.Delivery.Deadline = time.Unix(1, 0).UTC() },
			func() { o.Delivery.Links = []link{{Name: "a.pdf"}} },
			func() { o.Delivery.Tags = []mail.Tag{{Name: "order", Value: "4711"}} },
		})
		more.Draw(t, "more")()
		text, ok := o.plainText()
		if !ok {
			return
		}
		w := httptest.NewRecorder()
		writeJSON(w, http.StatusAccepted, "application/json", o)
		if w.Body.String() != string(text) {
			t.Fatalf("plain text is %q, JSON %q", text, w.Body)
		}
	})
}

func TestTheUsualAnswerIsPlain(t *testing.T) {
	t.Parallel()
	o := operation{ID: "8f2c", Status: "Running", Delivery: delivery{State: record.Accepted, Created: time.Unix(1, 0), Updated: time.Unix(2, 0)}}
	if _, ok := o.plainText(); !ok {
		t.Error("it is not")
	}
}

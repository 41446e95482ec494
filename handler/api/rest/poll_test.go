package rest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/mail"
)

// What became of a message is the same to ACS's SDKs, to a client that knows HTTP alone,
// and in Resend's words.
func TestAPollTellsWhatBecameOfTheMessage(t *testing.T) {
	t.Parallel()
	failed := func(code string) func(t *testing.T, d *deployment, id string) {
		return func(t *testing.T, d *deployment, id string) {
			t.Helper()
			d.end(t, id, record.Failed, &record.Failure{Kind: "refused-by-acs", Upstream: code, Detail: "ACS gave up."})
		}
	}
	for _, c := range []struct {
		name    string
		becomes func(t *testing.T, d *deployment, id string)
		status  string
		code    string
		says    string
		result  int
		event   string
	}{
		{"ACS is at work", func(*testing.T, *deployment, string) {}, "Running", "", "", http.StatusAccepted, "queued"},
		{"ACS has sent it", func(t *testing.T, d *deployment, id string) { t.Helper(); d.end(t, id, record.Accepted, nil) }, "Succeeded", "", "", http.StatusOK, "sent"},
		{"all recipients are suppressed", failed("EmailDroppedAllRecipientsSuppressed"), "Failed", "EmailDroppedAllRecipientsSuppressed", "ACS gave up.", http.StatusUnprocessableEntity, "suppressed"},
		{"ACS has dropped it", failed("EmailDropped"), "Failed", "EmailDropped", "ACS gave up.", http.StatusUnprocessableEntity, "failed"},
		{"nobody can tell", func(t *testing.T, d *deployment, id string) { t.Helper(); d.end(t, id, record.Unknown, nil) }, "Failed", "OutcomeUnknown",
			"ACS gave no clear answer, so the message may or may not have been sent. Ask a recipient before sending it again.", http.StatusUnprocessableEntity, "failed"},
		{"a repeat sends it", func(t *testing.T, d *deployment, id string) {
			t.Helper()
			rec, err := d.Records.Read(t.Context(), "shop", id)
			if err == nil {
				err = d.Records.MarkUnsent(t.Context(), rec)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, "Failed", "OutcomeUnknown",
			"The process that sent the message ended, and ACS does not know the message. Send it again with the same Idempotency-Key or Operation-Id: ACS is asked first.", http.StatusUnprocessableEntity, "failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, plenty)
			id := d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("1"))).document(t).ID
			c.becomes(t, d, id)
			poll := d.do(t, d.request(t, "GET", "/emails/operations/"+id, ""))
			doc := poll.document(t)
			if poll.StatusCode != http.StatusOK || doc.Status != c.status || (poll.Header.Get("Retry-After") == "") != (c.status != "Running") {
				t.Errorf("the poll: %d %v %s", poll.StatusCode, poll.Header, poll.text)
			}
			if (doc.Error != nil) != (c.code != "") || doc.Error != nil && (doc.Error.Code != c.code || doc.Error.Message != c.says) {
				t.Errorf("the poll's error: %s", poll.text)
			}
			if res := d.do(t, d.request(t, "GET", "/emails/operations/"+id+"/result", "")); res.StatusCode != c.result || !strings.Contains(res.text, c.code) || !strings.Contains(res.text, c.says) {
				t.Errorf("the result: %d %s", res.StatusCode, res.text)
			}
			if res := d.do(t, d.request(t, "GET", "/emails/"+id, "")); field(res, "last_event") != c.event || !strings.Contains(res.text, c.code) || !strings.Contains(res.text, c.says) {
				t.Errorf("Resend's words: %s", res.text)
			}
		})
	}
}

// A repeat that comes while the first is at work gets the first's answer, in each API's
// words.
func TestARepeatWhileTheFirstIsAtWork(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, path, body, key string
		status                int
		says                  string
	}{
		{"ACS's SDKs", "/emails:send", gatewaytest.Small("Hi"), "Operation-Id", http.StatusAccepted, `"status":"Running"`},
		{"Resend's", "/emails", fmt.Sprintf(inResend, ""), "Idempotency-Key", http.StatusOK, `"id":"`},
		{"a batch of Resend's", "/emails/batch", "[" + fmt.Sprintf(inResend, "") + "]", "Idempotency-Key", http.StatusOK, `"id":"`},
		{"Postmark's", "/email", fmt.Sprintf(inPostmark, ""), "Idempotency-Key", http.StatusOK, `"ErrorCode":0`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, plenty)
			const id = "6f1c9a54-0b1e-4e55-9d53-c2f8e2c0a7d1"
			again := make(chan answer, 1)
			d.ACS.Answer = func(*mail.Message) (bool, error) {
				go func() { again <- d.do(t, d.request(t, "POST", c.path, c.body, c.key, id)) }()
				return true, nil
			}
			first := d.do(t, d.request(t, "POST", c.path, c.body, c.key, id))
			res := <-again
			if res.StatusCode != c.status || !strings.Contains(res.text, c.says) {
				t.Errorf("the repeat: %d %v %s", res.StatusCode, res.Header, res.text)
			}
			if c.status == http.StatusAccepted {
				for _, name := range []string{"Operation-Location", "Location"} {
					if res.Header.Get(name) != first.Header.Get(name) || res.Header.Get(name) == "" {
						t.Errorf("%s is %q, that of the first %q", name, res.Header.Get(name), first.Header.Get(name))
					}
				}
				if res.Header.Get("Idempotency-Replayed") != "true" {
					t.Error("it does not say that it is a repeat")
				}
			}
			if len(d.ACS.Sent) != 1 {
				t.Errorf("%d were sent", len(d.ACS.Sent))
			}
		})
	}
}

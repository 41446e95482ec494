package sendtest

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/deliver/acs"
)

const anID = "0f3c1b6e-52c5-4c1f-9c0e-6f1d2a7b8c9d"

// What ACS refuses is told in its words, with what to do.
func TestACSRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, code, message string
		status              int
		away, passing       bool
		says, advice        string
	}{
		{"no role", "Denied", "Denied by the resource provider.", 401, true, false, "ACS refused the message: Denied by the resource provider. (401 Denied)", "Communication and Email Service Owner"},
		{"no role, without words", "", "", 403, true, false, "ACS refused the message: 403 ", "Communication and Email Service Owner"},
		{"clock", "Denied", "The time difference between the originating client and the server is greater than 5 minutes.", 401, true, false, "(401 Denied)", "Set the clock"},
		{"domain", "DomainNotLinked", "The specified sender domain has not been linked.", 404, true, false, "(404 DomainNotLinked)", "Link the sender's domain"},
		{"no resource", "", "", 404, true, false, "404", "POSTHORN_ACS_ENDPOINT"},
		{"sender", "InvalidSenderUserName", "Invalid email sender username", 400, true, false, "(400 InvalidSenderUserName)", "donotreply is on every domain"},
		{"recipient", "InvalidEmailAddress", "Invalid format for email address", 400, false, false, "(400 InvalidEmailAddress)", "recipient's address"},
		{"limit", "TooManyRequests", "PerSubscriptionPerHourLimitExceeded - Please try again after 3636 seconds.", 429, false, true, "(429 TooManyRequests)", "Try again in 1h0m36s."},
		{"a bad day", "ServiceUnavailable", "Later.", 503, true, true, "(503 ServiceUnavailable)", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				if c.code != "" {
					_, _ = io.WriteString(w, `{"error":{"code":"`+c.code+`","message":"`+c.message+`"}}`)
				}
			}))
			t.Cleanup(s.Close)
			_, err := Direct{newClient(t, s.URL)}.Send(t.Context(), anID, Message{Sender: "a@example.com", To: "b@example.net", Subject: "s", Text: "t"})
			f, ok := errors.AsType[*Fault](err)
			if !ok || !strings.Contains(f.Detail, c.says) || !strings.Contains(f.Advice, c.advice) || (f.Advice == "") != (c.advice == "") || f.Away != c.away || f.passing != c.passing {
				t.Errorf("got %+v", err)
			}
		})
	}
	t.Run("away", func(t *testing.T) {
		t.Parallel()
		s := httptest.NewServer(http.NotFoundHandler())
		s.Close()
		_, err := Direct{newClient(t, s.URL)}.Send(t.Context(), anID, Message{})
		if f, ok := errors.AsType[*Fault](err); !ok || f.Detail != "ACS could not be asked: connection refused." || !f.Away || !strings.Contains(f.Advice, "POSTHORN_CREDENTIAL") {
			t.Errorf("got %+v", err)
		}
	})
}

func newClient(t *testing.T, endpoint string) *acs.Client {
	t.Helper()
	client, err := acs.NewClientWithKey(endpoint, "c2VjcmV0", nil)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// ACS may not know an operation yet that it has just taken; what it says of one, and what
// it says when it is busy, is not the end.
func TestACSIsAsked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body string
		status     int
		want       Status
		passing    bool
	}{
		{"not known yet", "", 404, Status{Word: "Running"}, false},
		{"at work", `{"id":"` + anID + `","status":"Running"}`, 200, Status{Word: "Running"}, false},
		{"dropped", `{"id":"` + anID + `","status":"Failed","error":{"code":"EmailDropped","message":"Dropped."}}`, 200, Status{Word: "Failed", Code: "EmailDropped", Detail: "Dropped."}, false},
		{"busy", `{"error":{"code":"TooManyRequests"}}`, 429, Status{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			t.Cleanup(s.Close)
			got, err := Direct{newClient(t, s.URL)}.Ask(t.Context(), anID)
			f, _ := errors.AsType[*Fault](err)
			if got != c.want || (f != nil) != c.passing || f != nil && !f.passing {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

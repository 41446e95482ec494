package wiring

import (
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/deliver/acs"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

const operation = "11111111-1111-4111-8111-111111111111"

// senderTo is a sender to a server that answers as h does.
func senderTo(t *testing.T, h http.HandlerFunc) *sender {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	client, err := acs.NewClientWithKey(server.URL, base64.StdEncoding.EncodeToString([]byte("key")), nil)
	if err != nil {
		t.Fatal(err)
	}
	return newSender(client, slog.New(slog.DiscardHandler), false)
}

func message() *mail.Message {
	return &mail.Message{
		SenderAddress: "donotreply@example.com",
		Content:       mail.Content{Subject: "Hello", PlainText: "Hi"},
		Recipients:    mail.Recipients{To: []mail.Address{{Address: "ann@example.com"}}},
		Attachments: []mail.Attachment{
			{Name: "moved.bin", ContentType: "application/octet-stream"},
			{Name: "kept.txt", ContentType: "text/plain", Content: []byte("kept")},
		},
	}
}

func TestWhatACSSaysBecomesTheRightProblem(t *testing.T) {
	t.Parallel()
	answer := func(status int, text string, headers ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		}
	}
	const doubt = "doubt"
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   string // a problem's slug, doubt, or nothing
		code   string
		wait   time.Duration
		inner  bool // ACS's sentence is for the log alone
	}{
		{"accepted", answer(202, `{"id":"`+operation+`","status":"Running"}`), "", "", 0, false},
		{"invalid address", answer(400, `{"error":{"code":"InvalidEmailAddress","message":"said by ACS"}}`), "refused-by-acs", "InvalidEmailAddress", 0, false},
		{"too large", answer(413, ``), "refused-by-acs", "", 0, false},
		{"busy", answer(429, `{"error":{"code":"TooManyRequests","message":"said by ACS"}}`, "Retry-After", "77"), "acs-busy", "TooManyRequests", 77 * time.Second, true},
		{"denied", answer(401, `{"error":{"code":"Denied","message":"said by ACS"}}`), "acs-misconfigured", "", 0, true},
		{"clocks that differ", answer(401, `{"error":{"message":"The time difference between the originating client and the server is greater than the allowed margin, said by ACS"}}`), "acs-failed", "", 0, true},
		{"domain not linked", answer(404, `{"error":{"code":"DomainNotLinked","message":"said by ACS"}}`), "acs-misconfigured", "", 0, true},
		{"error after the body", answer(500, ``), doubt, "", 0, true},
		{"connection cut after the body", func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			panic(http.ErrAbortHandler)
		}, doubt, "", 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := senderTo(t, c.answer).Send(t.Context(), operation, message(), false)
			got, p := "", problem.Of(err)
			switch {
			case errors.Is(err, gateway.ErrDoubt):
				got = doubt
			case err != nil:
				got = p.Kind.Slug()
			}
			if got != c.want {
				t.Fatalf("got %q (%v), want %q", got, err, c.want)
			}
			if got != "" && got != doubt && (p.Upstream != c.code || p.RetryAfter != c.wait) {
				t.Errorf("code %q, wait %s", p.Upstream, p.RetryAfter)
			}
			if c.inner && strings.Contains(p.Detail, "said by ACS") {
				t.Errorf("the caller is told %q", p.Detail)
			}
		})
	}
}

// A 401 minutes after an accepted call will pass; the first one, and one long after, will
// not.
func TestA401AfterAnAcceptedCallPasses(t *testing.T) {
	t.Parallel()
	status := http.StatusUnauthorized
	s := senderTo(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"id":"`+operation+`","status":"Running"}`)
	})
	send := func(answer int, want problem.Kind, name string) {
		t.Helper()
		status = answer
		if err := s.Send(t.Context(), operation, message(), false); (err != nil) != (answer != http.StatusAccepted) || err != nil && !problem.Is(err, want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	send(http.StatusUnauthorized, problem.ACSMisconfigured, "before any was accepted")
	send(http.StatusAccepted, 0, "accepted")
	send(http.StatusUnauthorized, problem.ACSFailed, "just after")
	s.accepted.Add(-int64(lately))
	send(http.StatusUnauthorized, problem.ACSMisconfigured, "long after")
}

// A refusal can be told to Microsoft's support, and says nothing of the message.
func TestTheLogHasWhatSupportAsksFor(t *testing.T) {
	t.Parallel()
	s := senderTo(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("MS-CV", "vector.0")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":{"code":"InvalidEmailAddress","message":"ann@example.com is none"}}`)
	})
	var log strings.Builder
	s.log = slog.New(slog.NewTextHandler(&log, nil))
	if err := s.Send(t.Context(), operation, message(), false); err == nil {
		t.Error("no error")
	}
	if _, err := s.Fate(t.Context(), operation); err == nil {
		t.Error("no error of a question")
	}
	const want = `msg="ACS refused a call" acs_operation=` + operation + ` acs_status=400 acs_code=InvalidEmailAddress acs_ms_cv=vector.0`
	if strings.Count(log.String(), want) != 2 || strings.Contains(log.String(), "ann@") {
		t.Errorf("the log has %s", log.String())
	}
}

// The sender's name goes to ACS where its api-version has a place for it, and counts
// in the size of a message there.
func TestTheSendersNameIsForThePreview(t *testing.T) {
	t.Parallel()
	m := message()
	m.SenderDisplayName = "Shop"
	with, without := &sender{names: true}, &sender{}
	if got := with.toACS(m, operation).SenderDisplayName; got != "Shop" {
		t.Errorf("with the preview %q is sent", got)
	}
	if got := without.toACS(m, operation).SenderDisplayName; got != "" {
		t.Errorf("without it %q is sent", got)
	}
	if more := with.Size(m) - without.Size(m); more != int64(len(`,"senderDisplayName":"Shop"`)) {
		t.Errorf("it takes %d bytes", more)
	}
}

func TestNobodyThereIsCertainlyNotSent(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	client, err := acs.NewClientWithKey(server.URL, base64.StdEncoding.EncodeToString([]byte("key")), nil)
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	err = newSender(client, slog.New(slog.DiscardHandler), false).Send(t.Context(), operation, message(), false)
	if !problem.Is(err, problem.ACSFailed) || errors.Is(err, gateway.ErrDoubt) {
		t.Errorf("got %v", err)
	}
}

func TestTheFateOfAnOperation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		status int
		text   string
		known  bool
		ended  bool
		code   string
		failed bool // the question itself
	}{
		{"running", 200, `{"id":"x","status":"Running"}`, true, false, "", false},
		{"succeeded", 200, `{"id":"x","status":"Succeeded"}`, true, true, "", false},
		{"failed", 200, `{"id":"x","status":"Failed","error":{"code":"EmailDropped","message":"m"}}`, true, true, "EmailDropped", false},
		{"not known", 404, ``, false, false, "", false},
		{"not allowed to ask", 401, ``, false, false, "", true},
		{"too many questions", 429, ``, false, false, "", true},
		{"error", 500, ``, false, false, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := senderTo(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.text)
			})
			got, err := s.Fate(t.Context(), operation)
			if got.Known != c.known || got.Ended != c.ended || (err != nil) != c.failed || (got.Failure != nil) != (c.code != "") {
				t.Fatalf("got %+v, error %v", got, err)
			}
			if got.Failure != nil && got.Failure.Upstream != c.code {
				t.Errorf("code %s", got.Failure.Upstream)
			}
		})
	}
}

func TestTheSizeIsThatOfTheRequest(t *testing.T) {
	t.Parallel()
	var sent int64
	s := senderTo(t, func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		sent = int64(len(text))
		if strings.Contains(string(text), "moved.bin") || !strings.Contains(string(text), "kept.txt") {
			t.Errorf("sent %s", text)
		}
		w.WriteHeader(http.StatusAccepted)
	})
	m := message()
	if err := s.Send(t.Context(), operation, m, false); err != nil {
		t.Fatal(err)
	}
	if got := s.Size(m); got != sent {
		t.Errorf("size %d, sent %d", got, sent)
	}
}

// A repeat is identical to the byte, and a refusal of it as one is told apart.
func TestARepeatIsKnownAsOne(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		status     int
		again      bool
		repeat     bool
	}{
		{"operation id", "Operation-Id was used before", 400, true, true},
		{"Message-ID", "The Message-ID is a duplicate", 400, true, true},
		{"conflict", "", 409, true, true},
		{"another fault", "Invalid format for email address", 400, true, false},
		{"no repeat", "The Message-ID is a duplicate", 400, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var bodies []string
			s := senderTo(t, func(w http.ResponseWriter, r *http.Request) {
				text, _ := io.ReadAll(r.Body)
				bodies = append(bodies, string(text))
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, `{"error":{"code":"BadRequest","message":"`+c.text+`"}}`)
			})
			_ = s.Send(t.Context(), operation, message(), false) // refused, as the next is
			if err := s.Send(t.Context(), operation, message(), c.again); errors.Is(err, gateway.ErrRepeat) != c.repeat {
				t.Errorf("got %v", err)
			}
			if bodies[0] != bodies[1] || !strings.Contains(bodies[0], "<"+operation+"@example.com>") {
				t.Errorf("sent %s and %s", bodies[0], bodies[1])
			}
		})
	}
}

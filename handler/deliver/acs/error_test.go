package acs_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/posthorn/posthorn/handler/deliver/acs"
)

func TestRefusalsOfSend(t *testing.T) {
	t.Parallel()
	type want struct {
		code          string
		accepted      acs.Acceptance
		temporary     bool
		misconfigured bool
		retryAfter    time.Duration
		window        acs.Window
		text          string
	}
	form := func(code, message string) string {
		return `{"error":{"code":"` + code + `","message":"` + message + `","target":null,"details":null,"innererror":null}}`
	}
	tests := []struct {
		name    string
		status  int
		body    string
		headers []string
		want    want
	}{
		{"body not valid", 400, form("BadRequest", "Request body validation error. See property 'attachments[0].contentType'"), nil,
			want{code: "BadRequest", accepted: acs.NotAccepted, text: "acs: send: HTTP 400 BadRequest, not accepted"}},
		{"recipient not valid", 400, form("InvalidEmailAddress", "Invalid format for email address"), nil,
			want{code: "InvalidEmailAddress", accepted: acs.NotAccepted, text: "acs: send: HTTP 400 InvalidEmailAddress, not accepted"}},
		{"sender not on the domain", 400, form("InvalidSenderUserName", "Invalid email sender username"), nil,
			want{code: "InvalidSenderUserName", accepted: acs.NotAccepted, misconfigured: true, text: "acs: send: HTTP 400 InvalidSenderUserName, not accepted"}},
		{"denied", 401, form("Denied", "Denied by the resource provider."), nil,
			want{code: "Denied", accepted: acs.NotAccepted, misconfigured: true, text: "acs: send: HTTP 401 Denied, not accepted"}},
		{"forbidden without a body", 403, "", nil,
			want{accepted: acs.NotAccepted, misconfigured: true, text: "acs: send: HTTP 403, not accepted"}},
		{"domain not linked", 404, form("DomainNotLinked", "The specified sender domain has not been linked."), nil,
			want{code: "DomainNotLinked", accepted: acs.NotAccepted, misconfigured: true, text: "acs: send: HTTP 404 DomainNotLinked, not accepted"}},
		{"request timeout", 408, "", nil,
			want{accepted: acs.MayBeAccepted, temporary: true, text: "acs: send: HTTP 408, may be accepted"}},
		{"conflict", 409, form("Conflict", "x"), nil,
			want{code: "Conflict", accepted: acs.MayBeAccepted, temporary: true, text: "acs: send: HTTP 409 Conflict, may be accepted"}},
		{"precondition", 412, form("RepeatabilityFirstSentOutsideWindow", "x"), nil,
			want{code: "RepeatabilityFirstSentOutsideWindow", accepted: acs.NotAccepted, text: "acs: send: HTTP 412 RepeatabilityFirstSentOutsideWindow, not accepted"}},
		{"too large", 413, "<html>Request Entity Too Large</html>", nil,
			want{accepted: acs.NotAccepted, text: "acs: send: HTTP 413, not accepted"}},
		{"limit of the minute", 429, form("TooManyRequests", "PerSubscriptionPerMinuteLimitExceeded - Please try again after 60 seconds."), []string{"Retry-After", "42"},
			want{code: "TooManyRequests", accepted: acs.NotAccepted, temporary: true, retryAfter: time.Minute, window: acs.MinuteWindow, text: "acs: send: HTTP 429 TooManyRequests, limit of the minute, not accepted"}},
		{"limit of the hour", 429, form("TooManyRequests", "PerSubscriptionPerHourLimitExceeded - Please try again after 3636 seconds."), []string{"Retry-After", "3636"},
			want{code: "TooManyRequests", accepted: acs.NotAccepted, temporary: true, retryAfter: 3636 * time.Second, window: acs.HourWindow, text: "acs: send: HTTP 429 TooManyRequests, limit of the hour, not accepted"}},
		{"limit in plain text", 429, "PerSubscriptionPerHourLimitExceeded - Please try again after 4000 seconds.", nil,
			want{accepted: acs.NotAccepted, temporary: true, retryAfter: 4000 * time.Second, window: acs.HourWindow, text: "acs: send: HTTP 429, limit of the hour, not accepted"}},
		{"limit without a word", 429, "", nil,
			want{accepted: acs.NotAccepted, temporary: true, retryAfter: time.Minute, text: "acs: send: HTTP 429, not accepted"}},
		{"limit with junk for a wait", 429, "", []string{"Retry-After", "-1"},
			want{accepted: acs.NotAccepted, temporary: true, retryAfter: time.Minute, text: "acs: send: HTTP 429, not accepted"}},
		{"server error", 500, form("InternalServerError", "x"), nil,
			want{code: "InternalServerError", accepted: acs.MayBeAccepted, temporary: true, text: "acs: send: HTTP 500 InternalServerError, may be accepted"}},
		{"bad gateway", 502, "<html>", nil,
			want{accepted: acs.MayBeAccepted, temporary: true, text: "acs: send: HTTP 502, may be accepted"}},
		{"unavailable", 503, "", []string{"Retry-After", "10"},
			want{accepted: acs.MayBeAccepted, temporary: true, retryAfter: 10 * time.Second, text: "acs: send: HTTP 503, may be accepted"}},
		{"gateway timeout", 504, "", nil,
			want{accepted: acs.MayBeAccepted, temporary: true, text: "acs: send: HTTP 504, may be accepted"}},
		{"code in the header alone", 400, "", []string{"x-ms-error-code", "BadRequest"},
			want{code: "BadRequest", accepted: acs.NotAccepted, text: "acs: send: HTTP 400 BadRequest, not accepted"}},
		{"code that is none", 400, form("bob@example.org did it", "x"), nil,
			want{accepted: acs.NotAccepted, text: "acs: send: HTTP 400, not accepted"}},
		{"error that is a string", 400, `{"error":"invalid"}`, nil,
			want{accepted: acs.NotAccepted, text: "acs: send: HTTP 400, not accepted"}},
		{"redirect to the same method", 308, "", []string{"Location", "https://elsewhere.example.com"},
			want{accepted: acs.NotAccepted, misconfigured: true, text: "acs: send: HTTP 308, not accepted"}},
		{"redirect to a result", 303, "", []string{"Location", "https://elsewhere.example.com"},
			want{accepted: acs.MayBeAccepted, misconfigured: true, text: "acs: send: HTTP 303, may be accepted"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, say(tt.status, tt.body, append(tt.headers, "MS-CV", "v-1.0", "mise-correlation-id", "c-1", "X-Azure-Ref", "r-1")...))
			_, err := keyClient(t, s.URL, nil).Send(t.Context(), id, hello())
			e, ok := errors.AsType[*acs.Error](err)
			if !ok {
				t.Fatalf("got %v", err)
			}
			got := want{e.Code, e.Accepted, e.Temporary(), e.Misconfigured(), e.RetryAfter, e.Window, e.Error()}
			if got != tt.want || e.StatusCode != tt.status {
				t.Errorf("\n got %+v\nwant %+v", got, tt.want)
			}
			if e.Trace != (acs.Trace{MSCV: "v-1.0", CorrelationID: "c-1", AzureRef: "r-1"}) {
				t.Errorf("trace: got %+v", e.Trace)
			}
			if e.Wrote != hello().Size() {
				t.Errorf("wrote: got %d", e.Wrote)
			}
			if _, leaked := errors.AsType[*azcore.ResponseError](err); leaked {
				t.Error("an error of azcore leaked")
			}
			if seen := s.requests(); len(seen) != 1 {
				t.Errorf("got %d requests, want 1", len(seen))
			}
		})
	}
}

func TestRetriesStayOffWhateverTheOptionsSay(t *testing.T) {
	t.Parallel()
	s := serve(t, say(503, "", "Retry-After", "0"))
	o := new(acs.ClientOptions)
	o.Retry = policy.RetryOptions{MaxRetries: 5, RetryDelay: 1}
	ctx := policy.WithRetryOptions(t.Context(), o.Retry)
	c := keyClient(t, s.URL, o)
	if _, err := c.Send(ctx, id, hello()); err == nil {
		t.Error("no error")
	}
	if _, err := c.Status(ctx, id); err == nil {
		t.Error("no error")
	}
	if seen := s.requests(); len(seen) != 2 {
		t.Errorf("got %d requests, want 2", len(seen))
	}
}

func TestRefusalsOfStatus(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		status    int
		body      string
		notFound  bool
		temporary bool
		text      string
	}{
		{"not there, or not yet", 404, `{"error":{"code":"NotFound","message":"Requested message could not be located."}}`, true, true, "acs: status: HTTP 404 NotFound"},
		{"denied", 401, `{"error":{"code":"Denied"}}`, false, false, "acs: status: HTTP 401 Denied"},
		{"limit", 429, ``, false, true, "acs: status: HTTP 429"},
		{"server error", 500, ``, false, true, "acs: status: HTTP 500"},
		{"an answer without a body", 204, ``, false, false, "acs: status: HTTP 204"},
		{"an answer that is no JSON", 200, `{"id":`, false, true, "acs: status: unreadable answer, HTTP 200"},
		{"an answer without a status", 200, `{}`, false, true, "acs: status: unreadable answer, HTTP 200"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := keyClient(t, serve(t, say(tt.status, tt.body)).URL, nil).Status(t.Context(), id)
			e, ok := errors.AsType[*acs.Error](err)
			if !ok || e.StatusCode != tt.status {
				t.Fatalf("got %v", err)
			}
			if e.Misconfigured() != (tt.status == http.StatusUnauthorized) {
				t.Errorf("misconfigured %t", e.Misconfigured())
			}
			if errors.Is(err, acs.ErrNotFound) != tt.notFound || e.Temporary() != tt.temporary || e.Error() != tt.text {
				t.Errorf("got %q, not found %t, temporary %t", e.Error(), errors.Is(err, acs.ErrNotFound), e.Temporary())
			}
		})
	}
}

func TestEverySuccessIsAccepted(t *testing.T) {
	t.Parallel()
	large := `{"id":"` + id + `","status":"Running","padding":"` + strings.Repeat("x", acs.MaxAnswerBytes) + `"}`
	tests := []struct {
		name   string
		status int
		body   string
		want   acs.Status
	}{
		{"no body", 202, ``, acs.Running},
		{"no JSON", 202, `<html>`, acs.Running},
		{"JSON cut off", 202, `{"id":"` + id + `","sta`, acs.Running},
		{"JSON of another kind", 202, `[]`, acs.Running},
		{"more than is read", 202, large, acs.Running},
		{"error of an odd type", 202, `{"id":"` + id + `","status":"Running","error":"none"}`, acs.Running},
		{"a status that is new", 202, `{"id":"` + id + `","status":"Queued"}`, "Queued"},
		{"OK", 200, `{"status":"Running"}`, acs.Running},
		{"created", 201, ``, acs.Running},
		{"no content", 204, ``, acs.Running},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			op, err := keyClient(t, serve(t, say(tt.status, tt.body)).URL, nil).Send(t.Context(), id, hello())
			if err != nil || op.ID != id || op.Status != tt.want {
				t.Errorf("got %+v, %v", op, err)
			}
		})
	}
}

func TestTextsOfTheServiceAreKeptButNotInTheError(t *testing.T) {
	t.Parallel()
	s := serve(t, say(400, `{"error":{"code":"BadRequest","message":"bob@example.org\r\nis \u0000wrong`+strings.Repeat("é", 2000)+`","target":"recipients.to[0]"}}`))
	_, err := keyClient(t, s.URL, nil).Send(t.Context(), id, hello())
	e, ok := errors.AsType[*acs.Error](err)
	if !ok {
		t.Fatal(err)
	}
	if !strings.HasPrefix(e.Message, "bob@example.org  is  wrong") || len([]rune(e.Message)) != 1024 || e.Target != "recipients.to[0]" {
		t.Errorf("message %q, target %q", e.Message, e.Target)
	}
	if e.Error() != "acs: send: HTTP 400 BadRequest, not accepted" {
		t.Errorf("got %q", e.Error())
	}
}

func TestCredentialThatFails(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, accept)
	failure := errors.New("secret-tenant\nsecret-client")
	c, err := acs.NewClient(s.URL, &tokens{failed: failure}, withTransport(s.Client()))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Send(t.Context(), id, hello())
	e, ok := errors.AsType[*acs.Error](err)
	if !ok || e.Accepted != acs.NotAccepted || e.Wrote != 0 || !e.Temporary() || !errors.Is(err, failure) {
		t.Errorf("got %+v", e)
	}
	if err.Error() != "acs: send: no token from the credential, not accepted" {
		t.Errorf("got %q", err)
	}
	if len(s.requests()) != 0 {
		t.Error("a request was made")
	}
}

// A stored id that is asked for twice must make two equal requests.
func TestRepeatIsTheIdenticalRequest(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	s := serve(t, accept)
	c := keyClient(t, s.URL, &acs.ClientOptions{Now: func() time.Time { return at }})
	m := hello()
	m.Headers = map[string]string{}
	for i := range 20 {
		m.Headers["X-"+strconv.Itoa(i)] = "v"
	}
	for range 2 {
		if _, err := c.Send(context.Background(), id, m); err != nil {
			t.Fatal(err)
		}
	}
	seen := s.requests()
	if string(seen[0].body) != string(seen[1].body) || seen[0].header.Get("Authorization") != seen[1].header.Get("Authorization") {
		t.Error("the requests differ")
	}
	if got := seen[0].header.Get("x-ms-date"); got != at.Format(http.TimeFormat) {
		t.Errorf("x-ms-date: got %q", got)
	}
}

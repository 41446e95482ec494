package resend

import (
	"net/http"
	"regexp"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// Sent is the answer to POST /emails, and one item of that to POST /emails/batch.
type Sent struct {
	ID string `json:"id"`
}

// Batch is the answer to POST /emails/batch. Errors is there in the permissive
// mode alone.
type Batch struct {
	Data   []Sent       `json:"data"`
	Errors []BatchError `json:"errors,omitempty"`
}

// BatchError is why the message at an index of the request was not taken.
type BatchError struct {
	Index   int    `json:"index"`
	Message string `json:"message"`
}

// Email is the answer to GET /emails/{id}. Of a message nothing is kept that a
// person wrote, so what Resend would repeat of it is null.
type Email struct {
	Object      string     `json:"object"`
	ID          string     `json:"id"`
	CreatedAt   time.Time  `json:"created_at"`
	LastEvent   string     `json:"last_event"`
	ScheduledAt *time.Time `json:"scheduled_at"`
	Tags        []mail.Tag `json:"tags,omitempty"`
	Error       *Failure   `json:"error,omitempty"` // which Resend has not
	From        *string    `json:"from"`
	To          []string   `json:"to"`
	CC          []string   `json:"cc"`
	BCC         []string   `json:"bcc"`
	ReplyTo     []string   `json:"reply_to"`
	Subject     *string    `json:"subject"`
	HTML        *string    `json:"html"`
	Text        *string    `json:"text"`
}

// Failure is why a message was not sent, with ACS's code if ACS said it.
type Failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// pointerOfACS is a JSON pointer before a reason, as records keep them.
var pointerOfACS = regexp.MustCompile(`(^| )(/[^ :]+): `)

// Failed is why a message failed. Records keep JSON pointers of ACS's members, and not of
// those that the caller wrote.
func Failed(code, kept string) *Failure {
	return &Failure{code, pointerOfACS.ReplaceAllStringFunc(kept, func(found string) string {
		parts := pointerOfACS.FindStringSubmatch(found)
		return parts[1] + pointers.Of(parts[2]) + ": "
	})}
}

// Canceled is the answer to POST /emails/{id}/cancel.
type Canceled struct {
	Object string `json:"object"`
	ID     string `json:"id"`
}

// Object is what Resend calls a message in an answer.
const Object = "email"

// Error is a problem in Resend's form. What Resend has no word for stands beside
// it: no client minds.
type Error struct {
	StatusCode int                 `json:"statusCode"`
	Name       string              `json:"name"`
	Message    string              `json:"message"`
	Type       string              `json:"type"`
	Errors     []problem.Violation `json:"errors,omitempty"`
}

// form is how Resend calls a kind of problem. Source: the list of errors in
// Resend's documentation, as src/error.rs of resend-rust has it.
type form struct {
	status int
	name   string
}

var forms = map[problem.Kind]form{
	problem.MalformedJSON:        {http.StatusBadRequest, "validation_error"},
	problem.InvalidMessage:       {http.StatusUnprocessableEntity, "validation_error"},
	problem.InvalidRequest:       {http.StatusBadRequest, "invalid_idempotency_key"},
	problem.Unauthenticated:      {http.StatusForbidden, "invalid_api_key"},
	problem.Forbidden:            {http.StatusForbidden, "validation_error"},
	problem.NotFound:             {http.StatusNotFound, "not_found"},
	problem.MethodNotAllowed:     {http.StatusMethodNotAllowed, "method_not_allowed"},
	problem.KeyReused:            {http.StatusConflict, "invalid_idempotent_request"},
	problem.TooLate:              {http.StatusConflict, "validation_error"},
	problem.TooLarge:             {http.StatusRequestEntityTooLarge, "validation_error"},
	problem.UnsupportedMediaType: {http.StatusUnsupportedMediaType, "validation_error"},
	problem.RefusedByACS:         {http.StatusUnprocessableEntity, "validation_error"},
	problem.DeadlinePassed:       {http.StatusUnprocessableEntity, "validation_error"},
}

// Refusal is the status and the body of an answer that says what is wrong. keyed
// says whether the request had a key at all.
func Refusal(p *problem.Problem, keyed bool) (status int, body any) {
	f, ok := forms[p.Kind]
	switch {
	case p.Kind == problem.Unauthenticated && !keyed:
		f = form{http.StatusUnauthorized, "missing_api_key"}
	case !ok && p.Kind.Status() == http.StatusTooManyRequests:
		f = form{http.StatusTooManyRequests, "rate_limit_exceeded"}
	case !ok:
		f = form{p.Kind.Status(), "application_error"}
	}
	return f.status, Error{f.status, f.name, p.Sentence(), p.Kind.Type(), p.Violations}
}

// events are Resend's words for the states of a message that decide/record has.
// Source: last_event in Resend's OpenAPI document.
var events = map[string]string{
	"waiting": "scheduled", "accepted": "sent", "failed": "failed", "cancelled": "canceled",
	// It may have been sent, and Resend has no word for doubt.
	"unknown": "failed",
}

// allSuppressed is ACS's code for a message whose recipients are all suppressed. Resend has
// the same state.
const allSuppressed = "EmailDroppedAllRecipientsSuppressed"

// Event is the last event of a message that is in a state. running says that ACS is
// still at work on it, code is ACS's if it failed.
func Event(state string, running bool, code string) string {
	e, ok := events[state]
	switch {
	case code == allSuppressed:
		return "suppressed"
	case !ok, running && e == "sent":
		return "queued"
	}
	return e
}

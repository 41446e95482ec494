package postmark

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// Sent is the answer to POST /email, and one item of that to POST /email/batch.
type Sent struct {
	To          string    `json:"To"`
	SubmittedAt time.Time `json:"SubmittedAt"`
	MessageID   string    `json:"MessageID"`
	ErrorCode   int       `json:"ErrorCode"`
	Message     string    `json:"Message"`
}

// Accepted is the answer for a message that was taken. One that was only checked gets the
// words that Postmark has for its test token.
// Source: postmarkapp.com, "Testing with the Email API", POSTMARK_API_TEST.
func Accepted(to []mail.Address, at time.Time, id string, sandbox bool) Sent {
	said := "OK"
	if sandbox {
		said = "Test job accepted"
	}
	list := make([]string, len(to))
	for i, a := range to {
		list[i] = a.Address
	}
	return Sent{To: strings.Join(list, ", "), SubmittedAt: at, MessageID: id, Message: said}
}

// Error is a problem in Postmark's form, also as an item of the answer to POST
// /email/batch. What Postmark has no word for stands beside it: no client minds.
type Error struct {
	ErrorCode int                 `json:"ErrorCode"`
	Message   string              `json:"Message"`
	Type      string              `json:"Type"`
	Errors    []problem.Violation `json:"Errors,omitempty"`
}

// form is how Postmark answers a kind of problem. Its clients tell errors apart by
// these statuses alone, and one of them by ErrorCode alone, so that is never 0.
// Source: Postmark's documentation, "API overview", error codes.
type form struct{ status, code int }

// Codes of Postmark's for which there is more than one reason here.
const (
	badKey         = 10
	maintenance    = 100
	invalidRequest = 300
	unknownSender  = 400
	invalidJSON    = 402
	notAllowed     = 405
	jsonRequired   = 409
)

var forms = map[problem.Kind]form{
	problem.MalformedJSON:        {http.StatusUnprocessableEntity, invalidJSON},
	problem.InvalidMessage:       {http.StatusUnprocessableEntity, invalidRequest},
	problem.InvalidRequest:       {http.StatusUnprocessableEntity, invalidRequest},
	problem.Unauthenticated:      {http.StatusUnauthorized, badKey},
	problem.Forbidden:            {http.StatusUnprocessableEntity, notAllowed},
	problem.KeyReused:            {http.StatusUnprocessableEntity, invalidRequest},
	problem.UnsupportedMediaType: {http.StatusUnprocessableEntity, jsonRequired},
	problem.RefusedByACS:         {http.StatusUnprocessableEntity, invalidRequest},
	problem.ACSFailed:            {http.StatusInternalServerError, maintenance},
	problem.ACSMisconfigured:     {http.StatusInternalServerError, maintenance},
	problem.Internal:             {http.StatusInternalServerError, maintenance},
	problem.Unavailable:          {http.StatusServiceUnavailable, maintenance},
	problem.Paused:               {http.StatusServiceUnavailable, maintenance},
}

// Refusal is the status and the body of an answer that says what is wrong.
func Refusal(p *problem.Problem) (status int, body Error) {
	f, ok := forms[p.Kind]
	switch {
	case !ok && p.Kind.Status() == http.StatusTooManyRequests:
		f = form{http.StatusTooManyRequests, http.StatusTooManyRequests}
	case !ok:
		f = form{p.Kind.Status(), invalidRequest}
	case p.Kind == problem.Forbidden && slices.ContainsFunc(p.Violations, func(f problem.Violation) bool { return f.Pointer == "/From" }):
		f.code = unknownSender
	}
	return f.status, Error{f.code, p.Sentence(), p.Kind.Type(), p.Violations}
}

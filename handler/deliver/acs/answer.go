package acs

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode"
)

// Status is how far the service has come with a message.
type Status string

// The statuses. One that is not among them is kept as the service wrote it.
const (
	NotStarted Status = "NotStarted"
	Running    Status = "Running"
	// Succeeded means that the message is out for delivery, not that it has
	// arrived: an address that does not exist succeeds as well.
	Succeeded Status = "Succeeded"
	Failed    Status = "Failed"
	Canceled  Status = "Canceled"
)

// Terminal says whether the status will change no more.
func (s Status) Terminal() bool { return s == Succeeded || s == Failed || s == Canceled }

// Operation is what the service says of a message.
type Operation struct {
	ID     string
	Status Status
	// Error says why a message failed; else it is nil.
	Error *OperationError
	// RetryAfter is when to ask for the status, or 0 if the service did not say.
	RetryAfter time.Duration
	Trace      Trace
}

// OperationError says why a message failed. Message may hold addresses.
type OperationError struct{ Code, Message, Target string }

// answer is what came back, its text bounded by MaxAnswerBytes.
type answer struct {
	status int
	header http.Header
	text   []byte
	came   time.Time
}

// accepted reads the answer to a message that was taken. What cannot be read of
// it changes nothing of that: the message then counts as Running.
func (a *answer) accepted(operationID string) Operation {
	op := a.operation(operationID)
	if op.Status == "" {
		op.Status = Running
	}
	return op
}

func (a *answer) state(operationID string) (Operation, error) {
	op := a.operation(operationID)
	if op.Status == "" {
		return Operation{}, &Error{method: methodStatus, StatusCode: a.status, Trace: op.Trace, cause: causeUnreadable}
	}
	return op, nil
}

func (a *answer) operation(operationID string) Operation {
	var said struct {
		ID, Status string
		Error      *OperationError
	}
	_ = json.Unmarshal(a.text, &said) // what it could not read stays empty
	if !isUUID(said.ID) || strings.EqualFold(said.ID, operationID) {
		said.ID = operationID
	}
	if said.Error != nil {
		said.Error = &OperationError{Code: clean(said.Error.Code), Message: clean(said.Error.Message), Target: clean(said.Error.Target)}
	}
	return Operation{
		ID:         said.ID,
		Status:     Status(clean(said.Status)),
		Error:      said.Error,
		RetryAfter: retryAfter(a.header, "", a.came),
		Trace:      a.trace(),
	}
}

// refused makes the error of an answer. Common to both versions of the API is
// {"error":{"code","message","target"}}, and the code in a header besides.
func (a *answer) refused(method string, wrote int64) *Error {
	var said struct{ Error OperationError }
	_ = json.Unmarshal(a.text, &said) // an answer of a proxy has no such members
	if code := a.header.Get("X-Ms-Error-Code"); code != "" {
		said.Error.Code = code
	}
	words := said.Error.Message
	if words == "" {
		words = string(a.text)
	}
	e := &Error{
		StatusCode: a.status,
		Code:       token.FindString(said.Error.Code),
		Message:    clean(said.Error.Message),
		Target:     clean(said.Error.Target),
		RetryAfter: retryAfter(a.header, words, a.came),
		Accepted:   acceptance(a.status),
		Wrote:      wrote,
		Trace:      a.trace(),
		method:     method,
	}
	if a.status == http.StatusTooManyRequests {
		e.Window = windowOf(said.Error.Code + " " + words)
		if e.RetryAfter == 0 {
			e.RetryAfter = DefaultRetryAfter
		}
	}
	if a.status == http.StatusNotFound && method == methodStatus {
		e.inner = ErrNotFound
	}
	return e
}

func (a *answer) trace() Trace {
	return Trace{
		MSCV:          clean(a.header.Get("Ms-Cv")),
		CorrelationID: clean(a.header.Get("Mise-Correlation-Id")),
		AzureRef:      clean(a.header.Get("X-Azure-Ref")),
	}
}

// lost makes the error of a call without an answer. The message may have been
// accepted if and only if the connection had taken the last byte of its body:
// with any less, both the Content-Length and the JSON tell the service that the
// request is not complete, and RFC 9112 section 8 forbids to treat it as if it
// were. Taken is not sent, so the doubt errs on the careful side.
func lost(method string, err error, wrote, size int64) *Error {
	e := &Error{method: method, Wrote: wrote, cause: causeOf(err), inner: err}
	if wrote < size {
		e.Accepted = NotAccepted
	}
	return e
}

// acceptance reads the status of an answer that is no 2xx. What is refused by
// its status has not been accepted. In doubt remain 408 and 5xx, which may come
// from a proxy when the service was at work; 409, which says that there already
// is such an operation; and all that the service is not known to say.
func acceptance(status int) Acceptance {
	switch status {
	case http.StatusRequestTimeout, http.StatusConflict:
		return MayBeAccepted
	case http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return NotAccepted
	}
	if status >= 400 && status < 500 {
		return NotAccepted
	}
	return MayBeAccepted
}

// windowOf knows "PerSubscriptionPerMinuteLimitExceeded" and the like.
func windowOf(words string) Window {
	switch words = strings.ToLower(words); {
	case strings.Contains(words, "perhour"):
		return HourWindow
	case strings.Contains(words, "perminute"):
		return MinuteWindow
	default:
		return UnknownWindow
	}
}

// token is the form of all codes seen; anything else is no code.
var token = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// maxWordsRunes bounds what is kept of the service's texts.
const maxWordsRunes = 1024

// clean makes a text of the service one line of bounded length.
func clean(s string) string {
	if len(s) <= maxWordsRunes && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return s // as almost always
	}
	runes := []rune(strings.ToValidUTF8(s, "\uFFFD"))
	runes = runes[:min(len(runes), maxWordsRunes)]
	for i, r := range runes {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			runes[i] = ' '
		}
	}
	return string(runes)
}

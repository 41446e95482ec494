package acs

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The errors that callers tell apart by errors.Is; they come inside an *Error.
var (
	// ErrNotFound is Status's answer for an operation that the service does not
	// know, or does not know yet: for some time after a 202 it may still come.
	ErrNotFound = errors.New("acs: no such operation")
	// ErrOperationID refuses an operation id that is not a UUID.
	ErrOperationID = errors.New("acs: the operation id is not a UUID")
	// ErrNoMessage refuses to send nil.
	ErrNoMessage = errors.New("acs: there is no message")
	// ErrContentID refuses a ContentID under api-version 2023-03-31.
	ErrContentID = errors.New("acs: content ids need api-version 2025-09-01")
	// ErrSenderName refuses a SenderDisplayName under a version without it.
	ErrSenderName = errors.New("acs: the sender's name needs api-version 2025-01-15-preview")
)

// Error codes of the service. It publishes no list; these have been seen.
const (
	CodeDenied                = "Denied"                // 401: key, signature or role
	CodeDomainNotLinked       = "DomainNotLinked"       // 404
	CodeInvalidEmailAddress   = "InvalidEmailAddress"   // 400: a recipient
	CodeInvalidSenderUserName = "InvalidSenderUserName" // 400: no such sender on the domain
	CodeTooManyRequests       = "TooManyRequests"       // 429

	// Codes of an OperationError.
	CodeDropped              = "EmailDropped"
	CodeRecipientsSuppressed = "EmailDroppedAllRecipientsSuppressed"
)

// Acceptance says whether the service may have taken a message.
type Acceptance int

const (
	// MayBeAccepted means that it is not known: ask for Status, or send the
	// same message again under the same operation id.
	MayBeAccepted Acceptance = iota
	// NotAccepted means that the service has not taken the message by this
	// call. It says nothing of earlier calls with the same operation id.
	NotAccepted
)

func (a Acceptance) String() string {
	if a == NotAccepted {
		return "not accepted"
	}
	return "may be accepted"
}

// Window is the limit of the subscription that a 429 speaks of.
type Window int

// The windows.
const (
	UnknownWindow Window = iota
	MinuteWindow
	HourWindow
)

func (w Window) String() string {
	return [...]string{"unknown", "minute", "hour"}[w]
}

// Trace is what Microsoft's support asks for, beside the operation's id.
type Trace struct {
	MSCV          string // MS-CV, a correlation vector
	CorrelationID string // mise-correlation-id
	AzureRef      string // X-Azure-Ref
}

// Error is the only type of error that Send and Status return.
type Error struct {
	StatusCode int // 0 if no answer came
	// Code, Message and Target are the service's words, if it had any. Message
	// may quote the request, addresses included: it is not part of Error.
	Code, Message, Target string
	// RetryAfter is between MinRetryAfter and MaxRetryAfter, or 0 if the answer
	// did not say; after a 429 it is never 0.
	RetryAfter time.Duration
	// Window is set after a 429 if its text tells.
	Window Window
	// Accepted is about Send only.
	Accepted Acceptance
	// Wrote is how many bytes of the message the connection had taken. 0 means
	// that the request was not begun, and costs no quota.
	Wrote int64
	Trace Trace

	method string // send or status
	cause  cause
	inner  error
}

// Error is one line of fixed words, the status and the code. It has nothing of
// the message, of the service's text, or of the texts of inner errors.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("acs: " + e.method + ": ")
	b.WriteString(e.cause.String())
	if e.cause == causeRequest {
		b.WriteString(strings.TrimPrefix(e.inner.Error(), "acs: "))
	}
	if e.StatusCode != 0 {
		b.WriteString("HTTP " + strconv.Itoa(e.StatusCode))
	}
	if e.Code != "" {
		b.WriteString(" " + e.Code)
	}
	if e.Window != UnknownWindow {
		b.WriteString(", limit of the " + e.Window.String())
	}
	if e.method == methodSend {
		b.WriteString(", " + e.Accepted.String())
	}
	return b.String()
}

// Unwrap returns the cause, whose text may be long and may hold the endpoint.
// The end of a context can be found with errors.Is.
func (e *Error) Unwrap() error { return e.inner }

// Temporary says whether the same call may succeed later with nothing changed.
// It does not say that it is safe: that is Accepted.
func (e *Error) Temporary() bool {
	switch e.StatusCode {
	case 0:
		return e.cause != causeRequest && e.cause != causeCertificate
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return true
	case http.StatusNotFound:
		return e.method == methodStatus
	}
	return e.StatusCode >= 500 || e.cause == causeUnreadable
}

// Misconfigured says that no message will pass before someone has corrected the
// endpoint, the key, the role, the domain or the sender. A 401 without reason
// has been reported, rarely, from a service whose next answer was good.
func (e *Error) Misconfigured() bool {
	switch e.StatusCode {
	case 0:
		return e.cause == causeCertificate
	case http.StatusUnauthorized, http.StatusForbidden:
		return true
	case http.StatusNotFound:
		return e.method == methodSend
	}
	return e.Code == CodeInvalidSenderUserName || e.StatusCode >= 300 && e.StatusCode < 400
}

// Repeated says that the service refused a message because it took one with the
// same operation id or Message-ID before. It documents no words for that: any 409,
// or a 400 that speaks of one of the two or of a duplicate, is taken for it. It is
// only to be asked about a message that may have been accepted earlier.
func (e *Error) Repeated() bool {
	if e.method != methodSend || e.StatusCode != http.StatusBadRequest && e.StatusCode != http.StatusConflict {
		return false
	}
	text := strings.ToLower(e.Code + " " + e.Message)
	return e.StatusCode == http.StatusConflict || strings.Contains(text, "duplicate") ||
		strings.Contains(text, "operation-id") || strings.Contains(text, "operationid") || strings.Contains(text, "message-id")
}

// cause is why there is no answer to report, or none that can be used.
type cause int

const (
	causeAnswer cause = iota // the answer is the cause
	causeUnreadable
	causeRequest
	causeIdentity
	causeTimeout
	causeCanceled
	causeName
	causeRefused
	causeCertificate
	causeConnection
)

func (c cause) String() string {
	return [...]string{
		causeAnswer:      "",
		causeUnreadable:  "unreadable answer, ",
		causeRequest:     "", // its inner error says it
		causeIdentity:    "no token from the credential",
		causeTimeout:     "no answer in time",
		causeCanceled:    "canceled",
		causeName:        "the host's name cannot be resolved",
		causeRefused:     "connection refused",
		causeCertificate: "the certificate is not valid",
		causeConnection:  "the connection failed",
	}[c]
}

func causeOf(err error) cause {
	if _, ok := errors.AsType[credentialError](err); ok {
		return causeIdentity
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return causeTimeout
	}
	if errors.Is(err, context.Canceled) {
		return causeCanceled
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return causeName
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return causeRefused
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return causeCertificate
	}
	return causeConnection
}

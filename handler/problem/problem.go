// Package problem says what can go wrong, in the caller's words.
//
// A Problem is made once, where a failure is understood, passes through untouched,
// is turned into an answer once (by api/rest or api/trigger) and logged
// once. Its Detail is written for the caller on purpose; the inner error is for
// the log only and never leaves the process. It knows nothing of HTTP beyond the
// table of kinds, whose statuses are RFC 9110's and whose form is RFC 9457's.
package problem

import (
	"errors"
	"fmt"
	"time"
)

// Problem is one refusal or failure. It is an error.
type Problem struct {
	Kind   Kind
	Detail string // a sentence for the caller: what happened, and what to do
	// Violations are the places in the caller's request, all of them.
	Violations []Violation
	// RetryAfter says when the same request may succeed; 0 means no promise.
	RetryAfter time.Duration
	// Upstream is the error code that ACS gave, if it gave one.
	Upstream string

	counts bool // Detail says no more than how many violations there are
	inner  error
}

// New makes a Problem that has no cause but the caller's request.
func New(k Kind, format string, args ...any) *Problem {
	return &Problem{Kind: k, Detail: fmt.Sprintf(format, args...)}
}

// Wrap gives err, which the caller must not see, a kind and a sentence that the
// caller may see. It returns nil for a nil err, and err itself if that already
// is or wraps a Problem.
func Wrap(k Kind, detail string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Problem](err); ok {
		return err
	}
	return &Problem{Kind: k, Detail: detail, inner: err}
}

// Of returns the Problem in err; an error without one is Internal.
func Of(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	return &Problem{Kind: Internal, Detail: "Something went wrong inside Posthorn. Try again; if it persists, tell the operator the request id.", inner: err}
}

// Is says whether err is, or wraps, a Problem of kind k.
func Is(err error, k Kind) bool {
	p, ok := errors.AsType[*Problem](err)
	return ok && p.Kind == k
}

// Error is for logs: the kind, the sentence, the cause.
func (p *Problem) Error() string {
	if p.inner != nil {
		return p.Kind.Slug() + ": " + p.Detail + ": " + p.inner.Error()
	}
	return p.Kind.Slug() + ": " + p.Detail
}

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.inner }

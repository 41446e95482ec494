package azure

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// Kind is what a command does differently about faults.
type Kind int

// The kinds of faults.
const (
	Refused   Kind = iota // Azure does not do this; it will not by itself
	NotFound              // there is no such resource, or the account may not see it
	Login                 // nobody is logged in, or the login is over
	Forbidden             // the account lacks a right
	Conflict              // the name is taken, or the resource changed in between
	Away                  // no answer, or one that asks to come again
)

// Error is a fault of Azure. Nothing of the SDK's errors is in it.
type Error struct {
	What    string // what was being done, such as "read the domains of the Email Service mail"
	Kind    Kind
	Status  int    // of HTTP; 0: there was no answer
	Code    string // Azure's own
	Message string // Azure's own
	// Action and Scope are the right that is missing and where; only of Forbidden, and
	// only if Azure says them.
	Action, Scope string
	// Vault and Secret are names, of letters, digits and hyphens alone, in place of a Scope
	// that Azure does not say.
	Vault, Secret string
}

func (e *Error) Error() string {
	said := "could not " + e.What
	if e.Message != "" {
		said += ": " + strings.TrimSuffix(firstSentence(e.Message), ".")
	}
	if e.Code != "" {
		said += " (" + e.Code + ")"
	}
	return said
}

// firstSentence is the first line of what Azure says: the rest is for its support.
func firstSentence(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(line)
}

// failure makes an *Error of what the SDK gives. The end of the context stays as it is.
func failure(what, path string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	e := &Error{What: what, Kind: Away}
	if foreign, ok := errors.AsType[foreignError](err); ok {
		e.Kind, e.Message = Refused, foreign.Error()
		return e
	}
	if answer, ok := errors.AsType[*azcore.ResponseError](err); ok {
		e.Status, e.Code, e.Kind = answer.StatusCode, answer.ErrorCode, kindOf(answer.StatusCode)
		if forGood(e.Code) {
			e.Kind = Refused
		}
		e.Message = messageOf(answer.RawResponse)
		if e.Kind == Forbidden {
			e.Action, e.Scope = missingRight(e.Message, path)
		}
		return e
	}
	if _, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); ok || noLogin(err) {
		e.Kind, e.Message = Login, firstSentence(err.Error())
		return e
	}
	e.Message = firstSentence(err.Error())
	return e
}

// noLogin tells errors of credentials that azidentity gives no type of its own: it marks
// them as not to be repeated.
func noLogin(err error) bool {
	_, ok := errors.AsType[interface {
		error
		NonRetriable()
	}](err)
	return ok
}

// forGood tells the codes that ARM answers with 403 and 409, and that neither a role nor
// another try mends.
// Source: learn.microsoft.com, "Troubleshoot common Azure deployment errors".
func forGood(code string) bool {
	switch code {
	case "RequestDisallowedByPolicy", "ScopeLocked", "ReadOnlyDisabledSubscription", "MissingSubscriptionRegistration":
		return true
	}
	return false
}

func kindOf(status int) Kind {
	switch {
	case status == http.StatusUnauthorized:
		return Login
	case status == http.StatusForbidden:
		return Forbidden
	case status == http.StatusNotFound:
		return NotFound
	case status == http.StatusConflict, status == http.StatusPreconditionFailed:
		return Conflict
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status >= http.StatusInternalServerError:
		return Away
	}
	return Refused
}

// messageOf reads {"error":{"message":…}}, which ARM answers; the SDK keeps the body.
func messageOf(resp *http.Response) string {
	if resp == nil || resp.Body == nil {
		return ""
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return ""
	}
	var body struct {
		Error struct {
			Message string `json:"message"`
			Details []struct {
				Message string `json:"message"`
			} `json:"details"`
		} `json:"error"`
		Message string `json:"message"`
	}
	if json.Unmarshal(text, &body) != nil {
		return ""
	}
	if body.Error.Message == "" && len(body.Error.Details) > 0 {
		return body.Error.Details[0].Message
	}
	if body.Error.Message == "" {
		return body.Message
	}
	return body.Error.Message
}

// missingRight finds the right in the sentence of AuthorizationFailed: "The client '…'
// with object id '…' does not have authorization to perform action '…' over scope '…'
// or the scope is invalid."
func missingRight(message, path string) (action, scope string) {
	action, scope = quoted(message, "action '"), quoted(message, "scope '")
	if scope == "" {
		scope = path
	}
	return action, scope
}

func quoted(text, before string) string {
	_, rest, found := strings.Cut(text, before)
	if !found {
		return ""
	}
	inner, _, _ := strings.Cut(rest, "'")
	return inner
}

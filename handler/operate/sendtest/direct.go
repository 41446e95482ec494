package sendtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/posthorn/posthorn/handler/deliver/acs"
)

// Direct is the way straight to ACS. Nothing counts the message but ACS.
type Direct struct{ Client *acs.Client }

// Send implements Way.
func (d Direct) Send(ctx context.Context, id string, m Message) (Status, error) {
	op, err := d.Client.Send(ctx, id, &acs.Message{
		SenderAddress: m.Sender, To: []acs.Address{{Address: m.To}}, Subject: m.Subject, PlainText: m.Text, HTML: m.HTML,
	})
	f := errorOf(ctx, "refused the message", err)
	e, ok := errors.AsType[*acs.Error](err)
	if said, is := errors.AsType[*Error](f); ok && is && e.Accepted == acs.MayBeAccepted {
		said.Advice = "It is not known whether ACS has taken the message. Check the mailbox before you try again."
	}
	return statusOf(op), f
}

// Ask implements Way. For some time after it has taken a message, ACS may not know it.
func (d Direct) Ask(ctx context.Context, id string) (Status, error) {
	op, err := d.Client.Status(ctx, id)
	if errors.Is(err, acs.ErrNotFound) {
		return Status{Word: string(acs.Running)}, nil
	}
	return statusOf(op), errorOf(ctx, "did not say what became of it", err)
}

func statusOf(op acs.Operation) Status {
	s := Status{Word: string(op.Status), Again: op.RetryAfter}
	if op.Error != nil {
		s.Code, s.Detail = op.Error.Code, op.Error.Message
	}
	return s
}

// errorOf says what an error of the client means for the operator.
func errorOf(ctx context.Context, did string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	e, ok := errors.AsType[*acs.Error](err)
	if !ok {
		return &Error{Detail: err.Error()}
	}
	f := &Error{Away: e.StatusCode == 0 || e.StatusCode >= http.StatusInternalServerError || e.Misconfigured(), passing: e.Temporary(), again: e.RetryAfter, Advice: adviceOn(e.Code)}
	if e.StatusCode == 0 {
		f.Detail = "ACS could not be asked: " + strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(e.Error(), "acs: send: "), "acs: status: "), ", "+e.Accepted.String()) + "."
		f.Advice = "Check POSTHORN_ACS_ENDPOINT, the network, and the login: \"az login\" with POSTHORN_CREDENTIAL=azure-cli."
		return f
	}
	if e.StatusCode >= http.StatusInternalServerError {
		did = "failed"
	}
	f.Detail = fmt.Sprintf("ACS %s: %d %s", did, e.StatusCode, e.Code)
	if e.Message != "" {
		f.Detail = fmt.Sprintf("ACS %s: %s (%d %s)", did, e.Message, e.StatusCode, e.Code)
	}
	switch {
	case strings.Contains(e.Message, "time difference"):
		f.Advice = "Set the clock of this computer: it may differ from ACS's by five minutes at most."
	case f.Advice == "" && (e.StatusCode == http.StatusUnauthorized || e.StatusCode == http.StatusForbidden):
		f.Advice = adviceOn(acs.CodeDenied)
	case e.StatusCode == http.StatusTooManyRequests:
		f.Advice = fmt.Sprintf("A limit of the subscription is reached. Try again in %s.", e.RetryAfter)
	case f.Advice == "" && e.StatusCode == http.StatusNotFound:
		f.Advice = "Check POSTHORN_ACS_ENDPOINT: there is no such Communication Services resource, or it has no email."
	}
	return f
}

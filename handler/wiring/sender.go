package wiring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/acs"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// sender lets the gateway speak to ACS: its messages in ACS's types, ACS's
// errors in the gateway's problems.
type sender struct {
	client   *acs.Client
	log      *slog.Logger
	names    bool         // ACS takes the sender's name
	accepted atomic.Int64 // Unix ns, when ACS last took a message
}

func newSender(client *acs.Client, log *slog.Logger, names bool) *sender {
	return &sender{client: client, log: log, names: names}
}

func (s *sender) Size(m *mail.Message) int64 { return s.toACS(m, anyID).Size() }

// anyID is as long as every operation id.
const anyID = "00000000-0000-0000-0000-000000000000"

func (s *sender) Send(ctx context.Context, operationID string, m *mail.Message, again bool) error {
	_, err := s.client.Send(ctx, operationID, s.toACS(m, operationID))
	s.note(ctx, operationID, err)
	if e, ok := errors.AsType[*acs.Error](err); ok && again && e.Repeated() {
		return fmt.Errorf("%w: %w", gateway.ErrRepeat, err)
	}
	switch {
	case err == nil:
		s.accepted.Store(time.Now().UnixNano())
	case s.passing(err):
		return problem.Wrap(problem.ACSFailed, "ACS did not accept this deployment's identity just now, although it does. Nothing was sent. Send the message again.", err)
	}
	return sendProblem(err)
}

// lately is how long an accepted call proves that the identity is set up.
const lately = 5 * time.Minute

// passing says that a 401 will pass by itself: ACS takes the clocks for different, or has
// accepted the same identity minutes ago. Source: firezone/firezone#12835.
func (s *sender) passing(err error) bool {
	e, ok := errors.AsType[*acs.Error](err)
	return ok && e.StatusCode == http.StatusUnauthorized && e.Accepted == acs.NotAccepted &&
		(strings.Contains(e.Message, "time difference") || time.Since(time.Unix(0, s.accepted.Load())) < lately)
}

func (s *sender) Fate(ctx context.Context, operationID string) (gateway.Fate, error) {
	op, err := s.client.Status(ctx, operationID)
	if failed, ok := errors.AsType[*acs.Error](err); ok && failed.StatusCode == http.StatusNotFound {
		return gateway.Fate{}, nil
	}
	s.note(ctx, operationID, err)
	if err != nil {
		return gateway.Fate{}, fmt.Errorf("ask ACS for an operation: %w", err)
	}
	if op.Status != acs.Failed && op.Status != acs.Canceled {
		return gateway.Fate{Known: true, Ended: op.Status == acs.Succeeded}, nil
	}
	f := &record.Failure{Kind: problem.RefusedByACS.Slug(), Detail: "ACS took the message and then gave up on it."}
	if op.Error != nil {
		f.Upstream, f.Detail = op.Error.Code, "ACS took the message and then gave up on it: "+op.Error.Message
	}
	return gateway.Fate{Known: true, Ended: true, Failure: f}, nil
}

// note leaves in the log what Microsoft's support asks for when ACS refuses a call.
func (s *sender) note(ctx context.Context, operationID string, err error) {
	if e, ok := errors.AsType[*acs.Error](err); ok && e.StatusCode != 0 {
		s.log.WarnContext(ctx, "ACS refused a call", "acs_operation", operationID,
			"acs_status", e.StatusCode, "acs_code", e.Code, "acs_ms_cv", e.Trace.MSCV)
	}
}

// sendProblem says what an error of Send means for the message and its caller.
// ACS's own sentence is shown where it is about the caller's message; where it
// is about this deployment, only the log has it.
func sendProblem(err error) error {
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*acs.Error](err)
	if !ok {
		return problem.Wrap(problem.Internal, "The message could not be put into ACS's form. It was not sent.", err)
	}
	switch {
	case e.Accepted == acs.MayBeAccepted && e.StatusCode >= http.StatusInternalServerError:
		return fmt.Errorf("%w: %w", gateway.ErrFailing, err)
	case e.Accepted == acs.MayBeAccepted:
		return fmt.Errorf("%w: %w", gateway.ErrDoubt, err)
	}
	switch {
	case e.StatusCode == http.StatusTooManyRequests:
		p := problem.New(problem.ACSBusy, "ACS asks to wait: a limit of the subscription was reached, perhaps by another program in it. Nothing was sent. Try again after Retry-After.")
		p.RetryAfter, p.Upstream = e.RetryAfter, e.Code
		return p
	case e.Misconfigured():
		if e.StatusCode == http.StatusNotFound || e.StatusCode == http.StatusBadRequest {
			err = fmt.Errorf("%w: %w", gateway.ErrSender, err)
		}
		return problem.Wrap(problem.ACSMisconfigured, "ACS does not let this deployment send from this address: its identity, role or domain is not set up. Nothing was sent. Tell the operator.", err)
	case e.StatusCode >= http.StatusBadRequest && e.StatusCode < http.StatusInternalServerError:
		p := problem.New(problem.RefusedByACS, "ACS refused the message: %s", e.Message)
		p.Upstream = e.Code
		return p
	default:
		return problem.Wrap(problem.ACSFailed, "ACS could not be reached. Nothing was sent. Send the message again.", err)
	}
}

// toACS is the same to the byte for the same operation: ACS may compare a repeat
// with what it has. The Message-ID is what ACS knows a repeat by, beside the
// operation id, when it is asked to look.
func (s *sender) toACS(m *mail.Message, operationID string) *acs.Message {
	out := &acs.Message{
		SenderAddress: m.SenderAddress, Subject: m.Content.Subject,
		PlainText: m.Content.PlainText, HTML: m.Content.HTML,
		To: addresses(m.Recipients.To), CC: addresses(m.Recipients.CC), BCC: addresses(m.Recipients.BCC),
		ReplyTo: addresses(m.ReplyTo), Headers: maps.Clone(m.Headers),
		UserEngagementTrackingDisabled: m.UserEngagementTrackingDisabled,
	}
	if s.names {
		out.SenderDisplayName = m.SenderDisplayName
	}
	if out.Headers == nil {
		out.Headers = make(map[string]string, 2)
	}
	_, domain, _ := strings.Cut(m.SenderAddress, "@")
	out.Headers["Message-ID"] = "<" + operationID + "@" + domain + ">"
	out.Headers["x-ms-acsemail-validate-message-id"] = "true"
	for _, a := range m.Attachments {
		if a.Content == nil {
			continue // it has become a link
		}
		out.Attachments = append(out.Attachments, acs.Attachment{Name: a.Name, ContentType: a.ContentType, ContentID: a.ContentID, Content: a.Content})
	}
	return out
}

func addresses(list []mail.Address) []acs.Address {
	var out []acs.Address
	for _, a := range list {
		out = append(out, acs.Address{Address: a.Address, DisplayName: a.DisplayName})
	}
	return out
}

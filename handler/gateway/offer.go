package gateway

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/trace"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/decide/reputation"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// outcome is what is known after ACS was offered a message: that it ended, or that
// it was not taken (err), or neither (doubt, with err as the reason).
type outcome struct {
	state   record.State
	failure *record.Failure
	err     error
	doubt   spool.Doubt
}

// mayPass says whether the reason for not sending may go away by itself.
func mayPass(o outcome) bool {
	return problem.Is(o.err, problem.ACSBusy) || problem.Is(o.err, problem.ACSFailed)
}

// offer makes one call to ACS, and tells the ledger how ACS is.
func (g *Gateway) offer(ctx context.Context, rec *record.Record, m *mail.Message, permit *permit, again bool) outcome {
	ctx, span := g.Tracer.Start(ctx, "send", trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	sending, sent := context.WithTimeout(ctx, g.sendTimeout)
	err := g.ACS.Send(sending, rec.OperationID, m, again)
	sent()
	o := outcome{err: err}
	failing := func(ctx context.Context, grant quota.Grant) error {
		return g.Sends.Failing(ctx, grant, rec.OperationID)
	}
	tell := g.Sends.Well
	switch {
	case err == nil, errors.Is(err, ErrRepeat):
		o = outcome{state: record.Accepted}
	case errors.Is(err, ErrDoubt):
		g.Log.WarnContext(ctx, "ACS gave no clear answer", "id", rec.ID, "error", err)
		o.doubt, tell = spool.NoAnswer, failing
		if errors.Is(err, ErrFailing) {
			o.doubt = spool.FailureAnswer
		}
	case problem.Is(err, problem.RefusedByACS):
		p := problem.Of(err)
		o = outcome{state: record.Failed, failure: &record.Failure{Kind: p.Kind.Slug(), Detail: p.Detail, Upstream: p.Upstream}}
	case problem.Is(err, problem.ACSBusy):
		wait := problem.Of(err).RetryAfter
		tell = func(ctx context.Context, grant quota.Grant) error { return g.Sends.Backoff(ctx, wait, grant) }
	case errors.Is(err, ErrSender):
	default:
		tell = failing
	}
	switch o.state {
	case record.Accepted:
		g.Reputation.CountOutcome(ctx, rec.Caller, rec.Hook, reputation.Taken)
	case record.Failed:
		g.Reputation.CountOutcome(ctx, rec.Caller, rec.Hook, reputation.Refused)
	}
	permit.tell(ctx, tell) // Well is a call only where others wait for it, or failed before
	return o
}

// finish records an end, and says whether it could. If another has taken the message
// over meanwhile, what it has recorded is the truth.
func (g *Gateway) finish(ctx context.Context, rec *record.Record, o outcome) bool {
	for range finishTries {
		err := g.tryFinish(ctx, rec, o)
		if err == nil {
			return true
		}
		g.Log.ErrorContext(ctx, "the end of a message could not be recorded", "id", rec.ID, "state", string(o.state), "error", err)
	}
	// ACS has answered, and the caller shall know; the row says `sending`, and whoever
	// asks for it, or the watchdog, settles it, which is the safe side.
	rec.State, rec.Failure = o.state, o.failure
	return false
}

// finishTries of undoTimeout together bound how long an end is recorded.
const finishTries = 3

func (g *Gateway) tryFinish(ctx context.Context, rec *record.Record, o outcome) error {
	ctx, cancel := context.WithTimeout(ctx, g.undoTimeout/finishTries)
	defer cancel()
	err := g.Records.Finish(ctx, rec, o.state, o.failure)
	if !errors.Is(err, store.ErrChanged) {
		return err
	}
	there, err := g.Records.Read(ctx, rec.Caller, rec.ID)
	if err == nil {
		*rec = *there
	}
	return err
}

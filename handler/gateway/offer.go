package gateway

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/trace"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/decide/reputation"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// offer makes one call to ACS, and tells the ledger how ACS is. If ACS was well until then,
// the reason of a refusal may be the message's own.
func (g *Gateway) offer(ctx context.Context, rec *record.Record, m *mail.Message, permit *permit, again bool) outcome {
	ctx, span := g.Tracer.Start(ctx, "send", trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	sending, sent := context.WithTimeout(ctx, g.sendTimeout)
	err := g.ACS.Send(sending, rec.OperationID, m, again)
	sent()
	o := outcome{result: refused, err: err, fenced: true}
	fails := func(ctx context.Context, grant quota.Grant) error {
		return permit.ledger.Failing(ctx, grant, rec.OperationID)
	}
	tell := permit.ledger.Well // a call only where others wait for it, or failed before
	switch {
	case err == nil, errors.Is(err, ErrRepeat):
		o.result = accepted
		g.Reputation.CountOutcome(ctx, rec.Caller, rec.Hook, reputation.Taken)
	case errors.Is(err, ErrDoubt):
		g.Log.WarnContext(ctx, "ACS gave no clear answer", "id", rec.ID, "error", err)
		o.result, tell = silent, fails
		if errors.Is(err, ErrFailing) {
			o.result = failing
		}
	case problem.Is(err, problem.RefusedByACS):
		p := problem.Of(err)
		o.result, o.failure = rejected, &record.Failure{Kind: p.Kind.Slug(), Detail: p.Detail, Upstream: p.Upstream}
		g.Reputation.CountOutcome(ctx, rec.Caller, rec.Hook, reputation.Refused)
	case problem.Is(err, problem.ACSBusy):
		wait := problem.Of(err).RetryAfter
		o.result, tell = postponed, func(ctx context.Context, grant quota.Grant) error { return permit.ledger.Backoff(ctx, wait, grant) }
	case errors.Is(err, ErrSender):
	default:
		tell = fails
		if !permit.grant.Healthy() {
			o.result = postponed
		}
	}
	permit.tell(ctx, tell)
	return o
}

// finish records that ACS accepted or rejected a message, and says whether it could. If
// another has taken the message over meanwhile, what that one has recorded is the truth.
func (g *Gateway) finish(ctx context.Context, rec *record.Record, o outcome) bool {
	state, failure := record.Accepted, o.failure
	if o.result == rejected {
		state = record.Failed
	}
	for range finishTries {
		err := g.tryFinish(ctx, rec, state, failure)
		if err == nil {
			return true
		}
		g.Log.ErrorContext(ctx, "could not record the end of a message", "id", rec.ID, "state", string(state), "error", err)
	}
	// ACS has answered, and the caller shall know. The row says `sending`, and a poll or
	// the watchdog resolves it, which is the safe side.
	rec.State, rec.Failure = state, failure
	return false
}

// finishTries of undoTimeout together bound how long an end is recorded.
const finishTries = 3

func (g *Gateway) tryFinish(ctx context.Context, rec *record.Record, s record.State, f *record.Failure) error {
	ctx, cancel := context.WithTimeout(ctx, g.undoTimeout/finishTries)
	defer cancel()
	err := g.Records.Finish(ctx, rec, s, f)
	if !errors.Is(err, store.ErrChanged) {
		return err
	}
	there, err := g.Records.Read(ctx, rec.Caller, rec.ID)
	if err == nil {
		*rec = *there
	}
	return err
}

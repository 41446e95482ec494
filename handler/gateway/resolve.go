package gateway

import (
	"context"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/decide/reputation"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/clock"
)

// resolveWaits are the pauses before each question about a doubtful operation
// within a request. ACS shows an operation a little after it has taken it, so a
// first "not found" proves nothing.
var resolveWaits = [...]time.Duration{500 * time.Millisecond, 1500 * time.Millisecond, 3 * time.Second}

// resolve asks ACS for an operation that it may or may not have taken, while a
// request waits. What ACS does not know is in doubt as before; but the error of an ACS
// that failed and said so is that the message was not sent. What ACS cannot be asked about
// has got no answer.
func (g *Gateway) resolve(ctx context.Context, rec *record.Record, o outcome) outcome {
	ctx, cancel := context.WithTimeout(ctx, g.resolveTimeout)
	defer cancel()
	for _, wait := range resolveWaits {
		if err := sleep(ctx, wait); err != nil {
			return outcome{result: silent, err: err}
		}
		switch answer := g.ask(ctx, rec, quota.Call{Class: quota.High}); answer.result {
		case unasked:
			g.Log.WarnContext(ctx, "could not ask ACS for an operation", "id", rec.ID, "error", answer.err)
			return outcome{result: silent, err: answer.err}
		case accepted, rejected:
			return answer
		}
	}
	if o.result == failing {
		p := problem.Of(problem.Wrap(problem.ACSFailed, "ACS answered with an error and has not taken the message: it was not sent. Send it again.", o.err))
		p.RetryAfter = 10 * time.Second
		o.err = p
	}
	return o
}

// abandon leaves a message that ACS may have, and that stands in no line, to the next poll
// or repeat: after a while the poll or repeat has ACS asked.
func (g *Gateway) abandon(ctx context.Context, rec *record.Record, after time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.undoTimeout)
	defer cancel()
	if err := g.Records.MarkResolvingAfter(ctx, rec, after); err != nil {
		g.Log.ErrorContext(ctx, "could not record message in doubt", "id", rec.ID, "error", err)
		rec.State, rec.Resolving = record.Unknown, true // so will Find, after the owner's life
	}
}

// unshown is after what time ACS shows an operation for certain that it has taken.
const unshown = time.Minute

// ask asks ACS what became of an operation.
func (g *Gateway) ask(ctx context.Context, rec *record.Record, c quota.Call) outcome {
	switch fate, err := g.fate(ctx, rec, c); {
	case err != nil:
		return outcome{result: unasked, err: err}
	case !fate.Known:
		return outcome{result: unknown}
	default:
		return fate.outcome()
	}
}

// outcome is how an operation that ACS knows has gone.
func (f Fate) outcome() outcome {
	if f.Failure != nil {
		return outcome{result: rejected, failure: f.Failure}
	}
	return outcome{result: accepted}
}

// fate reserves a question and asks it. A High one is about a doubt that the gateway has;
// those of callers who poll leave askReserve of the limit to them.
func (g *Gateway) fate(ctx context.Context, rec *record.Record, c quota.Call) (Fate, error) {
	ctx, cancel := context.WithTimeout(ctx, g.resolveTimeout)
	defer cancel()
	c.Cost = 1
	if _, err := g.StatusRequests.Reserve(ctx, c); err != nil {
		return Fate{}, err
	}
	fate, err := g.ACS.Fate(ctx, rec.OperationID)
	if err == nil && fate.Failure != nil {
		g.Reputation.CountOutcome(ctx, rec.Caller, rec.Hook, reputation.Dropped)
	}
	return fate, err
}

// askReserve is the percentage of the limit of questions that those of callers who
// poll leave to the gateway's own.
const askReserve = 50

// NewStatusRequests is the ledger of questions to ACS, as quota.New makes it. c is storage's
// clock; nil: the ledger's own.
func NewStatusRequests(t quota.Table, limits quota.Limits, now func() time.Time, newID func() string, c *clock.Clock) *quota.Ledger {
	return quota.New(t, "status", limits, now, newID, quota.Options{ReservedForHigh: askReserve, Clock: c})
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// failed is the problem that a record in state Failed stands for, or nil.
func failed(r *record.Record) error {
	if r.State != record.Failed {
		return nil
	}
	f := r.Failure
	if f == nil {
		return problem.New(problem.RefusedByACS, "ACS refused the message.")
	}
	p := problem.New(problem.KindOf(f.Kind), "%s", f.Detail)
	p.Upstream = f.Upstream
	return p
}

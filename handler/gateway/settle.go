package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/problem"
)

// settleWaits are the pauses before each question about a doubtful operation.
// ACS shows an operation a little after it has taken it, so a first "not found"
// proves nothing.
var settleWaits = [...]time.Duration{500 * time.Millisecond, 1500 * time.Millisecond, 3 * time.Second}

// settle asks ACS for an operation that it may or may not have taken. An error
// means that ACS has failed, said so, and does not know it: the message was not
// sent. If ACS does not know it and gave no answer either, or cannot be asked, the
// state is Unknown: it may show the operation later, and nothing is sent by guess.
func (g *Gateway) settle(ctx context.Context, operationID string, doubt error) (state record.State, failure *record.Failure, err error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for _, wait := range settleWaits {
		known, failure, err := g.ask(ctx, operationID, wait)
		switch {
		case err != nil:
			g.Log.WarnContext(ctx, "ACS could not be asked for an operation", "error", err)
			return record.Unknown, nil, nil
		case known && failure != nil:
			return record.Failed, failure, nil
		case known:
			return record.Accepted, nil, nil
		}
	}
	if !errors.Is(doubt, ErrFailing) {
		return record.Unknown, nil, nil
	}
	p := problem.Of(problem.Wrap(problem.ACSFailed, "ACS answered with an error and has not taken the message: it was not sent. Send it again.", doubt))
	p.RetryAfter = 10 * time.Second
	return "", nil, p
}

// ask waits, books the question and asks it.
func (g *Gateway) ask(ctx context.Context, operationID string, wait time.Duration) (known bool, failure *record.Failure, err error) {
	if err := sleep(ctx, wait); err != nil {
		return false, nil, err
	}
	if _, err := g.Asks.Book(ctx, 1); err != nil {
		return false, nil, err
	}
	return g.ACS.Fate(ctx, operationID)
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
	p := problem.New(problem.RefusedByACS, "ACS refused the message.")
	if f := r.Failure; f != nil {
		p.Detail, p.Upstream = f.Detail, f.Upstream
	}
	return p
}

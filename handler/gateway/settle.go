package gateway

import (
	"context"
	"time"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/problem"
)

// settleWaits are the pauses before each question about a doubtful operation.
// ACS shows an operation a little after it has taken it, so a first "not found"
// proves nothing.
var settleWaits = [...]time.Duration{500 * time.Millisecond, 1500 * time.Millisecond, 3 * time.Second}

// settle asks ACS for an operation that it may or may not have taken. An error
// means that ACS does not know it: the message was not sent. If ACS cannot be
// asked, the state is Unknown; nothing is sent again by guess.
func (g *Gateway) settle(ctx context.Context, operationID string) (record.State, *record.Failure, error) {
	for _, wait := range settleWaits {
		if err := sleep(ctx, wait); err != nil {
			return record.Unknown, nil, nil
		}
		if _, err := g.Asks.Book(ctx, 1); err != nil {
			return record.Unknown, nil, nil
		}
		known, failure, err := g.ACS.Fate(ctx, operationID)
		switch {
		case err != nil:
			return record.Unknown, nil, nil
		case known && failure != nil:
			return record.Failed, failure, nil
		case known:
			return record.Accepted, nil, nil
		}
	}
	p := problem.New(problem.ACSFailed, "ACS answered with an error and has not taken the message: it was not sent. Send it again.")
	p.RetryAfter = 10 * time.Second
	return "", nil, p
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

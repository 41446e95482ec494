package gateway

import (
	"context"
	"errors"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/problem"
)

// undo removes what a message left that was not sent, even if the caller has gone. A
// repeat may have been told that it is under way: a poll reads why it is not sent.
func (g *Gateway) undo(ctx context.Context, s *sending, why error) {
	g.discard(ctx, s)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.undoTimeout)
	defer cancel()
	var err error
	if s.named && !problem.Is(why, problem.TooManyQueued) {
		err = g.Records.Refuse(ctx, s.rec, reason(why))
	} else { // no row of what was not taken for there being too much
		err = g.Records.Release(ctx, s.rec)
	}
	if err != nil {
		s.unended = true
		g.Log.ErrorContext(ctx, "could not release idempotency record; repeats of this id get 503 until the owner's time is over", "id", s.rec.ID, "error", err)
	}
}

// reason is an error as a record keeps it.
func reason(err error) *record.Failure {
	p, ok := errors.AsType[*problem.Problem](err)
	if !ok {
		p = problem.New(problem.Unavailable, "The message could not be sent in time. Send it again.")
	}
	return &record.Failure{Kind: p.Kind.Slug(), Detail: p.Sentence(), Upstream: p.Upstream}
}

func (g *Gateway) discard(ctx context.Context, s *sending) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.undoTimeout)
	defer cancel()
	if err := s.files.Discard(ctx); err != nil {
		g.Log.ErrorContext(ctx, "could not discard attachments of an unsent message; clean-up will", "id", s.rec.ID, "error", err)
	}
}

package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
)

// abandonedTime bounds how long one round of the watchdog looks at what processes have left.
const abandonedTime = 30 * time.Second

// errNotAsked says that ACS could not be asked.
var errNotAsked = errors.New("ACS could not be asked for an operation")

// withoutCaller is ctx without the caller's leave, and with the deadline of ctx.
func withoutCaller(ctx context.Context) (context.Context, context.CancelFunc) {
	if end, ok := ctx.Deadline(); ok {
		return context.WithDeadline(context.WithoutCancel(ctx), end)
	}
	return context.WithCancel(context.WithoutCancel(ctx))
}

// begin notes that the process works on s, so that the watchdog ends what a dead process
// leaves. The note must stand before s's record says more than a claim.
func (g *Gateway) begin(ctx context.Context, s *sending) *record.Work {
	if s.work == nil {
		s.work = g.Records.BeginWork(ctx, s.rec)
	}
	return s.work
}

// endAbandonedWork ends what processes have begun and left. Once ACS cannot be asked about one
// message, it is asked about no other.
func (g *Gateway) endAbandonedWork(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, abandonedTime)
	defer cancel()
	silent := false
	return g.Records.VisitAbandoned(ctx, func(ctx context.Context, rec *record.Record) (over bool, err error) {
		if silent && rec.State != record.Claimed && rec.State != record.Waiting {
			return false, nil
		}
		over, err = g.endAbandoned(ctx, rec)
		if errors.Is(err, errNotAsked) {
			silent = true
			g.Log.WarnContext(ctx, "could not resolve what a dead process left, will retry", "id", rec.ID, "error", err)
			err = nil
		}
		return over, err
	})
}

// endAbandoned ends the work on a message whose owner has died, and which stands in no
// line, so that nobody else looks after it. What ACS cannot have has failed, and its
// id is free. About the rest ACS is asked once; if it does not know the message,
// the record says that a repeat sends it. over says that nobody need look again.
func (g *Gateway) endAbandoned(ctx context.Context, rec *record.Record) (over bool, err error) {
	if inLine, err := g.inLine(ctx, rec); inLine || err != nil {
		return inLine, err
	}
	if !g.Records.Abandoned(rec) {
		return false, nil
	}
	if rec.State == record.Claimed || rec.State == record.Waiting {
		err := g.Records.Refuse(ctx, rec, ownerDied())
		return err == nil, err
	}
	switch o := g.ask(ctx, rec, quota.Call{Caller: rec.Caller, Class: quota.Normal}); o.result {
	case unasked:
		return false, fmt.Errorf("%w: %w", errNotAsked, o.err)
	case accepted, rejected:
		return g.finish(ctx, rec, o), nil
	}
	err = g.Records.MarkUnsent(ctx, rec)
	return err == nil, err
}

package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

const (
	// maxTries bounds the calls to ACS that failed for a message's own reasons,
	// maxRepeats those made again after a doubt.
	maxTries   = 8
	maxRepeats = 3
	// firstPause doubles with every try, up to longestPause: five hours in all.
	firstPause   = time.Minute
	longestPause = 2 * time.Hour
)

// serve sends the letter of one slip. What goes wrong is logged, and the slip
// stays where it is.
func (p *pump) serve(ctx context.Context, slip *spool.Slip, grant quota.Grant) {
	ctx, span := p.Tracer.Start(context.WithoutCancel(ctx), "serve")
	defer span.End()
	if err := p.deliver(ctx, slip, grant); err != nil {
		p.Log.ErrorContext(ctx, "a message that waits could not be served", "id", slip.ID, "error", err)
	}
}

func (p *pump) deliver(ctx context.Context, slip *spool.Slip, grant quota.Grant) error {
	letter, found, err := p.Spool.Open(ctx, slip.Key)
	if err != nil && !problem.Is(err, problem.Internal) {
		return err
	}
	if err != nil || !found {
		return p.withoutLetter(ctx, slip, err)
	}
	rec, err := record.Restore(letter.Record, slip.Version)
	if err != nil {
		return p.withoutLetter(ctx, slip, err)
	}
	if p.now.After(rec.Deadline) {
		return p.giveUp(ctx, slip, rec, &record.Failure{Kind: problem.DeadlinePassed.Slug(), Detail: "The message waited until its deadline and was not sent."})
	}
	rec, err = p.own(ctx, slip, rec, &grant)
	if rec != nil && problem.Is(err, problem.OverQuota) {
		return p.again(ctx, slip, rec, quota.Grant{}, err)
	}
	if rec == nil || err != nil {
		return err
	}
	o := p.offer(ctx, rec, letter.Message, grant, slip.Repeats > 0)
	p.delivered(ctx, o)
	switch {
	case o.state == record.Failed:
		return p.giveUp(ctx, slip, rec, o.failure)
	case o.state != "":
		if err := p.Records.Finish(ctx, rec, o.state, o.failure); err != nil {
			return err // a later look asks ACS
		}
		return p.Spool.Leave(ctx, slip)
	case o.doubt != spool.NoDoubt:
		return p.doubtful(ctx, slip, rec, o.doubt)
	}
	return p.again(ctx, slip, rec, grant, o.err)
}

// own writes the fence. rec is nil if the message is not ours to send now.
func (p *pump) own(ctx context.Context, slip *spool.Slip, rec *record.Record, grant *quota.Grant) (*record.Record, error) {
	err := p.fence(ctx, rec, callOf(slip), grant)
	if !errors.Is(err, store.ErrChanged) && !problem.Is(err, problem.NotFound) {
		return rec, err
	}
	there, err := p.Records.Read(ctx, rec.Caller, rec.ID)
	switch {
	case problem.Is(err, problem.NotFound):
		return nil, p.Spool.Leave(ctx, slip) // it was never promised, or outlived its record
	case err != nil:
		return nil, err
	case there.Spooled != slip.Key, there.Final():
		return nil, p.Spool.Leave(ctx, slip)
	case there.State == record.Waiting:
		return there, p.fence(ctx, there, callOf(slip), grant)
	case there.State == record.Unknown && slip.Repeats > 0:
		return there, p.fence(ctx, there, callOf(slip), grant)
	case there.State == record.Sending && !p.Records.Stale(there):
		slip.NotBefore = there.OwnerUntil.Add(time.Second)
		return nil, p.returned(ctx, slip)
	}
	// Its owner has died while sending, so long ago that one answer is enough.
	return nil, p.doubtful(ctx, slip, there, spool.Failing)
}

// doubtful notes that ACS may have the message. It keeps its place in line.
func (p *pump) doubtful(ctx context.Context, slip *spool.Slip, rec *record.Record, doubt spool.Doubt) error {
	if err := p.Records.Doubt(ctx, rec); err != nil {
		return err
	}
	slip.Doubt, slip.Version = doubt, rec.Version()
	slip.Asked, slip.NotBefore = 0, p.now.Add(askPauses[0])
	return p.returned(ctx, slip)
}

// returned keeps what has changed of a slip that was taken and goes on waiting.
func (p *pump) returned(ctx context.Context, slip *spool.Slip) error {
	_, err := p.Sends.Join(ctx, callOf(slip), slip.At(), time.Time{})
	return errors.Join(err, p.Spool.Keep(ctx, slip))
}

// again lets a message wait on that ACS has certainly not taken. If ACS was well
// until then, the reason may be the message's own, and it pauses.
func (p *pump) again(ctx context.Context, slip *spool.Slip, rec *record.Record, grant quota.Grant, cause error) error {
	p.Log.WarnContext(ctx, "ACS did not take a message that waits", "id", rec.ID, "problem", problem.Of(cause).Kind.Slug())
	own := errors.Is(cause, ErrSender) || grant.Healthy() && !problem.Is(cause, problem.ACSBusy) && !problem.Is(cause, problem.OverQuota)
	if own {
		slip.Tries++
		if slip.Tries >= maxTries {
			return p.giveUp(ctx, slip, rec, &record.Failure{
				Kind: problem.Of(cause).Kind.Slug(), Upstream: problem.Of(cause).Upstream,
				Detail: fmt.Sprintf("It was offered to ACS %d times and not taken. The last reason: %s", slip.Tries, problem.Of(cause).Detail),
			})
		}
		slip.NotBefore = p.now.Add(min(firstPause<<(slip.Tries-1), longestPause))
	}
	if err := p.Records.Wait(ctx, rec); err != nil {
		return err
	}
	slip.Version = rec.Version()
	return p.returned(ctx, slip)
}

// giveUp ends a message that will not be sent, and shows it to the operator.
func (p *pump) giveUp(ctx context.Context, slip *spool.Slip, rec *record.Record, f *record.Failure) error {
	return p.bury(ctx, slip, rec, record.Failed, f)
}

func (p *pump) bury(ctx context.Context, slip *spool.Slip, rec *record.Record, state record.State, f *record.Failure) error {
	if err := p.Records.Finish(ctx, rec, state, f); err != nil {
		return err
	}
	p.Log.ErrorContext(ctx, "a message that waited was given up", "id", rec.ID, "state", string(state), "problem", f.Kind)
	return p.Spool.Bury(ctx, spool.Dead{Slip: *slip, At: p.now, Reason: f.Detail})
}

// withoutLetter deals with a slip whose letter is gone or cannot be read.
func (p *pump) withoutLetter(ctx context.Context, slip *spool.Slip, cause error) error {
	rec, err := p.Records.Read(ctx, slip.Line.Caller, slip.ID)
	switch {
	case problem.Is(err, problem.NotFound), err == nil && (rec.Final() || rec.Spooled != slip.Key):
		return p.Spool.Leave(ctx, slip) // it was being taken away
	case err != nil:
		return err
	case rec.State == record.Sending && !p.Records.Stale(rec):
		return nil // whoever sends it is just taking it away
	}
	p.Log.ErrorContext(ctx, "a message that waits has lost its letter", "id", slip.ID, "error", cause)
	return p.giveUp(ctx, slip, rec, &record.Failure{Kind: problem.Internal.Slug(), Detail: "What was kept of the message cannot be read any more, so it cannot be sent."})
}

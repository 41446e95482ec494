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

// delivery is a letter of a line in the hands of a pump.
type delivery struct {
	*Gateway
	slip *spool.Slip
	now  time.Time // of storage, when it was taken
}

// serve sends the letter of one slip. What goes wrong is logged, and the slip
// stays where it is.
func (p *pump) serve(ctx context.Context, slip *spool.Slip, grant quota.Grant, now time.Time) {
	ctx, span := p.Tracer.Start(context.WithoutCancel(ctx), "serve")
	defer span.End()
	d := delivery{p.Gateway, slip, now}
	if err := d.deliver(ctx, grant); err != nil {
		p.Log.ErrorContext(ctx, "a message that waits could not be served", "id", slip.ID, "error", err)
	}
}

func (d *delivery) deliver(ctx context.Context, grant quota.Grant) error {
	letter, found, err := d.Spool.Open(ctx, d.slip.Key)
	if err != nil && !problem.Is(err, problem.Internal) {
		return err
	}
	if err != nil || !found {
		return d.withoutLetter(ctx, err)
	}
	rec, err := record.Restore(letter.Record, d.slip.Version)
	if err != nil {
		return d.withoutLetter(ctx, err)
	}
	done, err := d.turn(ctx, false, grant)
	if err != nil {
		return err
	}
	defer done()
	rec, err = d.own(ctx, rec, &grant)
	if rec != nil && problem.Is(err, problem.OverQuota) {
		return d.again(ctx, rec, quota.Grant{}, err)
	}
	if rec == nil || err != nil {
		return err
	}
	if d.now.After(rec.Deadline) {
		return d.giveUp(ctx, rec, &record.Failure{Kind: problem.DeadlinePassed.Slug(), Detail: "The message waited until its deadline and was not sent."})
	}
	o := d.offer(ctx, rec, letter.Message, grant, d.slip.Repeats > 0)
	d.delivered(ctx, o)
	switch {
	case o.state == record.Failed:
		return d.giveUp(ctx, rec, o.failure)
	case o.state != "":
		if err := d.Records.Finish(ctx, rec, o.state, o.failure); err != nil {
			return err // a later look asks ACS
		}
		return d.Spool.Leave(ctx, d.slip)
	case o.doubt != spool.NoDoubt:
		return d.doubtful(ctx, rec, o.doubt)
	}
	return d.again(ctx, rec, grant, o.err)
}

// own writes the fence. rec is nil if the message is not ours to send now.
func (d *delivery) own(ctx context.Context, rec *record.Record, grant *quota.Grant) (*record.Record, error) {
	err := d.fence(ctx, rec, callOf(d.slip), grant)
	if !errors.Is(err, store.ErrChanged) && !errors.Is(err, store.ErrMissing) {
		return rec, err
	}
	there, err := d.Records.Read(ctx, rec.Caller, rec.ID)
	switch {
	case problem.Is(err, problem.NotFound):
		return nil, d.Spool.Leave(ctx, d.slip) // it was never promised, or outlived its record
	case err != nil:
		return nil, err
	case there.Spooled != d.slip.Key, there.Final():
		return nil, d.over(ctx, there)
	case there.State == record.Waiting:
		return there, d.fence(ctx, there, callOf(d.slip), grant)
	case there.State == record.Sending && !d.Records.Stale(there):
		d.slip.NotBefore = there.OwnerUntil.Add(time.Second)
		return nil, d.returned(ctx)
	}
	return nil, d.abandoned(ctx, there)
}

// abandoned lets ACS be asked about a message whose owner has died while sending,
// so long ago that one answer is enough, or had a doubt and could not note it here.
func (d *delivery) abandoned(ctx context.Context, rec *record.Record) error {
	if rec.State == record.Unknown {
		return d.doubtful(ctx, rec, spool.Silent)
	}
	return d.doubtful(ctx, rec, spool.Failing)
}

// doubtful notes that ACS may have the message. It keeps its place in line.
func (d *delivery) doubtful(ctx context.Context, rec *record.Record, doubt spool.Doubt) error {
	if err := d.Records.Doubt(ctx, rec); err != nil {
		return err
	}
	d.slip.Doubt, d.slip.Version = doubt, rec.Version()
	d.slip.Asked, d.slip.NotBefore = 0, d.now.Add(askPauses[0])
	return d.returned(ctx)
}

// returned keeps what has changed of a d.slip that was taken and goes on waiting.
func (d *delivery) returned(ctx context.Context) error {
	_, err := d.Sends.Join(ctx, callOf(d.slip), d.slip.At(), time.Time{})
	return errors.Join(err, d.Spool.Keep(ctx, d.slip))
}

// again lets a message wait on that ACS has certainly not taken. If ACS was well
// until then, the reason may be the message's own, and it pauses.
func (d *delivery) again(ctx context.Context, rec *record.Record, grant quota.Grant, cause error) error {
	d.Log.WarnContext(ctx, "ACS did not take a message that waits", "id", rec.ID, "problem", problem.Of(cause).Kind.Slug())
	own := errors.Is(cause, ErrSender) || grant.Healthy() && !problem.Is(cause, problem.ACSBusy) && !problem.Is(cause, problem.OverQuota)
	if own {
		d.slip.Tries++
		if d.slip.Tries >= maxTries {
			return d.giveUp(ctx, rec, &record.Failure{
				Kind: problem.Of(cause).Kind.Slug(), Upstream: problem.Of(cause).Upstream,
				Detail: fmt.Sprintf("It was offered to ACS %d times and not taken. The last reason: %s", d.slip.Tries, problem.Of(cause).Detail),
			})
		}
		d.slip.NotBefore = d.now.Add(min(firstPause<<(d.slip.Tries-1), longestPause))
	}
	if err := d.Records.Wait(ctx, rec); err != nil {
		return err
	}
	d.slip.Version = rec.Version()
	return d.returned(ctx)
}

// giveUp ends a message that will not be sent, and shows it to the operator.
func (d *delivery) giveUp(ctx context.Context, rec *record.Record, f *record.Failure) error {
	return d.bury(ctx, rec, record.Failed, f)
}

func (d *delivery) bury(ctx context.Context, rec *record.Record, state record.State, f *record.Failure) error {
	if err := d.Records.Finish(ctx, rec, state, f); err != nil {
		return err
	}
	d.Log.ErrorContext(ctx, "a message that waited was given up", "id", rec.ID, "state", string(state), "problem", f.Kind)
	return d.Spool.Bury(ctx, spool.Dead{Slip: *d.slip, At: d.now, Reason: f.Detail})
}

// over takes away the slip of a message that has ended, or stands elsewhere by now.
// What was being given up is in the operator's list then, with its letter.
func (d *delivery) over(ctx context.Context, rec *record.Record) error {
	if rec.Spooled != d.slip.Key || rec.State != record.Failed && rec.State != record.Unknown {
		return d.Spool.Leave(ctx, d.slip)
	}
	reason := "It may or may not have been sent."
	if rec.Failure != nil {
		reason = rec.Failure.Detail
	}
	return d.Spool.Bury(ctx, spool.Dead{Slip: *d.slip, At: d.now, Reason: reason})
}

// withoutLetter deals with a d.slip whose letter is gone or cannot be read.
func (d *delivery) withoutLetter(ctx context.Context, cause error) error {
	rec, err := d.Records.Read(ctx, d.slip.Line.Caller, d.slip.ID)
	switch {
	case problem.Is(err, problem.NotFound):
		return d.Spool.Leave(ctx, d.slip)
	case err == nil && (rec.Final() || rec.Spooled != d.slip.Key):
		return d.over(ctx, rec) // it was being taken away
	case err != nil:
		return err
	case rec.State == record.Sending && !d.Records.Stale(rec):
		return nil // whoever sends it is just taking it away
	case rec.State == record.Sending, rec.State == record.Unknown && rec.Version() != d.slip.Version:
		return d.abandoned(ctx, rec)
	}
	d.Log.ErrorContext(ctx, "a message that waits has lost its letter", "id", d.slip.ID, "error", cause)
	return d.giveUp(ctx, rec, &record.Failure{Kind: problem.Internal.Slug(), Detail: "What was kept of the message cannot be read any more, so it cannot be sent."})
}

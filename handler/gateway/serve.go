package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/mail"
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

// delivery is a letter of a line in the hands of a pump. The ledger has counted it
// off, so that it leaves its line or returns to it on every way out.
type delivery struct {
	*Gateway
	slip *spool.Entry
	now  time.Time // of storage, when it was taken
	done bool      // it has left, or returned
}

// retryPause is how long a slip pauses that could be dealt with in no way.
const retryPause = 5 * time.Second

// end returns a slip that is still in these hands.
func (d *delivery) end(ctx context.Context, err error) {
	if err != nil {
		d.Log.ErrorContext(ctx, "a message that waits could not be served", "id", d.slip.ID, "error", err)
	}
	if d.done {
		return
	}
	d.slip.NotBefore = d.in(ctx, retryPause)
	if err := d.returned(ctx); err != nil {
		d.Log.ErrorContext(ctx, "a message that waits could not be put back", "id", d.slip.ID, "error", err)
	}
}

// in is the time after a pause that begins now, however long the slip was in hand.
func (d *delivery) in(ctx context.Context, pause time.Duration) time.Time {
	now, err := d.Records.Time(ctx)
	if err != nil {
		now = d.now
	}
	return now.Add(pause)
}

// deliver sends the letter of a slip.
func (d *delivery) deliver(ctx context.Context, grant quota.Grant) error {
	permit := d.permit(grant)
	defer permit.done(ctx)
	letter, found, err := d.letter(ctx)
	if !found {
		return err
	}
	rec, err := record.Restore(letter.Record, d.slip.Version)
	if err != nil {
		return d.withoutLetter(ctx, err)
	}
	done, err := d.turn(ctx, false, permit.grant)
	if err != nil {
		return err
	}
	defer done()
	rec, err = d.own(ctx, rec, letter.Message, permit)
	if rec == nil {
		return err
	}
	if err != nil {
		return d.stopped(ctx, rec, err)
	}
	if d.now.After(rec.Deadline) && d.slip.Repeats > 0 {
		return d.bury(ctx, rec, record.Unknown, &record.Failure{Kind: problem.DeadlinePassed.Slug(), Detail: "ACS gave no clear answer when the message was sent, and does not know it. Its deadline has passed since. It may or may not have been sent."})
	}
	if d.now.After(rec.Deadline) {
		return d.giveUp(ctx, rec, &record.Failure{Kind: problem.DeadlinePassed.Slug(), Detail: "The message waited until its deadline and was not sent."})
	}
	o := d.offer(ctx, rec, letter.Message, permit, d.slip.Repeats > 0)
	d.delivered(ctx, o)
	switch {
	case o.state == record.Failed:
		return d.giveUp(ctx, rec, o.failure)
	case o.state != "":
		if err := d.Records.Finish(ctx, rec, o.state, o.failure); err != nil {
			return err // a later look asks ACS
		}
		return d.leave(ctx)
	case o.doubt != spool.NoDoubt:
		return d.doubtful(ctx, rec, o.doubt)
	}
	return d.again(ctx, rec, permit.grant, o.err)
}

// own writes the fence. rec is nil if the message is not ours to send now.
func (d *delivery) own(ctx context.Context, rec *record.Record, m *mail.Message, permit *permit) (*record.Record, error) {
	err := d.fence(ctx, rec, m, callOf(d.slip), permit)
	if !errors.Is(err, store.ErrChanged) && !errors.Is(err, store.ErrMissing) {
		return rec, err
	}
	there, err := d.Records.Read(ctx, rec.Caller, rec.ID)
	switch {
	case problem.Is(err, problem.NotFound):
		return nil, d.leave(ctx) // it was never promised, or outlived its record
	case err != nil:
		return nil, err
	case there.Spooled != d.slip.Key, there.Final():
		return nil, d.over(ctx, there)
	case there.State == record.Waiting:
		return there, d.fence(ctx, there, m, callOf(d.slip), permit)
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
		return d.doubtful(ctx, rec, spool.NoAnswer)
	}
	return d.doubtful(ctx, rec, spool.FailureAnswer)
}

// doubtful notes that ACS may have the message. It keeps its place in line. The slip
// comes first: only it says what kind of doubt it is, and the record tells callers.
func (d *delivery) doubtful(ctx context.Context, rec *record.Record, doubt spool.Doubt) error {
	d.slip.Doubt, d.slip.Version = doubt, rec.Version()
	d.slip.UnknownAnswers, d.slip.NotBefore = 0, d.in(ctx, askPauses[0])
	if err := d.returned(ctx); err != nil {
		return err
	}
	return d.Records.MarkResolving(ctx, rec)
}

// returned keeps what has changed of a slip that was taken and goes on waiting, and
// counts it again. The slip comes first: by it the ledger knows what is to be done. If
// it cannot be kept, it is soon looked at as it was.
func (d *delivery) returned(ctx context.Context) error {
	d.done = true
	d.slip.Ticket = d.newTicket()
	until := d.slip.NotBefore
	err := d.Spool.UpdateEntry(ctx, d.slip)
	if err != nil {
		until = d.in(ctx, retryPause)
	}
	d.count(ctx, d.slip, until)
	return err
}

// leave takes a slip out of its line, with its letter.
func (d *delivery) leave(ctx context.Context) error {
	err := d.Spool.DeleteQueued(ctx, d.slip)
	d.done = err == nil
	return err
}

// exhibit takes a slip out of its line and shows it to the operator.
func (d *delivery) exhibit(ctx context.Context, reason string) error {
	err := d.Spool.MoveToDeadLetters(ctx, spool.DeadLetter{Entry: *d.slip, At: d.now, Reason: reason})
	d.done = err == nil
	return err
}

// again lets a message wait on that ACS has certainly not taken. If ACS was well
// until then, the reason may be the message's own, and it pauses.
func (d *delivery) again(ctx context.Context, rec *record.Record, grant quota.Grant, cause error) error {
	d.Log.WarnContext(ctx, "ACS did not take a message that waits", "id", rec.ID, "problem", problem.Of(cause).Kind.Slug(), "error", cause)
	own := errors.Is(cause, ErrSender) || grant.Healthy() && !problem.Is(cause, problem.ACSBusy) && !problem.Is(cause, problem.OverQuota)
	if own {
		d.slip.Tries++
		if d.slip.Tries >= maxTries {
			return d.giveUp(ctx, rec, &record.Failure{
				Kind: problem.Of(cause).Kind.Slug(), Upstream: problem.Of(cause).Upstream,
				Detail: fmt.Sprintf("It was offered to ACS %d times and not taken. The last reason: %s", d.slip.Tries, problem.Of(cause).Detail),
			})
		}
		d.slip.NotBefore = d.in(ctx, min(firstPause<<(d.slip.Tries-1), longestPause))
	}
	if err := d.Records.MarkWaiting(ctx, rec); err != nil {
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
	return d.exhibit(ctx, f.Detail)
}

// over takes away the slip of a message that has ended, or stands elsewhere by now.
// What was being given up is in the operator's list then, with its letter.
func (d *delivery) over(ctx context.Context, rec *record.Record) error {
	if rec.Spooled != d.slip.Key || rec.State != record.Failed && rec.State != record.Unknown {
		return d.leave(ctx)
	}
	reason := "It may or may not have been sent."
	if rec.Failure != nil {
		reason = rec.Failure.Detail
	}
	return d.exhibit(ctx, reason)
}

// unsent is the record of a slip that ACS cannot have. It is nil if there is none: then the
// slip was dealt with.
func (d *delivery) unsent(ctx context.Context) (*record.Record, error) {
	rec, err := d.Records.Read(ctx, d.slip.Line.Caller, d.slip.ID)
	switch {
	case problem.Is(err, problem.NotFound):
		return nil, d.leave(ctx)
	case err == nil && (rec.Final() || rec.Spooled != d.slip.Key):
		return nil, d.over(ctx, rec) // it was being taken away
	case err != nil:
		return nil, err
	case rec.State == record.Sending && !d.Records.Stale(rec):
		return nil, nil // whoever sends it is just taking it away
	case rec.State == record.Sending, rec.State == record.Unknown && rec.Version() != d.slip.Version:
		return nil, d.abandoned(ctx, rec)
	}
	return rec, nil
}

// withoutLetter deals with a slip whose letter is gone or cannot be read.
func (d *delivery) withoutLetter(ctx context.Context, cause error) error {
	rec, err := d.unsent(ctx)
	if rec == nil || err != nil {
		return err
	}
	d.Log.ErrorContext(ctx, "a message that waits has lost its letter", "id", d.slip.ID, "error", cause)
	return d.giveUp(ctx, rec, &record.Failure{Kind: problem.Internal.Slug(), Detail: "What was kept of the message cannot be read any more, so it cannot be sent."})
}

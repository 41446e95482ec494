package gateway

import (
	"context"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/problem"
)

// askPauses are the pauses before each question to ACS about a message in doubt
// that is in the spool. ACS that answers "unknown" to the last one does not have
// it: an operation has been seen to show after seconds. With what it takes to be woken
// for each, a doubt is over within a minute.
var askPauses = [...]time.Duration{3 * time.Second, 7 * time.Second, 12 * time.Second, 18 * time.Second}

// unanswered is the pause when ACS could not be asked.
const unanswered = time.Minute

// question asks ACS once about a slip in doubt, and says whether ACS has answered. A
// message that ACS does not know, asked often enough, is sent again under the same
// ids; one that has been repeated too often stays unknown.
func (d *delivery) question(ctx context.Context) (answered bool, err error) {
	rec, err := d.Records.Read(ctx, d.slip.Line.Caller, d.slip.ID)
	switch {
	case problem.Is(err, problem.NotFound):
		return true, d.leave(ctx)
	case err == nil && (rec.Final() || rec.Spooled != d.slip.Key):
		return true, d.over(ctx, rec)
	case err != nil:
		return true, err
	}
	known, failure, err := d.ask(ctx, rec, quota.Call{Class: quota.High})
	if err != nil {
		return problem.Is(err, problem.OverQuota), d.unanswered(ctx, rec, problem.Of(err).RetryAfter)
	}
	if known {
		return true, d.settled(ctx, rec, ended(failure))
	}
	d.slip.UnknownAnswers++
	if d.slip.UnknownAnswers < d.slip.UnknownAnswersNeeded() {
		d.slip.NotBefore = d.in(ctx, askPauses[min(d.slip.UnknownAnswers, len(askPauses)-1)])
		return true, d.returned(ctx)
	}
	if d.slip.Repeats == maxRepeats {
		return true, d.bury(ctx, rec, record.Unknown, &record.Failure{
			Kind: problem.ACSFailed.Slug(), Detail: "ACS gave no clear answer each time that the message was sent, and does not know it. It may or may not have been sent.",
		})
	}
	d.slip.Repeats++
	d.slip.UnknownAnswers, d.slip.Doubt, d.slip.NotBefore, d.slip.Version = 0, spool.NoDoubt, time.Time{}, rec.Version()
	return true, d.returned(ctx)
}

// unanswered lets the question be asked again later or, when the message's deadline
// has passed, ends the asking: what became of it will not be known.
func (d *delivery) unanswered(ctx context.Context, rec *record.Record, wait time.Duration) error {
	if !d.now.After(rec.Deadline) {
		d.slip.NotBefore = d.in(ctx, max(unanswered, wait))
		return d.returned(ctx)
	}
	return d.bury(ctx, rec, record.Unknown, &record.Failure{
		Kind: problem.ACSFailed.Slug(), Detail: "ACS gave no clear answer, and could not be asked until the message's deadline. It may or may not have been sent.",
	})
}

// settled records what ACS knows.
func (d *delivery) settled(ctx context.Context, rec *record.Record, o outcome) error {
	d.delivered(ctx, o)
	if o.state == record.Failed {
		return d.giveUp(ctx, rec, o.failure)
	}
	if err := d.Records.Finish(ctx, rec, o.state, nil); err != nil {
		return err
	}
	return d.leave(ctx)
}

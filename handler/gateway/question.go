package gateway

import (
	"context"
	"time"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/problem"
)

// askPauses are the pauses before each question to ACS about a message in doubt
// that is in the spool. ACS that answers "unknown" to the last one does not have
// it: an operation has been seen to show after seconds, and these are minutes.
var askPauses = [...]time.Duration{5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute}

// unanswered is the pause when ACS could not be asked.
const unanswered = time.Minute

// verdict is what a question about a message in doubt has led to.
type verdict int

const (
	asksOn      verdict = iota
	nobodyThere         // ACS did not answer
	goesAgain
	hasEnded
)

// question asks ACS once about a slip in doubt. A message that ACS does not know,
// asked often enough, is sent again under the same ids; one that has been
// repeated too often stays unknown.
func (d *delivery) question(ctx context.Context) verdict {
	v, err := d.inquire(context.WithoutCancel(ctx))
	if err != nil {
		d.Log.WarnContext(ctx, "a message in doubt could not be settled", "id", d.slip.ID, "error", err)
	}
	return v
}

func (d *delivery) inquire(ctx context.Context) (verdict, error) {
	rec, err := d.Records.Read(ctx, d.slip.Line.Caller, d.slip.ID)
	switch {
	case problem.Is(err, problem.NotFound):
		return hasEnded, d.Spool.Leave(ctx, d.slip)
	case err == nil && (rec.Final() || rec.Spooled != d.slip.Key):
		return hasEnded, d.over(ctx, rec)
	case err != nil:
		return asksOn, err
	}
	known, failure, err := d.ask(ctx, rec.OperationID)
	if err != nil {
		d.slip.NotBefore = d.now.Add(max(unanswered, problem.Of(err).RetryAfter))
		v, keepErr := d.tired(ctx, rec, d.Spool.Keep(ctx, d.slip))
		if v == asksOn && !problem.Is(err, problem.OverQuota) {
			v = nobodyThere
		}
		return v, keepErr
	}
	if known {
		return hasEnded, d.settled(ctx, rec, ended(failure))
	}
	d.slip.Asked++
	if d.slip.Asked < d.slip.Enough() {
		d.slip.NotBefore = d.now.Add(askPauses[min(d.slip.Asked, len(askPauses)-1)])
		return asksOn, d.Spool.Keep(ctx, d.slip)
	}
	if d.slip.Repeats == maxRepeats {
		return hasEnded, d.bury(ctx, rec, record.Unknown, &record.Failure{
			Kind: problem.ACSFailed.Slug(), Detail: "ACS gave no clear answer each time that the message was sent, and does not know it. It may or may not have been sent.",
		})
	}
	d.slip.Repeats++
	d.slip.Asked, d.slip.Doubt, d.slip.NotBefore, d.slip.Version = 0, spool.NoDoubt, time.Time{}, rec.Version()
	return goesAgain, d.Spool.Keep(ctx, d.slip)
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
	return d.Spool.Leave(ctx, d.slip)
}

// tired ends the asking of an ACS that cannot be asked when the message's deadline
// has passed: what became of it will not be known.
func (d *delivery) tired(ctx context.Context, rec *record.Record, err error) (verdict, error) {
	if err != nil || !d.now.After(rec.Deadline) {
		return asksOn, err
	}
	return hasEnded, d.bury(ctx, rec, record.Unknown, &record.Failure{
		Kind: problem.ACSFailed.Slug(), Detail: "ACS gave no clear answer, and could not be asked until the message's deadline. It may or may not have been sent.",
	})
}

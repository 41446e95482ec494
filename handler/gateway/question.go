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
	asksOn verdict = iota
	goesAgain
	hasEnded
)

// question asks ACS once about a slip in doubt. A message that ACS does not know,
// asked often enough, is sent again under the same ids; one that has been
// repeated too often stays unknown.
func (p *pump) question(ctx context.Context, slip *spool.Slip) verdict {
	v, err := p.inquire(context.WithoutCancel(ctx), slip)
	if err != nil {
		p.Log.WarnContext(ctx, "a message in doubt could not be settled", "id", slip.ID, "error", err)
	}
	return v
}

func (p *pump) inquire(ctx context.Context, slip *spool.Slip) (verdict, error) {
	rec, err := p.Records.Read(ctx, slip.Line.Caller, slip.ID)
	switch {
	case problem.Is(err, problem.NotFound), err == nil && (rec.Final() || rec.Spooled != slip.Key):
		return hasEnded, p.Spool.Leave(ctx, slip)
	case err != nil:
		return asksOn, err
	}
	known, failure, err := p.ask(ctx, rec.OperationID)
	if err != nil {
		p.away = !problem.Is(err, problem.OverQuota)
		slip.NotBefore = p.now.Add(max(unanswered, problem.Of(err).RetryAfter))
		return p.tired(ctx, slip, rec, p.Spool.Keep(ctx, slip))
	}
	if known {
		return hasEnded, p.settled(ctx, slip, rec, ended(failure))
	}
	slip.Asked++
	if slip.Asked < slip.Enough() {
		slip.NotBefore = p.now.Add(askPauses[min(slip.Asked, len(askPauses)-1)])
		return asksOn, p.Spool.Keep(ctx, slip)
	}
	if slip.Repeats == maxRepeats {
		return hasEnded, p.bury(ctx, slip, rec, record.Unknown, &record.Failure{
			Kind: problem.ACSFailed.Slug(), Detail: "ACS gave no clear answer each time that the message was sent, and does not know it. It may or may not have been sent.",
		})
	}
	slip.Repeats++
	slip.Asked, slip.Doubt, slip.NotBefore, slip.Version = 0, spool.NoDoubt, time.Time{}, rec.Version()
	return goesAgain, p.Spool.Keep(ctx, slip)
}

// settled records what ACS knows.
func (p *pump) settled(ctx context.Context, slip *spool.Slip, rec *record.Record, o outcome) error {
	p.delivered(ctx, o)
	if o.state == record.Failed {
		return p.giveUp(ctx, slip, rec, o.failure)
	}
	if err := p.Records.Finish(ctx, rec, o.state, nil); err != nil {
		return err
	}
	return p.Spool.Leave(ctx, slip)
}

// tired ends the asking of an ACS that cannot be asked when the message's deadline
// has passed: what became of it will not be known.
func (p *pump) tired(ctx context.Context, slip *spool.Slip, rec *record.Record, err error) (verdict, error) {
	if err != nil || !p.now.After(rec.Deadline) {
		return asksOn, err
	}
	return hasEnded, p.bury(ctx, slip, rec, record.Unknown, &record.Failure{
		Kind: problem.ACSFailed.Slug(), Detail: "ACS gave no clear answer, and could not be asked until the message's deadline. It may or may not have been sent.",
	})
}

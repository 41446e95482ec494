package gateway

import (
	"context"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// deadPage is how many dead letters are listed at a time.
const deadPage = 200

// Dead lists the dead letters, the oldest first.
func (g *Gateway) Dead(ctx context.Context) ([]spool.DeadLetter, error) {
	var all []spool.DeadLetter
	for after := (*spool.DeadLetter)(nil); ; after = &all[len(all)-1] {
		page, err := g.Spool.ListDeadLetters(ctx, after, deadPage)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) < deadPage {
			return all, nil
		}
	}
}

// DeadRetry puts the message of a dead letter at the end of its line. ACS is asked first if
// ACS may have the message. A message that its caller may not send any more is Forbidden, and
// stays a dead letter. It may be repeated.
func (g *Gateway) DeadRetry(ctx context.Context, d spool.DeadLetter) error {
	rec, err := g.Records.Read(ctx, d.Line.Caller, d.ID)
	gone := problem.Is(err, problem.NotFound)
	if err != nil && !gone {
		return err
	}
	if !gone {
		back, err := g.isBack(ctx, rec, d)
		if err != nil {
			return err
		}
		if back {
			return g.Spool.DiscardDeadLetter(ctx, &d)
		}
	}
	message, found, err := g.Spool.ReadDeadLetter(ctx, &d)
	if err != nil && !problem.Is(err, problem.Internal) {
		return err
	}
	if found && gone {
		rec, err = outlived(message)
	}
	if err != nil || !found {
		return problem.New(problem.Gone, "The content of the message is lost, so it cannot be sent.")
	}
	if err := g.cleared(ctx, rec, message.Message); err != nil && !problem.Is(err, problem.Paused) {
		return err
	}
	if err := g.requeueDead(ctx, rec, message.Message, d); err != nil {
		return err
	}
	return g.Spool.DiscardDeadLetter(ctx, &d)
}

// outlived is the record of a message that the operator kept for longer than it. It does
// not tell any more whether the message was put back and sent, so ACS is asked.
func outlived(l spool.Message) (*record.Record, error) {
	rec, err := record.Restore(l.Record, "")
	if err == nil {
		rec.State, rec.Lasting = record.Unknown, true
	}
	return rec, err
}

// requeueDead gives a message a new position in line, at which it begins anew.
func (g *Gateway) requeueDead(ctx context.Context, rec *record.Record, m *mail.Message, d spool.DeadLetter) error {
	deadline, err := g.retryUntil(ctx, rec)
	if err != nil {
		return err
	}
	entry, wait := d.Entry, g.Records.MarkWaiting
	entry.Tries, entry.Repeats, entry.UnknownAnswers, entry.NotBefore, entry.Doubt = 0, 0, 0, time.Time{}, spool.NoDoubt
	var position quota.Position
	if entry.Line.Later = rec.State == record.Unknown; entry.Line.Later {
		entry.Doubt, wait = spool.NoAnswer, g.Records.MarkResolving
		position, err = g.doubtPosition(ctx, d.Line.Domain, callOf(&entry), d.Line.Shard, 0)
	} else {
		position, err = g.Sends[d.Line.Domain].Join(ctx, callOf(&entry), time.Time{}, time.Time{})
	}
	if err != nil {
		return err
	}
	defer g.wake(ctx, d.Line.Domain, position)
	entry.Line.Shard, entry.Due, entry.Ticket = position.Shard, position.At, position.Ticket
	entry.Key = spool.KeyFor(entry.Line, position.At, rec.OperationID)
	rec.Spooled, rec.Deadline, rec.Failure, rec.Expected, rec.Repeatable = entry.Key, deadline, nil, position.Expected, false
	if err := g.Spool.PutMessage(ctx, &entry, spool.Message{Record: rec.Snapshot(), Message: m}); err != nil {
		return err
	}
	if err := wait(ctx, rec); err != nil {
		return err
	}
	entry.Version = rec.Version()
	return g.Spool.InsertEntry(ctx, &entry)
}

// retryMargin is how long before the end of its record a message may be sent for the last
// time. A message is not put back for a shorter time.
const retryMargin = time.Hour

// retryUntil is the deadline of a message that is put back. It cannot outlive a record that
// stands in the table of a day. When that table is gone, the message gets another record.
func (g *Gateway) retryUntil(ctx context.Context, rec *record.Record) (time.Time, error) {
	now, err := g.Records.Time(ctx)
	if err != nil {
		return time.Time{}, err
	}
	deadline := now.Add(mail.MaxWait)
	if until, sure := rec.Until(); sure {
		deadline = sooner(deadline, until.Add(-retryMargin))
	}
	if deadline.Before(now.Add(retryMargin)) {
		p := problem.New(problem.Unavailable, "The record of the message is just about to go. Put the message back after that.")
		p.RetryAfter = deadline.Add(2 * retryMargin).Sub(now)
		return time.Time{}, p
	}
	return deadline, nil
}

// isBack says whether a message was put back already. A retry that died before it inserted
// the queue entry has left a record that names a position without an entry.
func (g *Gateway) isBack(ctx context.Context, rec *record.Record, d spool.DeadLetter) (bool, error) {
	switch {
	case rec.Spooled == d.Key:
		return false, nil
	case rec.Final():
		return !rec.Repeatable, nil
	case rec.Spooled != store.Key{}:
		if inLine, err := g.Spool.HasEntry(ctx, rec.Spooled); inLine || err != nil {
			return inLine, err
		}
	}
	if rec.State != record.Waiting && rec.State != record.Unknown {
		return false, record.InProgress() // its caller has repeated it
	}
	return false, nil
}

// DeadDrop removes a dead letter for good, and withdraws its links. Of a message that was put
// back, the links stay.
func (g *Gateway) DeadDrop(ctx context.Context, d spool.DeadLetter) error {
	rec, err := g.Records.Read(ctx, d.Line.Caller, d.ID)
	if err == nil && len(rec.Moved) > 0 && !rec.Shared && rec.State == record.Failed && rec.Spooled == d.Key {
		err = g.Offload.RevokeMessage(ctx, rec.Links)
	}
	if err != nil && !problem.Is(err, problem.NotFound) && !problem.Is(err, problem.Gone) {
		return err
	}
	return g.Spool.DiscardDeadLetter(ctx, &d)
}

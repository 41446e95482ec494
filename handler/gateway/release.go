package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// Held is the record of a queued message, and the message. The message is nil if its content
// is lost.
func (g *Gateway) Held(ctx context.Context, s *spool.Entry) (*record.Record, *mail.Message, error) {
	rec, err := g.Records.Read(ctx, s.Line.Caller, s.ID)
	if err != nil {
		return nil, nil, err
	}
	message, _, err := g.Spool.ReadMessage(ctx, s)
	if problem.Is(err, problem.Internal) {
		err = nil
	}
	return rec, message.Message, err
}

// Drop ends a queued message as its caller's cancelling does, for every caller. It may be
// repeated. TooLate is for a message that ACS may have.
func (g *Gateway) Drop(ctx context.Context, s *spool.Entry) error {
	if s.Unreadable {
		return g.dropUnreadable(ctx, s)
	}
	rec, err := g.cancel(ctx, s.Line.Caller, s.ID)
	if err != nil && !problem.Is(err, problem.NotFound) {
		return err
	}
	if rec == nil || rec.Spooled != s.Key { // it was never promised, or stands elsewhere
		g.dequeue(ctx, s)
	}
	return nil
}

// dropUnreadable drops a message whose queue entry cannot be read. The content may say which
// message it is.
func (g *Gateway) dropUnreadable(ctx context.Context, s *spool.Entry) error {
	message, found, err := g.Spool.ReadMessage(ctx, s)
	if err != nil && !problem.Is(err, problem.Internal) {
		return err
	}
	if err == nil && found {
		if kept, err := record.Restore(message.Record, ""); err == nil {
			if _, err := g.cancel(ctx, kept.Caller, kept.ID); err != nil && !problem.Is(err, problem.NotFound) {
				return err
			}
		}
	}
	return g.Spool.DeleteQueued(ctx, s)
}

// Release lets a message that is queued for a time go as soon as the quota has room: it moves
// to the end of the line of those that wait for room. The order is message, queue entry,
// record. Until the record names the new position, the old one holds, and a dispatcher
// removes an entry at a position that the record does not name. It may be repeated. TooLate
// is for a message that is not queued there any more.
func (g *Gateway) Release(ctx context.Context, old *spool.Entry) error {
	rec, err := g.Records.Read(ctx, old.Line.Caller, old.ID)
	if err != nil {
		return err
	}
	if rec.State != record.Waiting || rec.Spooled != old.Key {
		return moved(rec)
	}
	message, found, err := g.Spool.ReadMessage(ctx, old)
	if err == nil && !found {
		err = problem.New(problem.Gone, "The content of the message is lost, so it cannot be sent.")
	}
	if err != nil {
		return err
	}
	position, err := g.Sends[old.Line.Domain].Join(ctx, callOf(old), time.Time{}, time.Time{})
	if err != nil {
		return err
	}
	defer g.wake(ctx, old.Line.Domain, position)
	entry := *old
	entry.Line.Shard, entry.Line.Later = position.Shard, false
	entry.Due, entry.NotBefore, entry.Ticket = position.At, time.Time{}, position.Ticket
	entry.Key = spool.KeyFor(entry.Line, position.At, rec.OperationID+"-"+g.NewID())
	rec.Spooled, rec.Expected = entry.Key, position.Expected
	err = g.Spool.PutMessage(ctx, &entry, spool.Message{Record: rec.Snapshot(), Message: message.Message})
	if err == nil {
		err = g.Spool.InsertEntry(ctx, &entry)
	}
	if err != nil {
		g.dequeue(ctx, &entry)
		return err
	}
	return g.moveRecord(ctx, rec, old, &entry)
}

// moveRecord makes the record name a message's new position, and removes the entry that the
// record does not name.
func (g *Gateway) moveRecord(ctx context.Context, rec *record.Record, old, entry *spool.Entry) error {
	err := g.Records.MarkWaiting(ctx, rec)
	if errors.Is(err, store.ErrChanged) {
		there, readErr := g.Records.Read(ctx, rec.Caller, rec.ID)
		switch {
		case readErr != nil:
			return readErr // dispatchers remove the entry that the record does not name
		case there.Spooled != entry.Key:
			g.dequeue(ctx, entry)
			return moved(there)
		}
		err = nil // a dispatcher was quick to take it from there
	}
	if err != nil {
		return err
	}
	g.dequeue(ctx, old)
	return nil
}

func moved(rec *record.Record) error {
	return problem.New(problem.TooLate, "The message is not queued there any more: its state is %s.", rec.State)
}

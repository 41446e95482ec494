package gateway

import (
	"context"
	"errors"
	"hash/fnv"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/spool"
)

// putBack makes a message wait that ACS has certainly not taken.
func (g *Gateway) putBack(ctx context.Context, p *parcel) (Answer, error) {
	call := p.call
	call.MostWaiting = 0 // it had its turn
	place, err := g.Sends.Join(ctx, call, time.Time{}, time.Time{})
	if err != nil {
		return Answer{}, err
	}
	return g.park(ctx, p, place, spool.NoDoubt)
}

// parkDoubt makes a message wait that ACS may have taken. If it cannot, the message
// must not look as if it had not been sent.
func (g *Gateway) parkDoubt(ctx context.Context, p *parcel, doubt spool.Doubt, shard int) (Answer, error) {
	place, err := g.doubtPlace(ctx, p.call, shard, askPauses[0])
	if err == nil {
		var answer Answer
		if answer, err = g.park(ctx, p, place, doubt); err == nil {
			return answer, nil
		}
	}
	g.Log.ErrorContext(ctx, "a message in doubt could not be kept", "id", p.rec.ID, "error", err)
	g.abandon(ctx, p.rec, unshown)
	p.left = true
	return Answer{p.rec, false}, nil
}

// doubtPlace is a place for a message about which ACS is asked after a pause. It is
// with those that wait for a time, so that the question does not wait for those that
// wait for room.
func (g *Gateway) doubtPlace(ctx context.Context, c quota.Call, shard int, pause time.Duration) (quota.Position, error) {
	now, err := g.Records.Time(ctx)
	if err != nil {
		return quota.Position{}, err
	}
	due := now.Add(pause)
	place, err := g.Sends.Return(ctx, shard, quota.Line{Class: c.Class, Caller: c.Caller, Later: true}, c, 0, due)
	place.At, place.Expected = due, due
	return place, err
}

// park makes a message wait at a place that the ledger has given it. Then the
// caller may be told so. The order is letter, record, row: what a crash leaves in
// between was promised to nobody.
func (g *Gateway) park(ctx context.Context, p *parcel, place quota.Position, doubt spool.Doubt) (Answer, error) {
	ctx, span := g.Tracer.Start(ctx, "park")
	defer span.End()
	defer g.wake(ctx, place)
	joined := g.Now()
	slip := g.slip(p, place, doubt)
	p.rec.Spooled, p.rec.Expected = slip.Key, place.Expected
	if p.rec.Deadline.IsZero() {
		p.rec.Deadline = p.terms.Deadline
	}
	if err := g.keep(ctx, p, slip); err != nil {
		g.giveBack(ctx, slip, g.Spool.DeleteEntry)
		return Answer{}, err
	}
	g.places.add(slip.Key)
	if g.Now().Sub(joined) >= quota.JoinGrace { // pumps no longer look for it
		until := slip.NotBefore
		if slip.Line.Later {
			until = slip.Due
		}
		g.count(ctx, slip, until)
	}
	return Answer{p.rec, false}, nil
}

// count lets the ledger count a slip that it does not know, or no longer, and that is
// held until a time; zero if it needs nothing but room. If that fails, Tend finds it.
func (g *Gateway) count(ctx context.Context, slip *spool.Entry, until time.Time) {
	place, err := g.Sends.Return(ctx, slip.Line.Shard, lineOf(slip.Line), callOf(slip), slip.Ticket, until)
	if err != nil {
		g.Log.WarnContext(ctx, "a message that waits could not be counted", "id", slip.ID, "error", err)
		return
	}
	g.wake(ctx, place)
}

// newTicket is one that the ledger has not given out.
func (g *Gateway) newTicket() int64 {
	h := fnv.New64a()
	h.Write([]byte(g.NewID()))
	return int64(h.Sum64() >> 1)
}

// slip is that of one attempt: its key is no other's, not even that of a repeat
// with the same time, so that whoever gives a place back gives back its own.
func (g *Gateway) slip(p *parcel, place quota.Position, doubt spool.Doubt) *spool.Entry {
	line := spool.Line{Shard: place.Shard, Class: int(p.call.Class), Later: doubt != spool.NoDoubt || !p.terms.SendAt.IsZero()}
	line.Caller, line.Form = splitPart(p.call.Caller)
	s := &spool.Entry{
		Key:  spool.KeyFor(line, place.At, record.Key(p.rec.Caller, p.rec.ID)+"-"+g.NewID()),
		Line: line, Due: place.At, ID: p.rec.ID, Hook: p.rec.Hook, Bytes: p.m.Bytes(), Sender: p.call.Sender, Terms: p.by.Terms(),
		Cost: p.call.Cost, Share: p.call.Share, Cap: p.call.Cap, Doubt: doubt, Ticket: place.Ticket,
	}
	if line.Form != "" {
		s.Cap, s.FormCap = p.call.WholeCap, p.call.Cap
	}
	if doubt != spool.NoDoubt {
		s.UnknownAnswers, s.NotBefore = 1, place.At // the request has asked, in the first seconds
	}
	return s
}

// keep stores the letter, then that it waits, then its row.
func (g *Gateway) keep(ctx context.Context, p *parcel, slip *spool.Entry) error {
	if err := g.commit(ctx, p); err != nil {
		return err
	}
	var err error
	if p.rec.Created.IsZero() {
		if p.rec.Created, err = g.Records.Time(ctx); err != nil {
			return err
		}
	}
	work := g.begin(ctx, p)
	if err := g.Spool.PutMessage(ctx, slip.Key, spool.Message{Record: p.rec.Snapshot(), Message: p.m}); err != nil {
		return err
	}
	if err := work.AwaitNote(ctx); err != nil {
		return err
	}
	wait := g.Records.MarkWaiting
	if slip.Doubt != spool.NoDoubt {
		wait = g.Records.MarkResolving
	}
	if err := wait(ctx, p.rec); err != nil {
		return err
	}
	slip.Version = p.rec.Version()
	if p.again {
		slip.Repeats++
	}
	return g.Spool.InsertEntry(ctx, slip)
}

// leave gives back the place of a message that does not wait after all.
func (g *Gateway) leave(ctx context.Context, slip *spool.Entry) {
	g.giveBack(ctx, slip, g.Spool.DeleteQueued)
}

// giveBack does so by taking the row away, and the letter with it or not. Where it is not
// known whether the row was written, the letter stays: the row may still come, and would
// have nothing to send. Sweep finds a letter that no row came for.
func (g *Gateway) giveBack(ctx context.Context, slip *spool.Entry, away func(context.Context, *spool.Entry) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.undoTimeout)
	defer cancel()
	err := errors.Join(away(ctx, slip), g.Sends.Leave(ctx, slip.Line.Shard, lineOf(slip.Line), slip.Ticket))
	if err != nil {
		g.Log.ErrorContext(ctx, "a place in line could not be given back", "id", slip.ID, "error", err)
	}
}

// atWork says of a message that is in the spool whether its place in line is safe. If it
// is not, it is only under way, and nobody was promised anything; and if its owner's time
// is over as well, mine takes over.
func (g *Gateway) atWork(ctx context.Context, mine record.Record, there *record.Record) (rec *record.Record, replay bool, err error) {
	safe, err := g.inLine(ctx, there)
	switch {
	case err != nil:
		return nil, false, err
	case safe:
	case g.Records.Abandoned(there):
		rec, err = g.Records.TakeOver(ctx, mine, there)
		return rec, false, err
	case there.State == record.Waiting:
		there.State = record.Claimed
	}
	return there, true, nil
}

// wake sends the tick that the ledger counts on since it gave a place, if it does:
// whatever became of the message, and of its caller. If that fails, Tend will.
func (g *Gateway) wake(ctx context.Context, place quota.Position) {
	if place.Wake.IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.undoTimeout)
	defer cancel()
	now, err := g.Records.Time(ctx)
	if err == nil {
		err = g.Spool.SendWakeUp(ctx, place.Shard, place.Wake.Sub(now))
	}
	if err != nil {
		g.Log.WarnContext(ctx, "a tick could not be sent", "shard", place.Shard, "error", err)
	}
}

func lineOf(l spool.Line) quota.Line {
	return quota.Line{Class: quota.Class(l.Class), Caller: partName(l.Caller, l.Form), Later: l.Later}
}

// Cancel ends a message of this caller that waits. It may be repeated.
func (g *Gateway) Cancel(ctx context.Context, c caller.Caller, id string) (Found, error) {
	ctx, cancel := attended(ctx)
	defer cancel()
	rec, err := g.cancel(ctx, c.Name, id)
	if err != nil {
		return Found{}, err
	}
	return Found{Record: rec}, nil
}

// cancel ends the record, and takes away all that was kept of the message.
func (g *Gateway) cancel(ctx context.Context, caller, id string) (*record.Record, error) {
	rec, err := g.Records.Cancel(ctx, caller, id)
	if err != nil {
		return nil, err
	}
	// Whatever fails from here on, the pump finds that the record has ended.
	slip, found, err := g.Spool.ReadEntry(ctx, rec.Spooled)
	if err != nil {
		g.Log.WarnContext(ctx, "the place of a cancelled message could not be looked up", "id", rec.ID, "error", err)
	}
	if found {
		g.leave(ctx, &slip)
	}
	if len(rec.Moved) > 0 && !rec.Shared {
		if err := g.Offload.RevokeMessage(ctx, rec.Links); err != nil {
			g.Log.ErrorContext(ctx, "the links of a cancelled message could not be withdrawn", "id", rec.ID, "error", err)
		}
	}
	return rec, nil
}

package gateway

import (
	"context"
	"errors"
	"hash/fnv"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/store"
)

// queueInstead makes a message wait that ACS has certainly not taken.
func (g *Gateway) queueInstead(ctx context.Context, s *sending) (Answer, error) {
	if s.unclaimed() {
		if answer, done, err := g.claim(ctx, s); done || err != nil {
			return answer, err
		}
	}
	call := s.call
	call.MostWaiting = 0 // it had its turn
	position, err := g.Sends[s.domain].Join(ctx, call, time.Time{}, time.Time{})
	if err != nil {
		return Answer{}, err
	}
	return g.enqueue(ctx, s, position, spool.NoDoubt)
}

// enqueueDoubt makes a message wait that ACS may have taken. If it cannot, the message
// must not look as if it had not been sent.
func (g *Gateway) enqueueDoubt(ctx context.Context, s *sending, doubt spool.Doubt, shard int) (Answer, error) {
	position, err := g.doubtPosition(ctx, s.domain, s.call, shard, askPauses[0])
	if err == nil {
		var answer Answer
		if answer, err = g.enqueue(ctx, s, position, doubt); err == nil {
			return answer, nil
		}
	}
	g.Log.ErrorContext(ctx, "could not queue message in doubt", "id", s.rec.ID, "error", err)
	g.abandon(ctx, s.rec, unshown)
	s.unended = true
	return Answer{Record: s.rec}, nil
}

// doubtPosition is a position for a message about which ACS is asked after a pause. It is
// with those that wait for a time, so that the question does not wait for those that
// wait for room.
func (g *Gateway) doubtPosition(ctx context.Context, domain mail.DomainKind, c quota.Call, shard int, pause time.Duration) (quota.Position, error) {
	now, err := g.Records.Time(ctx)
	if err != nil {
		return quota.Position{}, err
	}
	due := now.Add(pause)
	position, err := g.Sends[domain].Return(ctx, shard, quota.Line{Class: c.Class, Caller: c.Caller, Later: true}, c, 0, due)
	position.At, position.Expected = due, due
	return position, err
}

// enqueue makes a message wait at a position that the ledger has given it. Then the
// caller may be told so. The order is blob, record, row; what has no blob comes with the row.
// What a crash leaves in between was promised to nobody.
func (g *Gateway) enqueue(ctx context.Context, s *sending, position quota.Position, doubt spool.Doubt) (Answer, error) {
	ctx, span := g.Tracer.Start(ctx, "queue")
	defer span.End()
	defer g.wake(ctx, s.domain, position)
	joined := g.Now()
	entry := g.entry(s, position, doubt)
	s.rec.Spooled, s.rec.Expected = entry.Key, position.Expected
	if s.rec.Deadline.IsZero() {
		s.rec.Deadline = s.terms.Deadline
	}
	if err := g.store(ctx, s, entry); err != nil {
		g.removeEntry(ctx, entry, g.Spool.DeleteEntry)
		return Answer{}, err
	}
	g.known.add(entry.Key)
	if g.Now().Sub(joined) >= quota.JoinGrace { // dispatchers no longer look for it
		until := entry.NotBefore
		if entry.Line.Later {
			until = entry.Due
		}
		g.count(ctx, entry, until)
	}
	return Answer{Record: s.rec}, nil
}

// count lets the ledger count an entry that it does not know, or no longer, and that is
// held until a time; zero if it needs nothing but room. If that fails, Watch finds it.
func (g *Gateway) count(ctx context.Context, entry *spool.Entry, until time.Time) {
	position, err := g.Sends[entry.Line.Domain].Return(ctx, entry.Line.Shard, lineOf(entry.Line), callOf(entry), entry.Ticket, until)
	if err != nil {
		g.Log.WarnContext(ctx, "could not count queued message in quota table; the watchdog will", "id", entry.ID, "error", err)
		return
	}
	g.wake(ctx, entry.Line.Domain, position)
}

// newTicket is one that the ledger has not given out.
func (g *Gateway) newTicket() int64 {
	h := fnv.New64a()
	h.Write([]byte(g.NewID()))
	return int64(h.Sum64() >> 1)
}

// entry makes the queue entry of one attempt. Its key is unique, even beside a repeat with
// the same time, so that an attempt that gives a position back gives back its own.
func (g *Gateway) entry(s *sending, position quota.Position, doubt spool.Doubt) *spool.Entry {
	line := spool.Line{Domain: s.domain, Shard: position.Shard, Class: int(s.call.Class), Later: doubt != spool.NoDoubt || !s.terms.SendAt.IsZero()}
	line.Caller, line.Form = splitPart(s.call.Caller)
	e := &spool.Entry{
		Key:  spool.KeyFor(line, position.At, s.rec.OperationID+"-"+g.NewID()),
		Line: line, Due: position.At, ID: s.rec.ID, Hook: s.rec.Hook, Bytes: s.m.Bytes(), Sender: s.call.Sender, Terms: s.by.Terms(),
		Cost: s.call.Cost, Share: s.call.Share, Cap: s.call.Cap, Doubt: doubt, Ticket: position.Ticket,
	}
	if line.Form != "" {
		e.Cap, e.FormCap = s.call.WholeCap, s.call.Cap
	}
	if doubt != spool.NoDoubt {
		e.UnknownAnswers, e.NotBefore = 1, position.At // the request has asked, in the first seconds
	}
	return e
}

// store stores a message that is large, then that it waits, then its row, with the message if
// it is small.
func (g *Gateway) store(ctx context.Context, s *sending, entry *spool.Entry) error {
	if err := g.commit(ctx, s); err != nil {
		return err
	}
	var err error
	if s.rec.Created.IsZero() {
		if s.rec.Created, err = g.Records.Time(ctx); err != nil {
			return err
		}
	}
	work := g.begin(ctx, s)
	if err := g.Spool.PutMessage(ctx, entry, spool.Message{Record: s.rec.Snapshot(), Message: s.m}); err != nil {
		return err
	}
	if err := work.AwaitNote(ctx); err != nil {
		return err
	}
	wait := g.Records.MarkWaiting
	if entry.Doubt != spool.NoDoubt {
		wait = g.Records.MarkResolving
	}
	if err := wait(ctx, s.rec); err != nil {
		return err
	}
	entry.Version = s.rec.Version()
	if s.again {
		entry.Repeats++
	}
	return g.Spool.InsertEntry(ctx, entry)
}

// dequeue gives back the position of a message that does not wait after all.
func (g *Gateway) dequeue(ctx context.Context, entry *spool.Entry) {
	g.removeEntry(ctx, entry, g.Spool.DeleteQueued)
}

// removeEntry gives back a position by taking the row away, and the blob with it or not. Where
// it is not known whether the row was written, the blob stays: the row may still come, and
// would have nothing to send. CleanUp finds a blob that no row came for.
func (g *Gateway) removeEntry(ctx context.Context, entry *spool.Entry, away func(context.Context, *spool.Entry) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.undoTimeout)
	defer cancel()
	err := errors.Join(away(ctx, entry), g.Sends[entry.Line.Domain].Leave(ctx, entry.Line.Shard, lineOf(entry.Line), entry.Ticket))
	if err != nil {
		g.Log.ErrorContext(ctx, "could not delete queue entry; the dispatcher will", "id", entry.ID, "error", err)
	}
}

// isSafe says of a message that is in the spool whether its position in line is safe. If it
// is not, it is only under way, and nobody was promised anything; and if its owner's time
// is over as well, mine takes over.
func (g *Gateway) isSafe(ctx context.Context, mine record.Record, there *record.Record) (rec *record.Record, replay bool, err error) {
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

// wake sends the wake-up message that the ledger counts on since it gave a position, if it does:
// whatever became of the message, and of its caller. If that fails, Watch will.
func (g *Gateway) wake(ctx context.Context, domain mail.DomainKind, position quota.Position) {
	if position.WakeUpAt.IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.undoTimeout)
	defer cancel()
	now, err := g.Records.Time(ctx)
	if err == nil {
		err = g.Spool.SendWakeUp(ctx, domain, position.Shard, position.WakeUpAt.Sub(now))
	}
	if err != nil {
		g.Log.WarnContext(ctx, "could not send wake-up message; the watchdog will", "domain", domain, "shard", position.Shard, "error", err)
	}
}

func lineOf(l spool.Line) quota.Line {
	return quota.Line{Class: quota.Class(l.Class), Caller: partName(l.Caller, l.Form), Later: l.Later}
}

// Cancel ends a message of this caller that waits. It may be repeated.
func (g *Gateway) Cancel(ctx context.Context, c caller.Caller, id string) (Found, error) {
	ctx, cancel := withoutCaller(ctx)
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
	// Whatever fails from here on, the dispatcher finds that the record has ended.
	entry, found, err := g.Spool.ReadEntry(ctx, rec.Spooled)
	if err != nil {
		g.Log.WarnContext(ctx, "could not read queue entry of a cancelled message; the dispatcher will delete it", "id", rec.ID, "error", err)
	}
	if found {
		g.dequeue(ctx, &entry)
	}
	if len(rec.Moved) > 0 && !rec.Shared {
		if err := g.Offload.RevokeMessage(ctx, rec.Links); err != nil {
			g.Log.ErrorContext(ctx, "could not revoke links of a cancelled message", "id", rec.ID, "error", err)
		}
	}
	return rec, nil
}

// knownEntries are those in line that this process has seen. A message leaves its position only
// when its record has changed, so to have seen it once is enough.
type knownEntries struct {
	mu   sync.Mutex
	seen map[store.Key]bool
}

// mostKnown bounds what knownEntries keeps; to forget one costs a read.
const mostKnown = 10_000

func (p *knownEntries) has(k store.Key) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[k]
}

func (p *knownEntries) add(k store.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen == nil || len(p.seen) >= mostKnown {
		p.seen = map[store.Key]bool{}
	}
	p.seen[k] = true
}

// inLine says whether a message stands at the position that its record names.
func (g *Gateway) inLine(ctx context.Context, rec *record.Record) (bool, error) {
	if rec.Spooled == (store.Key{}) || g.known.has(rec.Spooled) {
		return rec.Spooled != store.Key{}, nil
	}
	there, err := g.Spool.HasEntry(ctx, rec.Spooled)
	if there {
		g.known.add(rec.Spooled)
	}
	return there, err
}

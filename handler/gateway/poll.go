package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/problem"
)

const (
	// FirstAsk is how long a message is with ACS before a poll has ACS asked for it: its
	// operations have been seen to end after 1.5 to 9 s, and it says Retry-After 3 itself.
	FirstAsk = 3 * time.Second
	// endKnown is when a poll no longer waits for the end of an operation that ACS has
	// taken: what it has dropped by then, it has said.
	endKnown = 10 * time.Minute
	// pollPause is the pause of a poller when ACS could not be asked.
	pollPause = 10 * time.Second
	// longestSilence is the longest pause while ACS does not know what was to be sent.
	longestSilence = 30 * time.Second
)

// Found is a record, and what is known beside it.
type Found struct {
	*record.Record
	Downloads map[int]int64 // of its links, by position in the caller's attachments
	Revoked   bool          // its links are
	// Again is after what time there may be news of an operation whose end ACS has not
	// said; 0: nobody waits for that.
	Again time.Duration
}

// Find returns what is known of a message of this caller. What the record does not
// know ACS is asked for, as far as callers' half of the questions reaches.
func (g *Gateway) Find(ctx context.Context, c caller.Caller, id string) (Found, error) {
	rec, err := g.Records.Find(ctx, c.Name, id)
	if err != nil {
		return Found{}, err
	}
	g.endUnsent(ctx, rec)
	f := Found{Record: rec, Again: g.askForCaller(ctx, rec)}
	if len(rec.Moved) == 0 {
		return f, nil
	}
	f.Downloads = map[int]int64{}
	downloads, revoked, err := g.Offload.Downloads(ctx, rec.Links)
	switch {
	case problem.Is(err, problem.NotFound), problem.Is(err, problem.Gone):
		return f, nil // not live yet, or over
	case err != nil:
		return Found{}, err
	}
	f.Revoked = revoked
	for _, d := range downloads {
		f.Downloads[d.Index] = d.Count
	}
	return f, nil
}

// endUnsent ends a message whose owner has died before anything of it was sent, so that
// a poll reads an end. A repeat sends it. As long as its owner may live, a message without a
// queue entry is shown as claimed: nobody was promised that it waits.
func (g *Gateway) endUnsent(ctx context.Context, rec *record.Record) {
	abandoned := g.Records.Abandoned(rec)
	if rec.State != record.Waiting && (rec.State != record.Claimed || !abandoned) {
		return
	}
	if inLine, err := g.inLine(ctx, rec); inLine || err != nil {
		return
	}
	if !abandoned {
		rec.State = record.Claimed
		return
	}
	if err := g.Records.Refuse(ctx, rec, ownerDied()); err != nil {
		g.Log.WarnContext(ctx, "could not end a message of a dead process; the watchdog will", "id", rec.ID, "error", err)
	}
}

// askForCaller has ACS asked about a message if ACS may know more than the record: ACS
// has taken it and not said the end, or its owner is silent. Asking is always safe. What
// ACS says is kept. again is as in Found.
func (g *Gateway) askForCaller(ctx context.Context, rec *record.Record) (again time.Duration) {
	taken := rec.State == record.Accepted
	if taken && rec.Ended || !taken && !g.silent(ctx, rec) {
		return 0
	}
	now, err := g.Records.Time(ctx)
	if err != nil {
		return pollPause
	}
	age := now.Sub(rec.Updated)
	pause, most := max(FirstAsk, age), endKnown-age // so it doubles
	if !taken {
		pause, most = min(pause, longestSilence), longestSilence
	}
	if again = g.polls.turn(rec.OperationID, now, rec.Updated, pause); again == 0 {
		if again, err = g.learn(ctx, rec, pause, taken && most <= 0); err != nil {
			g.polls.set(rec.OperationID, now.Add(again))
		}
	}
	return max(0, min(again, most))
}

// silent says whether it is for a poll to find out what became of a message that is
// being sent. If it is in doubt and stands in a line, the dispatcher of the line asks.
func (g *Gateway) silent(ctx context.Context, rec *record.Record) bool {
	switch {
	case rec.State == record.Sending:
		return true
	case rec.State != record.Unknown || !rec.Resolving:
		return false
	}
	inLine, err := g.inLine(ctx, rec)
	return !inLine && err == nil
}

// learn asks ACS and keeps what it says. again is 0 if that is the end, as it is in any
// case if the question is the last; with an error nothing was learnt.
func (g *Gateway) learn(ctx context.Context, rec *record.Record, pause time.Duration, last bool) (again time.Duration, err error) {
	taken := rec.State == record.Accepted
	fate, err := g.fate(ctx, rec, quota.Call{Caller: rec.Caller, Class: quota.Normal})
	switch {
	case problem.Is(err, problem.OverQuota):
		return max(problem.Of(err).RetryAfter, time.Second), err
	case err != nil:
		g.Log.WarnContext(ctx, "could not ask ACS for an operation", "id", rec.ID, "error", err)
		return pollPause, err
	case fate.Ended, fate.Known && !taken, last:
		rec.Ended = fate.Failure == nil && (fate.Ended || last)
		g.finish(ctx, rec, fate.outcome())
		if !fate.Ended && !last {
			return pause, nil
		}
	case taken, rec.State == record.Sending || !g.Records.Abandoned(rec):
		return pause, nil
	default: // its owner has died
		if err := g.Records.MarkUnsent(ctx, rec); err != nil {
			g.Log.WarnContext(ctx, "could not record that ACS does not know a message", "id", rec.ID, "error", err)
		}
	}
	return 0, nil
}

// polls keeps when ACS may be asked again about an operation that callers poll, for
// this process alone: to forget it costs a question.
type polls struct {
	mu   sync.Mutex
	next map[string]time.Time
}

// mostPolls bounds what polls keeps.
const mostPolls = 10_000

// turn is 0 if ACS may be asked now about an operation that has been as it is since a
// time, and nobody else may for a pause; otherwise it is how long not yet.
func (p *polls) turn(id string, now, since time.Time, pause time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	due, waits := p.next[id]
	if !waits {
		due = since.Add(FirstAsk)
	}
	if wait := due.Sub(now); wait > 0 {
		return wait
	}
	p.keep(id, now.Add(pause))
	return 0
}

// set lets nobody ask about an operation before a time.
func (p *polls) set(id string, next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keep(id, next)
}

func (p *polls) keep(id string, next time.Time) {
	if p.next == nil || len(p.next) >= mostPolls {
		p.next = map[string]time.Time{}
	}
	p.next[id] = next
}

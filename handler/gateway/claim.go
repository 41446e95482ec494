package gateway

import (
	"context"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// claim makes the record of a message that its caller has named. done says that there is an
// answer already. It goes on after the request's time: a row whose answer nobody awaited would
// keep the caller's id for OwnerLife. undo gives it back.
func (g *Gateway) claim(ctx context.Context, s *sending) (answer Answer, done bool, err error) {
	if !s.named {
		return Answer{}, false, nil
	}
	s.claimed = true
	ctx = context.WithoutCancel(ctx)
	rec, replay, err := g.claimInTurn(ctx, *s.rec)
	if err != nil {
		return Answer{}, false, err
	}
	if replay {
		return Answer{Record: rec, Replayed: true}, true, failed(rec)
	}
	s.rec = rec
	if rec.State != record.Unknown {
		return Answer{}, false, nil
	}
	if err := g.begin(ctx, s).AwaitNote(ctx); err != nil {
		return Answer{}, false, err
	}
	return g.resume(ctx, s)
}

// claimInTurn claims a record. Where another request is at work on the same message, it
// waits for that one's end: a message that is in no line, and not sent, is lost with its
// owner, and only this request could still bring it. So nobody hears 202 before it is
// safe. If the owner seems dead, the caller hears when its time is over; then a repeat
// takes the message over.
func (g *Gateway) claimInTurn(ctx context.Context, mine record.Record) (rec *record.Record, replay bool, err error) {
	end := g.Now().Add(g.turnTimeout)
	for pause := firstTurn; ; pause = min(2*pause, longestTurn) {
		rec, replay, err = g.claimRecord(ctx, mine)
		if err == nil && replay && rec.State == record.Sending {
			g.askForCaller(ctx, rec)
		}
		if err != nil || !replay || !rec.UnderWay() {
			return rec, replay, err
		}
		if !g.Now().Add(pause).Before(end) {
			return nil, false, g.underWay(ctx, rec)
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, false, err
		}
	}
}

// firstTurn doubles with each look at what another request is working on.
const (
	firstTurn   = 100 * time.Millisecond
	longestTurn = 2 * time.Second
)

// underWay says when the time of another request's owner is over.
func (g *Gateway) underWay(ctx context.Context, rec *record.Record) error {
	p := problem.New(problem.Unavailable, "An earlier request with this id works on the message, and has not ended. Send it again after Retry-After: it is never sent twice.")
	p.RetryAfter = firstBusy
	if now, err := g.Records.Time(ctx); err == nil {
		p.RetryAfter = max(p.RetryAfter, rec.OwnerUntil.Sub(now).Truncate(time.Second)+time.Second)
	}
	return p
}

// firstBusy is how soon a repeat may come again at the earliest.
const firstBusy = time.Second

// claimRecord claims a record, or takes over one whose place in line is not safe.
func (g *Gateway) claimRecord(ctx context.Context, mine record.Record) (rec *record.Record, replay bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, g.undoTimeout)
	defer cancel()
	rec, replay, err = g.Records.Claim(ctx, mine)
	if err == nil && replay && !rec.Final() && rec.Spooled != (store.Key{}) {
		return g.isSafe(ctx, mine, rec)
	}
	return rec, replay, err
}

// resume is for a message whose owner died while sending. ACS is asked first, once:
// that was so long ago that one answer is enough.
func (g *Gateway) resume(ctx context.Context, s *sending) (answer Answer, done bool, err error) {
	switch o := g.ask(ctx, s.rec, quota.Call{Class: quota.High}); o.result {
	case unasked:
		g.abandon(ctx, s.rec, 0)
		return Answer{}, false, problem.Wrap(problem.Unavailable, "An earlier request with this id may have sent the message, and ACS cannot be asked now. Send it again after Retry-After.", o.err)
	case accepted, rejected:
		s.unended = !g.finish(ctx, s.rec, o)
		return Answer{Record: s.rec, Replayed: true}, true, failed(s.rec)
	}
	s.again = true
	return Answer{}, false, nil
}

// earlier is the answer of an earlier request with the same id, if there was one
// for the same message: its upload may have ended since. Otherwise it is refusal.
func (g *Gateway) earlier(ctx context.Context, s *sending, refusal error) (Answer, error) {
	if !s.named {
		return Answer{}, refusal
	}
	rec, err := g.Records.Find(ctx, s.rec.Caller, s.rec.ID)
	if err != nil || rec.Fingerprint != s.rec.Fingerprint || !rec.Final() || rec.Repeatable {
		return Answer{}, refusal
	}
	return Answer{Record: rec, Replayed: true}, failed(rec)
}

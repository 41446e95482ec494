package gateway

import (
	"cmp"
	"context"
	"errors"
	"hash/fnv"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/check"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// parcel is a message on its way: well-formed, allowed, made to fit.
type parcel struct {
	rec   *record.Record
	m     *mail.Message
	move  files
	terms check.Terms
	call  quota.Call
	by    caller.Caller

	work      *record.Work // nil before begin
	named     bool         // by its caller, who may repeat it and ask for it
	committed bool         // what moved is readable
	again     bool         // ACS may have it from an owner who died
	late      bool         // it is not to be sent now, but to wait, or to be refused
	left      bool         // its record says what must not stay
}

// files are what moves out of a message: *offload.Move, or that of several
// messages. What the methods leave behind is said there.
type files interface {
	Stage(ctx context.Context) error
	Commit(ctx context.Context) error
	Discard(ctx context.Context) error
}

// callOf is what the ledger must know of a queued message.
func callOf(e *spool.Entry) quota.Call {
	c := quota.Call{Caller: e.Line.Caller, Class: quota.Class(max(e.Line.Class, e.Class)), Cost: e.Cost, Share: e.Share, Cap: e.Cap, Sender: e.Sender}
	if e.Line.Form != "" {
		c = ofForm(c, e.Line.Form, e.FormCap)
	}
	return c
}

// call is what the ledger must know of a message of a request.
func (g *Gateway) call(req Request, m *mail.Message) quota.Call {
	c := req.Caller
	q := quota.Call{
		Caller: c.Name, Class: quota.Normal, Cost: 1, Share: c.Policy.Share, Cap: c.Policy.Cap, Sender: senderOf(m),
		MostWaiting: cmp.Or(c.Policy.MaxWaiting, g.mostWaiting()),
	}
	if f := req.Form; f != nil {
		q = ofForm(q, req.Hook, cmp.Or(f.Cap, g.formCap()))
		q.MostWaiting = f.MaxWaiting
	}
	if m.Delivery.Priority != "" {
		q.Class = classOf(m.Delivery.Priority)
	}
	if g.CostRecipients {
		q.Cost = len(m.Recipients.All())
	}
	return q
}

// senderOf stands for the address that a message is from, and is never 0.
func senderOf(m *mail.Message) uint32 {
	h := fnv.New32a()
	h.Write([]byte(strings.ToLower(m.SenderAddress)))
	return max(h.Sum32(), 1)
}

// classOf is the class of a priority, the most urgent one if it is empty.
func classOf(p mail.Priority) quota.Class {
	switch p {
	case mail.PriorityNormal:
		return quota.Normal
	case mail.PriorityBulk:
		return quota.Bulk
	}
	return quota.High
}

// bookings bounds how often a token may grow too old before the fence.
const bookings = 3

// carry takes a message to its end, or to its place in line. When it returns an
// error nothing was sent, its id is free again, and nothing of the message is left in
// storage but why, under a name that its caller gave it.
//
// What the caller has not named cannot be repeated, so nothing is claimed: its
// record begins with the fence or the place in line, which spares a write. What it has
// named is claimed before anything else, so that a repeat costs a look at the record.
//
// From here on the work comes to its end within the request's time, whether the caller
// is there or not: who leaves, leaves nothing in between.
func (g *Gateway) carry(ctx context.Context, p *parcel) (answer Answer, err error) {
	ctx, cancel := attended(ctx)
	defer cancel()
	defer func() {
		if p.work != nil { // storage that fails may have kept a write whose answer it lost
			p.work.End(p.left || problem.Is(err, problem.Unavailable))
		}
	}()
	if err := g.admit(ctx, p); err != nil {
		return Answer{}, err
	}
	if p.named {
		if answer, done, err := g.claim(ctx, p); done || err != nil {
			return answer, err
		}
	}
	if answer, err = g.forward(ctx, p); err != nil {
		g.undo(ctx, p, err)
		return answer, err
	}
	return answer, failed(answer.Record)
}

// claim makes p's record. done says that there is an answer already. It goes on after
// the request's time: a row whose answer nobody awaited would keep the caller's id for
// OwnerLife. carry gives it back.
func (g *Gateway) claim(ctx context.Context, p *parcel) (answer Answer, done bool, err error) {
	ctx = context.WithoutCancel(ctx)
	rec, replay, err := g.claimInTurn(ctx, *p.rec)
	if err != nil {
		return Answer{}, false, err
	}
	if replay {
		return Answer{rec, true}, true, failed(rec)
	}
	p.rec = rec
	if rec.State != record.Unknown {
		return Answer{}, false, nil
	}
	if err := g.begin(ctx, p).AwaitNote(ctx); err != nil {
		return Answer{}, false, err
	}
	return g.resume(ctx, p)
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
			g.inquire(ctx, rec)
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
		return g.atWork(ctx, mine, rec)
	}
	return rec, replay, err
}

// resume is for a message whose owner died while sending. ACS is asked first, once:
// that was so long ago that one answer is enough.
func (g *Gateway) resume(ctx context.Context, p *parcel) (answer Answer, done bool, err error) {
	switch o := g.ask(ctx, p.rec, quota.Call{Class: quota.High}); o.result {
	case unasked:
		g.abandon(ctx, p.rec, 0)
		return Answer{}, false, problem.Wrap(problem.Unavailable, "An earlier request with this id may have sent the message, and ACS cannot be asked now. Send it again after Retry-After.", o.err)
	case accepted, rejected:
		p.left = !g.finish(ctx, p.rec, o)
		return Answer{p.rec, true}, true, failed(p.rec)
	}
	p.again = true
	return Answer{}, false, nil
}

// forward books, or finds the message its place, and does what follows.
func (g *Gateway) forward(ctx context.Context, p *parcel) (Answer, error) {
	if p.by.Policy.Sandbox {
		return g.pretend(ctx, p)
	}
	if p.terms.Wait || !g.Sends.Busy(p.call) {
		g.begin(ctx, p) // while the ledger is asked, which hardly refuses
	}
	grant, place, err := g.prepare(ctx, p)
	if err != nil {
		return Answer{}, err
	}
	if place != nil {
		return g.park(ctx, p, *place, spool.NoDoubt)
	}
	permit := g.permit(grant)
	defer permit.done(ctx)
	if err := g.commit(ctx, p); err != nil {
		return Answer{}, err
	}
	if err := g.begin(ctx, p).AwaitNote(ctx); err != nil {
		return Answer{}, err
	}
	done, err := g.turn(ctx, p.terms.Wait, grant)
	if p.terms.Wait && err != nil {
		return g.putBack(ctx, p)
	}
	if err != nil {
		return Answer{}, err
	}
	defer done()
	err = g.fence(ctx, p.rec, p.m, p.call, permit)
	if p.terms.Wait && (problem.Is(err, problem.OverQuota) || problem.Is(err, problem.Paused)) {
		return g.putBack(ctx, p)
	}
	if err != nil {
		return Answer{}, err
	}
	return g.hand(context.WithoutCancel(ctx), p, permit)
}

// prepare stages what moves and asks the ledger: it returns a grant, or a place.
func (g *Gateway) prepare(ctx context.Context, p *parcel) (quota.Grant, *quota.Position, error) {
	ctx, span := g.Tracer.Start(ctx, "prepare")
	defer span.End()
	if err := p.move.Stage(ctx); err != nil {
		return quota.Grant{}, nil, err
	}
	if g.Now().After(p.terms.Deadline) {
		late := problem.New(problem.InvalidMessage, "The deadline passed before the message could be sent. It was not sent.")
		late.Violations = []problem.Violation{{Pointer: "/delivery/deadline", Detail: "This has passed."}}
		return quota.Grant{}, nil, late
	}
	switch {
	case p.late && !p.terms.Wait && p.terms.SendAt.IsZero():
		return quota.Grant{}, nil, noTime()
	case !p.terms.SendAt.IsZero() || p.late:
		place, err := g.Sends.Join(ctx, p.call, p.terms.SendAt, p.terms.Deadline)
		return quota.Grant{}, &place, err
	case p.by.Pause != nil && p.terms.Wait:
		place, err := g.Sends.Join(ctx, p.call, time.Time{}, p.terms.Deadline)
		return quota.Grant{}, &place, err
	case p.by.Pause != nil:
		return quota.Grant{}, nil, p.by.Pause.Problem(pausedCaller)
	case p.terms.Wait:
		return g.Sends.ReserveOrJoin(ctx, p.call, p.terms.Deadline)
	}
	grant, err := g.Sends.Reserve(ctx, p.call)
	return grant, nil, err
}

func (g *Gateway) commit(ctx context.Context, p *parcel) error {
	if p.committed {
		return nil
	}
	err := p.move.Commit(ctx)
	p.committed = err == nil
	return err
}

// turn waits until a call to ACS may be made, whose end done must tell: as long as ctx
// lasts or, if brief, until grant is too old.
func (g *Gateway) turn(ctx context.Context, brief bool, grant quota.Grant) (done func(), err error) {
	if brief {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, grant.UseBy.Sub(g.Now()))
		defer cancel()
	}
	select {
	case g.calls <- struct{}{}:
		return func() { <-g.calls }, nil
	case <-ctx.Done():
		return nil, problem.Wrap(problem.Unavailable, "ACS answers too slowly, and as many messages as may be are on their way to it. Nothing was sent. Try again after Retry-After.", ctx.Err())
	}
}

// fence marks that ACS may have the message from now on. It comes back with a
// grant that is live and a record that was written after the grant was: an owner
// that was frozen here for long finds that another has taken over.
func (g *Gateway) fence(ctx context.Context, rec *record.Record, m *mail.Message, call quota.Call, permit *permit) error {
	for range bookings {
		if err := g.cleared(ctx, rec, m); err != nil { // again, after a pause that cost the token
			return err
		}
		if err := g.Records.MarkSending(ctx, rec); err != nil {
			return err
		}
		if permit.grant.Live(g.Now()) {
			return nil
		}
		if err := permit.renew(ctx, call); err != nil {
			return err
		}
	}
	return problem.Wrap(problem.Unavailable, "Storage answers too slowly to send within the quota. Try again after Retry-After.", errors.New("every booked token grew too old"))
}

// hand gives the message of a request to ACS and deals with what comes of it.
func (g *Gateway) hand(ctx context.Context, p *parcel, permit *permit) (Answer, error) {
	o := g.offer(ctx, p.rec, p.m, permit, p.again)
	if o.doubt() != spool.NoDoubt {
		o = g.resolve(ctx, p.rec, o)
	}
	switch {
	case o.result == accepted, o.result == rejected:
		p.left = !g.finish(ctx, p.rec, o)
		if o.result == rejected {
			g.discard(ctx, p)
		}
	case p.terms.Wait && o.doubt() != spool.NoDoubt:
		return g.parkDoubt(ctx, p, o.doubt(), permit.grant.Shard())
	case p.terms.Wait && (problem.Is(o.err, problem.ACSBusy) || problem.Is(o.err, problem.ACSFailed)):
		return g.putBack(ctx, p)
	case o.result == silent:
		g.abandon(ctx, p.rec, unshown)
		p.left = true
	default:
		return Answer{}, o.err
	}
	return Answer{p.rec, false}, nil
}

// undo removes what a message left that was not sent, even if the caller has gone. A
// repeat may have been told that it is under way: whoever polls reads why it is not sent.
func (g *Gateway) undo(ctx context.Context, p *parcel, why error) {
	g.discard(ctx, p)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.undoTimeout)
	defer cancel()
	var err error
	if p.named && !problem.Is(why, problem.TooManyQueued) {
		err = g.Records.Refuse(ctx, p.rec, reason(why))
	} else { // no row of what was not taken for there being too much
		err = g.Records.Release(ctx, p.rec)
	}
	if err != nil {
		p.left = true
		g.Log.ErrorContext(ctx, "the id of an unsent message stays claimed for a while", "id", p.rec.ID, "error", err)
	}
}

// reason is an error as a record keeps it.
func reason(err error) *record.Failure {
	p, ok := errors.AsType[*problem.Problem](err)
	if !ok {
		p = problem.New(problem.Unavailable, "The message could not be sent in time. Send it again.")
	}
	return &record.Failure{Kind: p.Kind.Slug(), Detail: p.Sentence(), Upstream: p.Upstream}
}

func (g *Gateway) discard(ctx context.Context, p *parcel) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.undoTimeout)
	defer cancel()
	if err := p.move.Discard(ctx); err != nil {
		g.Log.ErrorContext(ctx, "attachments of an unsent message are left for the sweep", "id", p.rec.ID, "error", err)
	}
}

package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/accept/check"
	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/offload"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// Send sends one message. An error is a problem for the caller, or the reader's own error
// when the body did not arrive.
func (g *Gateway) Send(ctx context.Context, req Request) (Answer, error) {
	sent, err := g.sendObject(ctx, req, func(ctx context.Context, in *offload.Intake) ([]wire.Parsed, error) {
		return readMessage(ctx, req, in)
	})
	if len(sent) == 0 {
		return Answer{}, err
	}
	return sent[0].Answer, err
}

// Sent is what became of one message in another API's words. Its Record is nil if
// the message was only tried.
type Sent struct {
	Answer
	To []mail.Address
}

// SendAll sends the messages of a body in another API's words: one, or several
// that have the attachments in common. All of them are good, or none is sent. An
// error is as for Send, with places in the caller's own members; when there are
// several it says which of them went all the same.
func (g *Gateway) SendAll(ctx context.Context, req Request, source wire.Source) ([]Sent, error) {
	return g.sendObject(ctx, req, func(ctx context.Context, in *offload.Intake) ([]wire.Parsed, error) {
		return source.Read(ctx, req.Body, in)
	})
}

// sendObject reads the messages of one object, and sends them.
func (g *Gateway) sendObject(ctx context.Context, req Request, read reader) ([]Sent, error) {
	ctx, cancel := context.WithTimeout(ctx, g.RequestTimeout)
	defer cancel()
	in := g.intake(req, req.BodyBytes)
	defer in.Close()
	parsed, violations := g.readParsed(ctx, req, in, read)
	if parsed == nil {
		g.countMessage(ctx, Answer{}, violations)
		return nil, violations
	}
	return g.sendParsed(ctx, req, in, parsed, violations)
}

// sendParsed does all that follows the reading. violations are what reading has found.
func (g *Gateway) sendParsed(ctx context.Context, req Request, in *offload.Intake, parsed []wire.Parsed, violations error) ([]Sent, error) {
	terms, err := g.vet(req, parsed, violations)
	if err == nil && parsed[0].Pretend {
		if err = g.try(ctx, req, in, parsed, terms); err == nil {
			return []Sent{{}}, nil
		}
	}
	if err != nil {
		g.countMessage(ctx, Answer{}, err)
		return nil, err
	}
	if len(parsed) > 1 {
		return g.sendTogether(ctx, req, in, parsed, terms)
	}
	sent, err := g.sendOne(ctx, req, in, parsed[0], terms[0])
	return []Sent{sent}, err
}

// sendOne plans and delivers a message that is good and allowed.
func (g *Gateway) sendOne(ctx context.Context, req Request, in *offload.Intake, l wire.Parsed, terms check.Terms) (sent Sent, err error) {
	defer func() { g.countMessage(ctx, sent.Answer, err) }()
	s := g.newSending(req, l.Message, terms)
	sent.To = s.to
	move, err := g.planFiles(ctx, s.rec, s.m, in, g.linkLife(terms))
	if err != nil {
		sent.Answer, err = g.earlier(ctx, s, err)
		return sent, placed(err, l.Pointer)
	}
	s.moves(move, move)
	sent.Answer, err = g.deliver(ctx, s)
	return sent, placed(err, l.Pointer)
}

// linkLife is how long links must work that are made now.
func (g *Gateway) linkLife(t check.Terms) time.Duration {
	if t.SendAt.IsZero() {
		return t.LinkLife
	}
	return t.LinkLife + t.SendAt.Sub(g.Now())
}

// route is the way of a message.
type route int

const (
	sandboxed      route = iota // it is only recorded
	refusedNow                  // it can neither be sent now nor wait
	queued                      // it waits first: for its time, the end of a pause, or quota
	direct                      // it is sent within the request, or refused
	directOrQueued              // it is sent within the request if quota has room, or waits
)

// route decides on the way of a message.
func (s *sending) route() route {
	notNow := s.late || s.by.Pause != nil
	switch {
	case s.by.Policy.Sandbox:
		return sandboxed
	case !s.terms.SendAt.IsZero(), notNow && s.terms.Wait:
		return queued
	case notNow:
		return refusedNow
	case s.terms.Wait:
		return directOrQueued
	}
	return direct
}

// refusal is why a message can neither be sent now nor wait.
func (s *sending) refusal() error {
	if s.late {
		return noTime()
	}
	return s.by.Pause.Problem(pausedCaller)
}

// deliver takes a message to its end, or into the queue. When it returns an error nothing
// was sent, its id is free again, and nothing of the message is left in storage but why,
// under a name that its caller gave it.
//
// Only a message that its caller has named can be repeated, so only that one is claimed,
// before anything else: then a repeat costs a look at the record. Where tokens are plenty, the
// fence is the claim: a repeat may cost a token then. The record of any other message begins
// with the fence or the queue.
//
// From here on the work comes to its end within the request's time, whether the caller is
// there or not.
func (g *Gateway) deliver(ctx context.Context, s *sending) (answer Answer, err error) {
	ctx, cancel := withoutCaller(ctx)
	defer cancel()
	defer func() {
		answer.Domain = s.domain
		if s.work != nil { // storage that fails may have kept a write whose answer it lost
			s.work.End(s.unended || problem.Is(err, problem.Unavailable))
		}
		g.note(ctx, s, answer)
	}()
	way := s.route()
	if err := g.admit(ctx, s, way); err != nil {
		return Answer{}, err
	}
	if !g.claimsByFence(s, way) {
		if answer, done, err := g.claim(ctx, s); done || err != nil {
			return answer, err
		}
	}
	answer, err = g.sendBy(ctx, s, way)
	if err != nil && s.unclaimed() { // the fence was not reached, or met the record of another request
		if answer, done, err := g.claim(ctx, s); done || err != nil {
			g.Sends[s.domain].GiveBack(s.call, s.spare)
			return answer, err
		}
		answer, err = g.sendBy(ctx, s, way)
	}
	if err != nil {
		g.undo(ctx, s, err)
		return answer, err
	}
	return answer, failed(answer.Record)
}

// unclaimed says that a message that its caller has named has no record yet, so far as is known.
func (s *sending) unclaimed() bool { return s.named && !s.claimed && s.rec.Version() == "" }

// claimsByFence says whether the fence of a message is its claim. Files that move do not wait
// for a token that a repeat would take in vain. Under an id that Posthorn made, a record may
// stand elsewhere, which the claim alone finds.
func (g *Gateway) claimsByFence(s *sending, way route) bool {
	_, made := s.rec.Until()
	return !made && (way == direct || way == directOrQueued) && len(s.rec.Moved) == 0 && g.Sends[s.domain].Plenty(s.call)
}

// sendBy takes the steps of a way.
func (g *Gateway) sendBy(ctx context.Context, s *sending, way route) (Answer, error) {
	switch way {
	case sandboxed:
		return g.recordOnly(ctx, s)
	case refusedNow:
		return Answer{}, s.refusal()
	case queued:
		g.begin(ctx, s)
		if err := g.stage(ctx, s); err != nil {
			return Answer{}, err
		}
		position, err := g.Sends[s.domain].Join(ctx, s.call, s.terms.SendAt, s.terms.Deadline)
		if err != nil {
			return Answer{}, err
		}
		return g.enqueue(ctx, s, position, spool.NoDoubt)
	}
	if way == directOrQueued || !g.Sends[s.domain].Busy(s.call) {
		g.begin(ctx, s) // while the ledger is asked, which hardly refuses
	}
	grant, position, err := g.reserve(ctx, s, way)
	if err != nil {
		return Answer{}, err
	}
	if position != nil {
		return g.enqueue(ctx, s, *position, spool.NoDoubt)
	}
	return g.use(ctx, s, way, grant)
}

// use gives a message to ACS with a grant.
func (g *Gateway) use(ctx context.Context, s *sending, way route, grant quota.Grant) (Answer, error) {
	permit := g.permit(g.Sends[s.domain], grant)
	defer permit.done(ctx)
	if err := g.commit(ctx, s); err != nil {
		return Answer{}, err
	}
	if err := g.begin(ctx, s).AwaitNote(ctx); err != nil {
		return Answer{}, err
	}
	done, err := g.turn(ctx, way == directOrQueued, grant)
	if err != nil && way == directOrQueued {
		return g.queueInstead(ctx, s)
	}
	if err != nil {
		return Answer{}, err
	}
	defer done()
	err = g.fence(ctx, s.rec, s.m, s.call, permit)
	switch {
	case err == nil:
		return g.conclude(context.WithoutCancel(ctx), s, way, permit)
	case way == directOrQueued && (problem.Is(err, problem.OverQuota) || problem.Is(err, problem.Paused)):
		return g.queueInstead(ctx, s)
	case s.unclaimed() && !permit.grant.Awaited():
		s.spare = permit.grant
	}
	return Answer{}, err
}

// admit refuses a message for which the queue has no room, before anything is written
// of it. A repeat of one that was taken passes, and hears what became of that.
func (g *Gateway) admit(ctx context.Context, s *sending, way route) error {
	if way != queued && (way != directOrQueued || !g.Sends[s.domain].Busy(s.call)) {
		return nil
	}
	crowded := g.Sends[s.domain].Crowded(ctx, s.call)
	if !problem.Is(crowded, problem.TooManyQueued) {
		return nil // whatever else is wrong, the ledger says again
	}
	if s.named {
		if _, err := g.Records.Find(ctx, s.rec.Caller, s.rec.ID); !problem.Is(err, problem.NotFound) {
			return err
		}
	}
	g.discard(ctx, s)
	return crowded
}

// stage stores what moves out of a message.
func (g *Gateway) stage(ctx context.Context, s *sending) error {
	if err := s.files.Stage(ctx); err != nil {
		return err
	}
	if g.Now().After(s.terms.Deadline) {
		late := problem.New(problem.InvalidMessage, "The deadline passed before the message could be sent. It was not sent.")
		late.Violations = []problem.Violation{{Pointer: "/delivery/deadline", Detail: "This has passed."}}
		return late
	}
	return nil
}

// reserve stages what moves and asks the ledger for a grant. The row of the links is written
// beside. A message that may wait gets a position in the queue instead if there is no room.
func (g *Gateway) reserve(ctx context.Context, s *sending, way route) (quota.Grant, *quota.Position, error) {
	ctx, span := g.Tracer.Start(ctx, "prepare")
	defer span.End()
	if err := g.stage(ctx, s); err != nil {
		return quota.Grant{}, nil, err
	}
	if len(s.rec.Moved) > 0 && !g.Sends[s.domain].Busy(s.call) { // else the row would likely be undone
		var row sync.WaitGroup
		row.Go(func() { _ = s.files.WriteRow(ctx) }) // after an error commit writes it
		defer row.Wait()
	}
	if spare := s.spare; spare.Live(g.Now()) && g.Sends[s.domain].Plenty(s.call) { // ACS was well meanwhile
		s.spare = quota.Grant{}
		return spare, nil, nil
	}
	if way == directOrQueued && !s.unclaimed() { // nothing of another request's message may join
		return g.Sends[s.domain].ReserveOrJoin(ctx, s.call, s.terms.Deadline)
	}
	grant, err := g.Sends[s.domain].Reserve(ctx, s.call)
	return grant, nil, err
}

func (g *Gateway) commit(ctx context.Context, s *sending) error {
	if s.committed {
		return nil
	}
	err := s.files.Commit(ctx)
	s.committed = err == nil
	return err
}

// reservations bounds how often a token may grow too old before the fence.
const reservations = 3

// fence marks that ACS may have the message from now on. It comes back with a
// grant that is live and a record that was written after the grant was: an owner
// that was frozen here for long finds that another has taken over.
func (g *Gateway) fence(ctx context.Context, rec *record.Record, m *mail.Message, call quota.Call, permit *permit) error {
	for range reservations {
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
	return problem.Wrap(problem.Unavailable, "Storage answers too slowly to send within the quota. Try again after Retry-After.", errors.New("every reserved token grew too old"))
}

// conclude gives the message of a request to ACS and deals with what comes of it.
func (g *Gateway) conclude(ctx context.Context, s *sending, way route, permit *permit) (Answer, error) {
	o := g.offer(ctx, s.rec, s.m, permit, s.again)
	if o.doubt() != spool.NoDoubt {
		o = g.resolve(ctx, s.rec, o)
	}
	mayWait := way == directOrQueued
	switch {
	case o.result == accepted, o.result == rejected:
		s.unended = !g.finish(ctx, s.rec, o)
		if o.result == rejected {
			g.discard(ctx, s)
		}
	case mayWait && o.doubt() != spool.NoDoubt:
		return g.enqueueDoubt(ctx, s, o.doubt(), permit.grant.Shard())
	case mayWait && (problem.Is(o.err, problem.ACSBusy) || problem.Is(o.err, problem.ACSFailed)):
		return g.queueInstead(ctx, s)
	case o.result == silent:
		g.abandon(ctx, s.rec, unshown)
		s.unended = true
	default:
		return Answer{}, o.err
	}
	return Answer{Record: s.rec}, nil
}

// recordOnly ends a message of a caller in the sandbox as if ACS had taken it. What is kept is
// its record alone, so that a poll comes to an end and a repeat gets the same answer.
func (g *Gateway) recordOnly(ctx context.Context, s *sending) (Answer, error) {
	s.rec.Sandbox, s.rec.Ended = true, true
	s.rec.Moved, s.rec.Links, s.rec.Shared = nil, store.Key{}, false // no link was made
	if err := g.Records.Finish(ctx, s.rec, record.Accepted, nil); err != nil {
		return Answer{}, err
	}
	return Answer{Record: s.rec}, nil
}

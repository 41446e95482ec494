package gateway

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/posthorn/posthorn/handler/accept/check"
	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/offload"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

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
	if len(parsed) == 1 {
		l, to := parsed[0], parsed[0].Message.Recipients.To
		answer, err := g.sendOne(ctx, req, in, l.Message, terms[0])
		return []Sent{{answer, to}}, placed(err, l.Pointer)
	}
	return g.sendTogether(ctx, req, in, parsed, terms)
}

// vet says all that is wrong with any of the messages.
func (g *Gateway) vet(req Request, parsed []wire.Parsed, violations error) ([]check.Terms, error) {
	terms := make([]check.Terms, len(parsed))
	var all *problem.Problem
	for i, l := range parsed {
		var err error
		terms[i], err = g.Check.Message(l.Message, g.Now())
		switch {
		case violations != nil:
			err = merged(problem.Of(violations), err, l.Pointer)
		case err != nil:
			err = placed(err, l.Pointer)
		default:
			err = placed(req.Caller.Accept(l.Message), l.Pointer)
		}
		if err != nil {
			all = joined(all, problem.Of(err))
		}
	}
	if all != nil {
		return nil, all
	}
	return terms, nil
}

// joined is the problem of several messages. What is not a message at all comes
// before what may not be sent, and what they have in common is told once.
func joined(all, one *problem.Problem) *problem.Problem {
	switch {
	case all == nil || all.Kind == problem.Forbidden && one.Kind != problem.Forbidden:
		return one
	case one.Kind != all.Kind:
		return all
	}
	violations := slices.Clone(all.Violations)
	for _, f := range one.Violations {
		known := slices.ContainsFunc(violations, func(k problem.Violation) bool { return k.Pointer == f.Pointer && k.Detail == f.Detail })
		if !known && len(violations) < maxViolations {
			violations = append(violations, f)
		}
	}
	if all.Kind == problem.InvalidMessage && len(violations) > len(all.Violations) {
		return problem.Invalid(violations)
	}
	both := *all
	both.Violations = violations
	return &both
}

// maxViolations is how many violations of several messages are told.
const maxViolations = 50

// sendTogether sends several messages that have the attachments in common. Those
// that move are planned for the largest of them, and all get its links.
func (g *Gateway) sendTogether(ctx context.Context, req Request, in *offload.Intake, parsed []wire.Parsed, terms []check.Terms) ([]Sent, error) {
	largest, life := 0, time.Duration(0)
	var size int64
	claims, to := make([]record.Record, len(parsed)), make([][]mail.Address, len(parsed))
	for i, l := range parsed {
		claims[i] = newRecord(req, l.Message, g.NewID)
		to[i] = l.Message.Recipients.To
		redirect(l.Message, req.Caller.Policy.RedirectTo)
		claims[i].Redirected = l.Message.Redirected
		if n := g.ACS.Size(l.Message); n > size {
			largest, size = i, n
		}
		life = max(life, g.linkLife(terms[i]))
	}
	planned := *parsed[largest].Message
	owner := offload.Owner{Caller: req.Caller.Name, Message: claims[largest].ID}
	move, err := g.Offload.Plan(ctx, &planned, in, owner, life, g.MaxACSRequestBytes, g.ACS.Size)
	if err != nil {
		g.countMessage(ctx, Answer{}, err)
		return nil, placed(err, parsed[largest].Pointer)
	}
	shared := offload.NewShared(move)
	all, stop := g.newBatch(ctx)
	defer stop()
	for i, l := range parsed {
		if err := shared.ApplyTo(l.Message); err != nil {
			all.refuse(err)
			continue
		}
		claims[i].Moved, claims[i].Links = move.Links(), move.Key()
		claims[i].Shared = len(claims[i].Moved) > 0
		claims[i].Deadline = terms[i].Deadline
		all.begin(l.Message.Bytes(), func(late bool) (Sent, error) {
			sent := Sent{To: to[i]}
			var err error
			sent.Answer, err = g.deliver(ctx, &sending{
				rec: &claims[i], m: l.Message, files: shared, terms: terms[i], call: g.call(req, l.Message),
				by: req.Caller, named: req.named(), late: late,
			})
			*l.Message = mail.Message{} // its links were written into a copy of the bodies
			g.countMessage(ctx, sent.Answer, err)
			return sent, err
		})
	}
	sent, errs := make([]Sent, len(parsed)), make([]error, len(parsed))
	for i, one := range all.ends() {
		sent[i], errs[i] = one.sent, one.err
	}
	if !slices.ContainsFunc(sent, went) {
		g.discard(ctx, &sending{rec: &claims[0], files: discarding{shared}})
	}
	return sent, partly(errs, parsed)
}

// went says whether a message was taken, by ACS or to wait.
func went(s Sent) bool { return s.Record != nil && s.Record.State != record.Failed }

// discarding discards what several messages had in common.
type discarding struct{ *offload.Shared }

// Discard implements files.
func (d discarding) Discard(ctx context.Context) error { return d.DiscardAll(ctx) }

// partly is the problem of messages of which some were not taken: that of the
// first, and a fault for each.
func partly(errs []error, parsed []wire.Parsed) error {
	var all *problem.Problem
	var violations []problem.Violation
	for i, err := range errs {
		if err == nil {
			continue
		}
		p := problem.Of(err).Placed(parsed[i].Pointer)
		if all == nil {
			all = p
		}
		violations = append(violations, problem.Violation{Pointer: parsed[i].Pointer("/recipients"), Detail: p.Sentence()})
	}
	if all == nil {
		return nil
	}
	if taken := len(errs) - len(violations); taken > 0 {
		all.Detail = fmt.Sprintf("%d of the %d messages were taken; send only the others again, which errors lists.", taken, len(errs))
		all.Violations = violations
	}
	return all
}

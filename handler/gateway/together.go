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

// sendTogether sends several messages that have the attachments in common. Those
// that move are planned for the largest of them, and all get its links.
func (g *Gateway) sendTogether(ctx context.Context, req Request, in *offload.Intake, parsed []wire.Parsed, terms []check.Terms) ([]Sent, error) {
	all := make([]*sending, len(parsed))
	largest, size, life := 0, int64(0), time.Duration(0)
	for i, l := range parsed {
		all[i] = g.newSending(req, l.Message, terms[i])
		if n := g.ACS.Size(l.Message); n > size {
			largest, size = i, n
		}
		life = max(life, g.linkLife(terms[i]))
	}
	planned := *all[largest].m
	move, err := g.planFiles(ctx, all[largest].rec, &planned, in, life)
	if err != nil {
		g.countMessage(ctx, Answer{}, err)
		return nil, placed(err, parsed[largest].Pointer)
	}
	shared := offload.NewShared(move)
	ended, err := g.sendSeveral(ctx, false, func(yield func(job, error) bool) {
		for _, s := range all {
			err := shared.ApplyTo(s.m)
			s.moves(shared, move)
			s.rec.Shared = len(s.rec.Moved) > 0
			if !yield(job{s.m.Bytes(), func(late bool) (Sent, error) {
				s.late = late
				answer, err := g.deliver(ctx, s)
				*s.m = mail.Message{} // its links were written into a copy of the bodies
				g.countMessage(ctx, answer, err)
				return Sent{answer, s.to}, err
			}}, err) {
				return
			}
		}
	})
	sent := make([]Sent, len(ended))
	for i, one := range ended {
		sent[i] = one.sent
	}
	if !slices.ContainsFunc(sent, went) {
		all[0].files = discarding{shared}
		g.discard(ctx, all[0])
	}
	if err != nil {
		return nil, err
	}
	return sent, partly(ended, parsed)
}

// went says whether a message was taken, by ACS or to wait.
func went(s Sent) bool { return s.Record != nil && s.Record.State != record.Failed }

// discarding discards what several messages had in common.
type discarding struct{ *offload.Shared }

// Discard implements files.
func (d discarding) Discard(ctx context.Context) error { return d.DiscardAll(ctx) }

// partly is the problem of messages if some were not taken: the problem of the first, and
// a violation for each.
func partly(ended []*part, parsed []wire.Parsed) error {
	var all *problem.Problem
	var violations []problem.Violation
	for i, one := range ended {
		if one.err == nil {
			continue
		}
		p := problem.Of(one.err).Placed(parsed[i].Pointer)
		if all == nil {
			all = p
		}
		violations = append(violations, problem.Violation{Pointer: parsed[i].Pointer("/recipients"), Detail: p.Sentence()})
	}
	if all == nil {
		return nil
	}
	if taken := len(ended) - len(violations); taken > 0 {
		all.Detail = fmt.Sprintf("%d of the %d messages were taken. Send only the others again: errors lists them.", taken, len(ended))
		all.Violations = violations
	}
	return all
}

package gateway

import (
	"context"

	"github.com/posthorn/posthorn/handler/accept/check"
	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/offload"
	"github.com/posthorn/posthorn/handler/store"
)

// intake is one for the attachments of a request, of which a caller in the sandbox stores
// nothing.
func (g *Gateway) intake(req Request, bodyBytes int64) *offload.Intake {
	in := g.Offload.NewIntake(bodyBytes, g.MaxACSRequestBytes)
	if req.Caller.Policy.Sandbox {
		in.StoreNothing()
	}
	return in
}

// pretend ends a message of a caller in the sandbox as if ACS had taken it. What is kept is
// its record alone, so that a poll comes to an end and a repeat gets the same answer.
func (g *Gateway) pretend(ctx context.Context, p *parcel) (Answer, error) {
	p.rec.Sandbox, p.rec.Ended = true, true
	p.rec.Moved, p.rec.Links, p.rec.Shared = nil, store.Key{}, false // no link was made
	if err := g.Records.Finish(ctx, p.rec, record.Accepted, nil); err != nil {
		return Answer{}, err
	}
	return Answer{p.rec, false}, nil
}

// try says of messages that their caller only wants to try whether they would fit.
func (g *Gateway) try(ctx context.Context, req Request, in *offload.Intake, letters []wire.Parsed, terms []check.Terms) error {
	for i, l := range letters {
		redirect(l.Message, req.Caller.Policy.RedirectTo)
		owner := offload.Owner{Caller: req.Caller.Name, Message: g.NewID()}
		if _, err := g.Offload.Plan(ctx, l.Message, in, owner, g.linkLife(terms[i]), g.MaxACSRequestBytes, g.ACS.Size); err != nil {
			return placed(err, l.Pointer)
		}
	}
	return nil
}

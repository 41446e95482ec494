package gateway

import (
	"context"

	"github.com/posthorn/posthorn/handler/accept/check"
	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/deliver/offload"
)

// intake takes the attachments of a request. For a caller in the sandbox it stores
// nothing.
func (g *Gateway) intake(req Request, bodyBytes int64) *offload.Intake {
	in := g.Offload.NewIntake(bodyBytes, g.MaxACSRequestBytes)
	if req.Caller.Policy.Sandbox {
		in.StoreNothing()
	}
	return in
}

// try says of messages that their caller only wants to try whether they would fit.
func (g *Gateway) try(ctx context.Context, req Request, in *offload.Intake, messages []wire.Parsed, terms []check.Terms) error {
	for i, l := range messages {
		s := g.newSending(req, l.Message, terms[i])
		if _, err := g.planFiles(ctx, s.rec, s.m, in, g.linkLife(terms[i])); err != nil {
			return placed(err, l.Pointer)
		}
	}
	return nil
}

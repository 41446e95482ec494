package gateway

import (
	"cmp"
	"context"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/deliver/offload"
	"github.com/posthorn/posthorn/handler/problem"
)

// RevokeLinks withdraws the links of a message of this caller. It may be repeated.
func (g *Gateway) RevokeLinks(ctx context.Context, c caller.Caller, id string) error {
	ctx, cancel := withoutCaller(ctx)
	defer cancel()
	rec, err := g.Records.Find(ctx, c.Name, id)
	if err != nil {
		return err
	}
	if len(rec.Moved) == 0 {
		return problem.New(problem.NotFound, "The message has no links.")
	}
	return g.Offload.RevokeMessage(ctx, rec.Links)
}

// Slot gives a caller an address to which it may upload one file.
func (g *Gateway) Slot(ctx context.Context, c caller.Caller) (offload.Slot, error) {
	return g.Offload.CreateSlot(ctx, c.Name, cmp.Or(c.Policy.MaxUploads, offload.DefaultOpenSlots))
}

// Open returns what a recipient gets for the n-th file behind a link's token, or
// for n = 0 for all of them.
func (g *Gateway) Open(ctx context.Context, token string, n int, acceptLanguage string) (offload.Opened, error) {
	return g.Offload.OpenLink(ctx, token, n, acceptLanguage)
}

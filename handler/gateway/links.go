package gateway

import (
	"context"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/offload"
	"github.com/posthorn/posthorn/handler/problem"
)

// Found is a record, and what has become of its links.
type Found struct {
	*record.Record
	Downloads map[int]int64 // by position in the caller's attachments
	Revoked   bool
}

// Find returns what is known of a message of this caller.
func (g *Gateway) Find(ctx context.Context, c caller.Caller, id string) (Found, error) {
	rec, err := g.Records.Find(ctx, c.Name, id)
	if err != nil {
		return Found{}, err
	}
	if rec.State == record.Unknown && !rec.Final() {
		g.settleAbandoned(ctx, rec)
	}
	if len(rec.Moved) == 0 {
		return Found{Record: rec}, nil
	}
	f := Found{Record: rec, Downloads: map[int]int64{}}
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

// RevokeLinks withdraws the links of a message of this caller. It may be repeated.
func (g *Gateway) RevokeLinks(ctx context.Context, c caller.Caller, id string) error {
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
	return g.Offload.Slot(ctx, c.Name)
}

// Open returns what a recipient gets for the n-th file behind a link's token, or
// for n = 0 for all of them.
func (g *Gateway) Open(ctx context.Context, token string, n int, acceptLanguage string) (offload.Opened, error) {
	return g.Offload.Open(ctx, token, n, acceptLanguage)
}

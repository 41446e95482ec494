package gateway

import (
	"context"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/problem"
)

// permit is a grant in the hands of somebody who may make one call to ACS with it.
// Others may be waiting for what becomes of that call. So the function that makes a permit
// defers its done, and only offer keeps done from giving the grant back.
type permit struct {
	g      *Gateway
	ledger *quota.Ledger // that gave the grant
	grant  quota.Grant
	told   bool // the ledger has been told what became of the grant
}

func (g *Gateway) permit(l *quota.Ledger, grant quota.Grant) *permit {
	return &permit{g: g, ledger: l, grant: grant}
}

// done gives a grant back with which no call was made. It may be called twice.
func (p *permit) done(ctx context.Context) {
	if p.told || !p.grant.Awaited() {
		return
	}
	p.told = true
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.g.undoTimeout)
	defer cancel()
	if err := p.ledger.Unused(ctx, p.grant); err != nil {
		p.g.Log.WarnContext(ctx, "could not return an unused probe to the quota table", "error", err)
	}
}

// renew takes another grant for one that grew too old.
func (p *permit) renew(ctx context.Context, call quota.Call) error {
	p.done(ctx)
	grant, err := p.ledger.ReserveAgain(ctx, p.grant.Shard(), call)
	if err == nil {
		p.grant, p.told = grant, false
	}
	return err
}

// tell says to the ledger what a call has shown of ACS.
func (p *permit) tell(ctx context.Context, say func(context.Context, quota.Grant) error) {
	p.told = true
	ctx, cancel := context.WithTimeout(ctx, p.g.undoTimeout)
	defer cancel()
	if err := say(ctx, p.grant); err != nil {
		p.g.Log.ErrorContext(ctx, "could not write ACS back-off to quota table", "error", err)
	}
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
		return nil, problem.Wrap(problem.Unavailable, "ACS answers too slowly, and this instance makes as many calls as it may. Nothing was sent. Try again after Retry-After.", ctx.Err())
	}
}

package quota

import (
	"context"
	"errors"
	"time"
)

// Backoff closes the ledger for wait, for every instance, after ACS answered the
// call of g with 429: it had no room although the ledger has. 0 means that ACS did
// not say how long, and a minute is taken; otherwise 1 s to 2 h. After it one call
// goes, the canary, and when ACS took it the rest follows over a minute. It never
// shortens an earlier one, so repeating it is safe. An error is
// problem.Unavailable: the ledger may then be open still.
func (l *Ledger) Backoff(ctx context.Context, wait time.Duration, g Grant) error {
	heard := l.now()
	l.stats.backoffs.Add(1)
	return l.everywhere(ctx, g, func(p *page, g Grant) bool {
		return p.health.busy(p.at, p.was.latest(heard), wait, g)
	})
}

// Failing closes the ledger for 2 s, and each time that the canary after it fails
// for twice as long, to a minute: ACS could not be reached, or not serve the call
// of g. Errors are Backoff's.
func (l *Ledger) Failing(ctx context.Context, g Grant) error {
	heard := l.now()
	return l.everywhere(ctx, g, func(p *page, g Grant) bool {
		return p.health.failing(p.was.latest(heard), g)
	})
}

// Well says that ACS took the call of g. It asks storage only if that was a
// canary. Errors are Backoff's; without it, another canary goes after a while.
func (l *Ledger) Well(ctx context.Context, g Grant) error {
	if !g.canary {
		return nil
	}
	return l.at(ctx, g.shard, func(p *page) answer {
		p.dirty = p.health.recover(p.at, g) || p.dirty
		return answer{}
	}).err
}

// Unused says that the call of g was not and will not be made: if it was the canary,
// another may go at once. Whoever has a Grant makes its call or says this. Errors are
// Backoff's; without it, another canary goes after a while.
func (l *Ledger) Unused(ctx context.Context, g Grant) error {
	if !g.canary {
		return nil
	}
	return l.at(ctx, g.shard, func(p *page) answer {
		if p.health.isCanary(g) {
			p.health.CanaryAt, p.dirty = 0, true
		}
		return answer{}
	}).err
}

// unclaimed is Unused for grants that nobody was there to take. It does not wait.
func (l *Ledger) unclaimed(ctx context.Context, a answer) {
	for _, grants := range a.grants {
		for _, g := range grants {
			if g.canary {
				go func() { _ = l.Unused(context.WithoutCancel(ctx), g) }() // else a while passes
			}
		}
	}
}

// everywhere lets change have its turn at every shard; g is known to its own.
func (l *Ledger) everywhere(ctx context.Context, g Grant, change func(*page, Grant) bool) error {
	l.pool.drop()
	var failed error
	for i := range l.known().shards {
		own := g
		if i > 0 {
			own = Grant{}
		}
		failed = errors.Join(failed, l.at(ctx, g.shard+i, func(p *page) answer {
			p.dirty = change(p, own) || p.dirty
			return answer{}
		}).err)
	}
	return failed
}

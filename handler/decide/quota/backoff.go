package quota

import (
	"context"
	"errors"
	"hash/fnv"
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
	return l.everywhere(ctx, g.shard, 0, func(p *page, own bool) bool {
		answered := g
		if !own {
			answered = Grant{}
		}
		return p.health.busy(p.at, p.was.latest(heard), wait, answered)
	})
}

// Failing says that ACS could not be reached, or not serve the call of g, which was for
// a message that has this name. When several different messages have failed in a row, it
// closes the ledger for 2 s, and each time that the canary after it fails for twice as
// long, to a minute. Errors are Backoff's.
func (l *Ledger) Failing(ctx context.Context, g Grant, message string) error {
	heard := l.now()
	h := fnv.New32a()
	h.Write([]byte(message))
	hash := max(h.Sum32(), 1)
	a := l.at(ctx, g.shard, func(p *page) answer {
		changed, closed := p.health.failing(p.was.latest(heard), g, hash)
		p.dirty = p.dirty || changed
		return answer{ok: closed}
	})
	if a.err != nil || !a.ok {
		return a.err
	}
	return l.everywhere(ctx, g.shard, 1, func(p *page, _ bool) bool {
		if p.health.Probing {
			return false
		}
		p.health.close(p.was.latest(heard))
		return true
	})
}

// Well says that ACS took the call of g. It asks storage only if that was a canary, or
// some have failed before it. Errors are Backoff's; without it, another canary goes
// after a while.
func (l *Ledger) Well(ctx context.Context, g Grant) error {
	if !g.canary && !l.someFailed(g.shard) {
		return nil
	}
	return l.at(ctx, g.shard, func(p *page) answer {
		p.dirty = p.health.served(p.at, g) || p.dirty
		return answer{}
	}).err
}

// someFailed says whether messages have failed, so far as this process knows.
func (l *Ledger) someFailed(shard int) bool {
	s := l.known().home(shard)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen != nil && s.seen.health.Failed != [severalFail - 1]uint32{}
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

// everywhere lets change have its turn at the shards from the first after shard on; own
// is the one of number shard.
func (l *Ledger) everywhere(ctx context.Context, shard, first int, change func(p *page, own bool) bool) error {
	l.pool.drop()
	var failed error
	for i := first; i < len(l.known().shards); i++ {
		failed = errors.Join(failed, l.at(ctx, shard+i, func(p *page) answer {
			p.dirty = change(p, i == 0) || p.dirty
			return answer{}
		}).err)
	}
	return failed
}

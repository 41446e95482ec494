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
// goes, the canary, and when ACS took it the rest follows over a minute. If that was
// another sender's, and g's sender is refused again, only that sender waits from then on.
// It never shortens an earlier one, so repeating it is safe. An error is
// problem.Unavailable: the ledger may then be open still.
func (l *Ledger) Backoff(ctx context.Context, wait time.Duration, g Grant) error {
	heard := l.now()
	l.stats.backoffs.Add(1)
	a := l.at(ctx, g.shard, func(p *page) answer {
		only := p.health.onlySender(p.at, g)
		changed := true
		switch {
		case only:
			p.health.backOffSender(g.sender, p.was.latest(heard), wait)
			changed = p.health.release(g) || changed
		default:
			changed = p.health.busy(p.at, p.was.latest(heard), wait, g)
		}
		p.dirty = p.dirty || changed
		return answer{ok: only}
	})
	if a.err != nil {
		return a.err
	}
	return l.elsewhere(ctx, g.shard, func(p *page) bool {
		if a.ok {
			p.health.backOffSender(g.sender, p.was.latest(heard), wait)
			return true
		}
		return p.health.busy(p.at, p.was.latest(heard), wait, Grant{sender: g.sender})
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
	return l.elsewhere(ctx, g.shard, func(p *page) bool {
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
	if !g.Awaited() && !l.someFailed(g.shard) {
		return nil
	}
	var refused uint32
	a := l.at(ctx, g.shard, func(p *page) answer {
		p.dirty = p.health.served(p.at, g) || p.dirty
		refused = p.health.Refused
		return answer{ok: g.canary && p.health.Passed}
	})
	if a.err != nil || !a.ok {
		return a.err
	}
	return l.elsewhere(ctx, g.shard, func(p *page) bool {
		news := p.health.Refused == refused && !p.health.Passed
		p.health.Passed = p.health.Passed || news
		return news
	})
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
	if !g.Awaited() {
		return nil
	}
	return l.at(ctx, g.shard, func(p *page) answer {
		p.dirty = p.health.release(g) || p.dirty
		p.dirty = p.health.releaseSender(g, p.at) || p.dirty
		return answer{}
	}).err
}

// unclaimed is Unused for grants that nobody was there to take. It does not wait.
func (l *Ledger) unclaimed(ctx context.Context, a answer) {
	for _, grants := range a.grants {
		for _, g := range grants {
			if g.Awaited() {
				go func() { _ = l.Unused(context.WithoutCancel(ctx), g) }() // else a while passes
			}
		}
	}
}

// elsewhere lets change have its turn at all shards but one, and burns what was leased.
func (l *Ledger) elsewhere(ctx context.Context, shard int, change func(*page) bool) error {
	l.pool.drop()
	var failed error
	for i := 1; i < len(l.known().shards); i++ {
		failed = errors.Join(failed, l.at(ctx, shard+i, func(p *page) answer {
			p.dirty = change(p) || p.dirty
			return answer{}
		}).err)
	}
	return failed
}

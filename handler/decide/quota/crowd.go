package quota

import (
	"context"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
)

// soonestRetry and latestRetry bound what a caller is told to wait of whom as many
// messages wait as may.
const (
	soonestRetry = time.Minute
	latestRetry  = time.Hour
)

// Crowded is TooManyQueued if as many messages of c's caller wait as may. It asks storage
// only where memory says so: what others have done meanwhile, BookOrJoin and Join find
// out. Other errors are Book's.
func (l *Ledger) Crowded(ctx context.Context, c Call) error {
	if c.MostWaiting == 0 || l.known().waiting(c.Caller, nil) < c.MostWaiting {
		return nil
	}
	return l.patiently(ctx, l.shardNow(), func(p *page) answer { return answer{err: l.crowd(p, c)} }).err
}

// crowd counts what waits at p's row, and what this process last saw at the others.
func (l *Ledger) crowd(p *page, c Call) error {
	if c.MostWaiting == 0 || p.messages(c.Caller)+l.known().waiting(c.Caller, &p.shard) < c.MostWaiting {
		return nil
	}
	e := problem.New(problem.TooManyQueued, "%d messages wait already, and no more may. This one was not taken. Send it again after Retry-After.", c.MostWaiting)
	room := time.Duration(max(p.room(c)-p.now, 0).wholeSecond()) * time.Millisecond
	e.RetryAfter = min(max(room, soonestRetry), latestRetry)
	return e
}

// waiting is how many messages of a caller were last seen to wait, at all rows but one.
func (p *rows) waiting(caller string, but *int) (messages int) {
	for _, s := range p.shards {
		if but != nil && s.number == *but {
			continue
		}
		s.mu.Lock()
		seen := s.seen
		s.mu.Unlock()
		if seen != nil {
			messages += seen.messages(caller)
		}
	}
	return messages
}

// messages are those of a caller that wait, for whatever reason.
func (b ledger) messages(caller string) (n int) {
	for _, d := range b.desks {
		for _, l := range d.Lines {
			if l.Caller == caller {
				n += l.Waiting
			}
		}
	}
	return n
}

package quota

import (
	"context"
	"fmt"
	"time"
)

// What ACS asks for is kept within these. Source of the default: ACS documents
// none, its shortest window is a minute.
const (
	defaultBackoff  = time.Minute
	shortestBackoff = time.Second
	longestBackoff  = 2 * time.Hour
)

// Backoff closes the ledger for wait, for every instance, after ACS answered
// 429: it had no room although the log has. 0 means that ACS did not say how
// long, and a minute is taken; otherwise 1 s to 2 h. It never shortens an earlier
// one, so repeating it is safe. An error is problem.Unavailable: the ledger may
// then be open still.
func (l *Ledger) Backoff(ctx context.Context, wait time.Duration) error {
	if wait == 0 {
		wait = defaultBackoff
	}
	wait = min(max(wait, shortestBackoff), longestBackoff)
	heard := l.now()
	var failed error
	for try := 1; ; try++ {
		s, err := l.read(ctx)
		if err != nil {
			return unavailable(err)
		}
		until := s.at.latest(heard).add(wait).wholeSecond()
		if s.backoffUntil >= until {
			return nil
		}
		if try > tries {
			return unavailable(fmt.Errorf("quota backoff: %d writes failed, the last with: %w", tries, failed))
		}
		s.backoffUntil = until
		if _, failed = l.write(ctx, s, s.ledger); failed == nil {
			return nil
		}
		if err := pause(ctx, try, l.newID()); err != nil {
			return unavailable(err)
		}
	}
}

package quota

import (
	"context"
	"errors"
	"fmt"

	"github.com/posthorn/posthorn/handler/store"
)

// recent returns the last snapshot, or nil if its clock reading is no longer good.
func (l *Ledger) recent(s *shard) *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil || s.seen.at.stale(l.now()) {
		return nil
	}
	return s.seen
}

func (l *Ledger) remember(s *shard, seen *snapshot) {
	if h := seen.health; h.Probing || h.BackoffUntil > seen.at.date || seen.pause != nil {
		l.pool.drop()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = seen
}

// slowReads is how often the row is read if the answer took too long to tell the
// time, as one does now and then under many requests.
const slowReads = 3

// errSlow is the error of such an answer.
var errSlow = errors.New("the answer took too long to tell the time")

// read asks storage for the row and the time. A row that is missing is an empty
// ledger. With errMoved, what it returns is true of the row.
func (l *Ledger) read(ctx context.Context, s *shard) (seen snapshot, err error) {
	for range slowReads {
		if seen, err = l.readOnce(ctx, s); !errors.Is(err, errSlow) {
			break
		}
	}
	return seen, err
}

func (l *Ledger) readOnce(ctx context.Context, s *shard) (snapshot, error) {
	sent := l.now()
	e, receipt, err := l.table.Get(ctx, partition, s.name)
	l.stats.reads.Add(1)
	seen := snapshot{etag: e.ETag, at: reading{instantOf(receipt.Time), sent, l.now()}}
	switch {
	case errors.Is(err, store.ErrMissing):
		seen.etag, seen.layout = "", s.layout
	case err != nil:
		return snapshot{}, fmt.Errorf("read quota ledger: %w", err)
	default:
		if seen.ledger, err = decode(e); err != nil {
			return snapshot{}, err
		}
	}
	switch ahead := seen.usage.newest.sub(seen.at.latest(seen.at.heard)); {
	case receipt.Time.IsZero():
		return snapshot{}, errors.New("read quota ledger: the answer has no time")
	case seen.at.slow():
		return snapshot{}, fmt.Errorf("read quota ledger: %w: %v", errSlow, seen.at.heard.Sub(sent))
	case ahead > 2*ClockError:
		return snapshot{}, fmt.Errorf("quota ledger is %v ahead of the storage clock", ahead)
	case seen.etag == "" && s.layout.Generation > 0: // no row of a later layout is ever missing
		return snapshot{}, errMoved
	}
	if seen.next != nil || seen.layout.Generation != s.layout.Generation || seen.layout.Shards != s.layout.Shards {
		return seen, errMoved // not remembered: nothing may be booked on it
	}
	l.remember(s, &seen)
	return seen, nil
}

// write replaces what seen saw by b. After an error the row may or may not be b.
func (l *Ledger) write(ctx context.Context, s *shard, seen *snapshot, b ledger) error {
	put := l.table.Replace
	if seen.etag == "" {
		put = l.table.Insert
	}
	values, err := b.encode()
	if err != nil {
		return err
	}
	sent := l.now()
	receipt, err := put(ctx, store.Entity{Partition: partition, Row: s.name, ETag: seen.etag, Values: values})
	l.stats.writes.Add(1)
	if err != nil {
		return fmt.Errorf("write quota ledger: %w", err)
	}
	if receipt.Time.IsZero() {
		return errors.New("write quota ledger: the answer has no time")
	}
	l.remember(s, &snapshot{b, receipt.ETag, reading{instantOf(receipt.Time), sent, l.now()}})
	return nil
}

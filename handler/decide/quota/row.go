package quota

import (
	"context"
	"errors"
	"fmt"

	"github.com/posthorn/posthorn/handler/store"
)

// recent returns the last snapshot if its clock reading is still good.
func (l *Ledger) recent() (snapshot, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil || l.seen.at.stale(l.now()) {
		return snapshot{}, false
	}
	return *l.seen, true
}

func (l *Ledger) remember(s snapshot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = &s
}

// read asks storage for the row and the time. A row that is missing is an empty
// ledger.
func (l *Ledger) read(ctx context.Context) (snapshot, error) {
	sent := l.now()
	e, receipt, err := l.table.Get(ctx, partition, l.name)
	s := snapshot{etag: e.ETag, at: reading{instantOf(receipt.Time), sent, l.now()}}
	switch {
	case errors.Is(err, store.ErrMissing):
		s.etag = ""
	case err != nil:
		return snapshot{}, fmt.Errorf("read quota ledger: %w", err)
	default:
		if s.ledger, err = decode(e); err != nil {
			return snapshot{}, err
		}
	}
	switch ahead := s.last().sub(s.at.latest(s.at.heard)); {
	case receipt.Time.IsZero():
		return snapshot{}, errors.New("read quota ledger: the answer has no time")
	case s.at.slow():
		return snapshot{}, fmt.Errorf("read quota ledger: an answer after %v does not tell the time", s.at.heard.Sub(sent))
	case ahead > 2*ClockError:
		return snapshot{}, fmt.Errorf("quota ledger is %v ahead of the storage clock", ahead)
	}
	l.remember(s)
	return s, nil
}

// write replaces what s saw by b. After an error the row may or may not be b.
func (l *Ledger) write(ctx context.Context, s snapshot, b ledger) (snapshot, error) {
	put := l.table.Replace
	if s.etag == "" {
		put = l.table.Insert
	}
	sent := l.now()
	receipt, err := put(ctx, store.Entity{Partition: partition, Row: l.name, ETag: s.etag, Values: b.encode()})
	if err != nil {
		return snapshot{}, fmt.Errorf("write quota ledger: %w", err)
	}
	if receipt.Time.IsZero() {
		return snapshot{}, errors.New("write quota ledger: the answer has no time")
	}
	after := snapshot{b, receipt.ETag, reading{instantOf(receipt.Time), sent, l.now()}}
	l.remember(after)
	return after, nil
}

package row

import (
	"context"
	"errors"
	"fmt"

	"github.com/posthorn/posthorn/handler/decide/quota/window"
	"github.com/posthorn/posthorn/handler/store"
)

// slowReads is how often the row is read if the answer took too long to tell the
// time, as one does now and then under many requests.
const slowReads = 3

// errSlow is the error of such an answer.
var errSlow = errors.New("the answer took too long to tell the time")

// snapshot is a row as storage last told it.
type snapshot struct {
	content
	etag store.ETag // empty: there is no row
	at   window.Reading
}

// timed returns the last snapshot with the last reading of the clock, whichever answer of
// storage told that, or nil if that is no longer good.
func (r *Rows) timed(w *row) *snapshot {
	seen, last := w.last(), r.clock.Last()
	at := window.Reading{Date: window.InstantOf(last.Date), Sent: last.Sent, Heard: last.Heard}
	if seen == nil || last.Date.IsZero() || at.Stale(r.now()) {
		return nil
	}
	return &snapshot{seen.content, seen.etag, at}
}

func (r *Rows) remember(w *row, seen *snapshot) {
	if seen.Closed(seen.at.Date) {
		r.closed()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = seen
}

// read asks storage for the row and the time. A row that is missing is an empty
// ledger. With errMoved, what it returns is true of the row.
func (r *Rows) read(ctx context.Context, w *row) (seen snapshot, err error) {
	for range slowReads {
		if seen, err = r.readOnce(ctx, w); !errors.Is(err, errSlow) {
			break
		}
	}
	return seen, err
}

func (r *Rows) readOnce(ctx context.Context, w *row) (snapshot, error) {
	sent := r.now()
	e, receipt, err := r.table.Get(ctx, w.name, ledgerRow)
	r.clock.Observe(receipt.Time, sent)
	r.Reads.Add(1)
	seen := snapshot{etag: e.ETag, at: window.Reading{Date: window.InstantOf(receipt.Time), Sent: sent, Heard: r.now()}}
	switch {
	case errors.Is(err, store.ErrMissing):
		seen.etag, seen.layout = "", w.layout
	case err != nil:
		return snapshot{}, fmt.Errorf("read quota ledger: %w", err)
	default:
		if seen.content, err = decode(e); err != nil {
			return snapshot{}, err
		}
	}
	switch ahead := seen.Usage.Newest.Sub(seen.at.Latest(seen.at.Heard)); {
	case receipt.Time.IsZero():
		return snapshot{}, errors.New("read quota ledger: the answer has no time")
	case seen.at.Slow():
		return snapshot{}, fmt.Errorf("read quota ledger: %w: %v", errSlow, seen.at.Heard.Sub(sent))
	case ahead > 2*window.ClockError:
		return snapshot{}, fmt.Errorf("quota ledger is %v ahead of the storage clock", ahead)
	case seen.etag == "" && w.layout.Generation > 0: // no row of a later layout is ever missing
		return snapshot{}, errMoved
	}
	if seen.next != nil || seen.layout.Generation != w.layout.Generation || seen.layout.Shards != w.layout.Shards {
		return seen, errMoved // not remembered: nothing may be reserved on it
	}
	r.remember(w, &seen)
	return seen, nil
}

// write replaces what seen saw by c. After an error the row may or may not be c.
func (r *Rows) write(ctx context.Context, w *row, seen *snapshot, c content) error {
	put := r.table.Replace
	if seen.etag == "" {
		put = r.table.Insert
	}
	values, err := c.encode()
	if err != nil {
		return err
	}
	sent := r.now()
	receipt, err := put(ctx, store.Entity{Partition: w.name, Row: ledgerRow, ETag: seen.etag, Values: values})
	r.clock.Observe(receipt.Time, sent)
	r.Writes.Add(1)
	if err != nil {
		return fmt.Errorf("write quota ledger: %w", err)
	}
	if receipt.Time.IsZero() {
		return errors.New("write quota ledger: the answer has no time")
	}
	r.remember(w, &snapshot{c, receipt.ETag, window.Reading{Date: window.InstantOf(receipt.Time), Sent: sent, Heard: r.now()}})
	return nil
}

// insert writes a row unless it is there.
func (r *Rows) insert(ctx context.Context, name string, c content) error {
	values, err := c.encode()
	if err != nil {
		return err
	}
	r.Writes.Add(1)
	_, err = r.table.Insert(ctx, store.Entity{Partition: name, Row: ledgerRow, Values: values})
	if err != nil && !errors.Is(err, store.ErrExists) {
		return fmt.Errorf("write quota ledger: %w", err)
	}
	return nil
}

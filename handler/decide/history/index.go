package history

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/expire"
	"github.com/posthorn/posthorn/handler/store/limits"
)

const (
	// GatherTime is how long rows wait for others that go into the same transactions.
	GatherTime = time.Second
	// MaxHeld bounds the rows that a process holds: while storage is away, newer ones are
	// not indexed.
	MaxHeld = 20_000
	// writers is how many transactions are under way at once.
	writers = 8
	// longestPause bounds the pause before rows are written again that storage refused.
	longestPause = 30 * time.Second
	// writeTime bounds one write.
	writeTime = 10 * time.Second
)

// Index notes messages, and lists them. It is safe for concurrent use.
type Index struct {
	tables Tables
	life   time.Duration
	log    *slog.Logger

	mu      sync.Mutex
	held    []row // noted, and in no write yet
	count   int   // rows held and under way
	dropped int   // since the last line in the log
	busy    bool  // rows are being written
}

// row is a row on its way to the table of its day.
type row struct {
	date   string
	entity store.Entity
}

// compare orders rows by date, partition and key.
func (r row) compare(o row) int {
	return cmp.Or(strings.Compare(r.date, o.date), strings.Compare(r.entity.Partition, o.entity.Partition), strings.Compare(r.entity.Row, o.entity.Row))
}

// New makes an Index. Its rows live for life, which is how long the record of a message
// lives at most: the history, and the time for which a message may wait.
func New(t Tables, life time.Duration, log *slog.Logger) *Index {
	return &Index{tables: t, life: life, log: log}
}

// date names the table of a message that came at a time.
func date(t time.Time) string { return t.UTC().Format(expire.DateForm) }

// Note has the rows of a message written, soon. to are the addresses of its recipients. A
// message may be noted twice.
func (x *Index) Note(ctx context.Context, m Message, to []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range rows(m, to) {
		if x.count >= MaxHeld {
			x.dropped++
			continue
		}
		x.count++
		x.held = append(x.held, row{date(m.At), e})
	}
	if !x.busy && len(x.held) > 0 {
		x.busy = true
		go x.writeAll(context.WithoutCancel(ctx))
	}
}

// writeAll writes what is held, as long as there is some. Rows that storage refuses are
// held again.
func (x *Index) writeAll(ctx context.Context) {
	for pause := GatherTime; ; {
		time.Sleep(pause)
		x.mu.Lock()
		held, dropped := x.held, x.dropped
		x.held, x.dropped = nil, 0
		if x.busy = len(held) > 0; !x.busy {
			x.mu.Unlock()
			return
		}
		x.mu.Unlock()
		if dropped > 0 {
			x.log.WarnContext(ctx, "messages not indexed: too many rows wait for storage", "rows", dropped)
		}
		if err := x.write(ctx, held); err != nil {
			x.log.WarnContext(ctx, "index of messages not written, will retry", "error", err)
			pause = min(2*pause, longestPause)
		} else {
			pause = GatherTime
		}
	}
}

// write writes rows, those of a partition in one transaction. An error is one of those met.
func (x *Index) write(ctx context.Context, all []row) error {
	slices.SortFunc(all, row.compare)
	once := slices.CompactFunc(slices.Clone(all), func(a, b row) bool { return a.compare(b) == 0 })
	x.mu.Lock()
	x.count -= len(all) - len(once)
	x.mu.Unlock()
	var group errgroup.Group
	group.SetLimit(writers)
	for len(once) > 0 {
		n := 1
		for n < min(len(once), limits.TransactionActions) && once[n].date == once[0].date && once[n].entity.Partition == once[0].entity.Partition {
			n++
		}
		part := once[:n]
		once = once[n:]
		group.Go(func() error {
			err := x.insert(ctx, x.tables.Day(part[0].date), part)
			x.wrote(part, err)
			return err
		})
	}
	return group.Wait()
}

// insert stores rows of one partition. Rows that are there are no error: a message was noted
// twice, or the answer to a write was lost.
func (x *Index) insert(ctx context.Context, t Table, rows []row) error {
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	inserts := make([]store.Action, len(rows))
	for i, r := range rows {
		inserts[i] = store.Insert(r.entity)
	}
	_, err := t.Transact(ctx, inserts...)
	if !errors.Is(err, store.ErrExists) {
		return err
	}
	for _, r := range rows {
		if _, err := t.Insert(ctx, r.entity); err != nil && !errors.Is(err, store.ErrExists) {
			return err
		}
	}
	return nil
}

// wrote forgets rows that are written, and holds the others again.
func (x *Index) wrote(rows []row, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err == nil {
		x.count -= len(rows)
		return
	}
	x.held = append(x.held, rows...)
}

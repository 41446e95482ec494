package spool

import (
	"context"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

const (
	deadPartition = "dead"
	// DeadLetterLife is how long a dead letter is kept for the operator.
	DeadLetterLife = 14 * 24 * time.Hour
)

// DeadLetter is a queued message that was given up. Its content is kept.
type DeadLetter struct {
	Entry
	At     time.Time // when it was given up
	Reason string    // a sentence
}

// MoveToDeadLetters moves a message from its line to the dead letters. The content of a small
// one moves with it. It may be repeated.
func (s *Spool) MoveToDeadLetters(ctx context.Context, d DeadLetter) error {
	var content []byte
	if !d.Large {
		var err error
		if content, err = readContent(ctx, s.lines, d.Key); unlessMissing(err) != nil {
			return unavailable("read a queued message", err)
		}
	}
	e := d.encode()
	e.Partition, e.Row = deadPartition, d.row()
	e.Values["at"], e.Values["reason"], e.Values["partition"] = d.At, d.Reason, d.Key.Partition
	if err := insertRow(ctx, s.dead, e, content); err != nil {
		return unavailable("insert a dead letter", err)
	}
	return s.DeleteEntry(ctx, &d.Entry)
}

// ReadDeadLetter reads the message of a dead letter. Its errors are those of ReadMessage.
func (s *Spool) ReadDeadLetter(ctx context.Context, d *DeadLetter) (m Message, found bool, err error) {
	if d.Large {
		return s.ReadBlob(ctx, d.Key)
	}
	return opened(readContent(ctx, s.dead, d.key()))
}

func (d *DeadLetter) key() store.Key { return store.Key{Partition: deadPartition, Row: d.row()} }

func (d *DeadLetter) row() string { return d.Key.Row }

// ListDeadLetters returns at most n dead letters, the oldest first, after one of them; nil
// to begin.
func (s *Spool) ListDeadLetters(ctx context.Context, after *DeadLetter, n int) ([]DeadLetter, error) {
	from := ""
	if after != nil {
		from = after.row()
	}
	rows, err := s.dead.ListRows(ctx, deadPartition, from, afterEntries, n)
	if err != nil {
		return nil, unavailable("list dead letters", err)
	}
	list := make([]DeadLetter, 0, len(rows))
	for _, e := range rows {
		entry, err := decodeEntry(e)
		if err != nil {
			return nil, problem.Wrap(problem.Internal, "The dead letters cannot be read.", err)
		}
		d := DeadLetter{Entry: entry}
		d.Key.Partition, _ = e.Values["partition"].(string)
		d.At, _ = e.Values["at"].(time.Time)
		d.Reason, _ = e.Values["reason"].(string)
		list = append(list, d)
	}
	return list, nil
}

// DiscardDeadLetter deletes a dead letter with its message.
func (s *Spool) DiscardDeadLetter(ctx context.Context, d *DeadLetter) error {
	if d.Large {
		if err := s.DeleteBlob(ctx, d.Key); err != nil {
			return err
		}
	}
	return unavailable("delete a dead letter", deleteRow(ctx, s.dead, d.key(), d.Large))
}

// ExpireDeadLetters discards all that are older than DeadLetterLife. It may be repeated.
func (s *Spool) ExpireDeadLetters(ctx context.Context, now time.Time) (discarded int, err error) {
	for after := (*DeadLetter)(nil); ; {
		page, err := s.ListDeadLetters(ctx, after, strayPage)
		if err != nil {
			return discarded, err
		}
		for i := range page {
			after = &page[i]
			if page[i].At.Add(DeadLetterLife).After(now) {
				continue
			}
			if err := s.DiscardDeadLetter(ctx, &page[i]); err != nil {
				return discarded, err
			}
			discarded++
		}
		if len(page) < strayPage {
			return discarded, nil
		}
	}
}

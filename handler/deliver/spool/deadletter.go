package spool

import (
	"context"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

const (
	deadPartition = "dead"
	// DeadLetterLife is how long what could not be sent is kept for the operator.
	DeadLetterLife = 14 * 24 * time.Hour
)

// DeadLetter is a message that waited and could not be sent. Its letter is kept.
type DeadLetter struct {
	Entry
	At     time.Time // when it was given up
	Reason string    // a sentence
}

// MoveToDeadLetters moves a letter from its line to the list of what could not be sent. It may
// be repeated.
func (s *Spool) MoveToDeadLetters(ctx context.Context, d DeadLetter) error {
	e := d.encode()
	e.Partition, e.Row = deadPartition, d.row()
	e.Values["at"], e.Values["reason"], e.Values["partition"] = d.At, d.Reason, d.Key.Partition
	if _, err := s.dead.Insert(ctx, e); err != nil && !isThere(err) {
		return unavailable("keep what could not be sent", err)
	}
	return s.DeleteEntry(ctx, &d.Entry)
}

func (d *DeadLetter) row() string { return d.Key.Row }

// ListDeadLetters returns at most n of what could not be sent, the oldest first, after
// one of them; zero to begin.
func (s *Spool) ListDeadLetters(ctx context.Context, after *DeadLetter, n int) ([]DeadLetter, error) {
	from := store.Key{Partition: deadPartition}
	if after != nil {
		from.Row = after.row()
	}
	rows, err := s.dead.ListBefore(ctx, from, deadPartition+afterDash, n)
	if err != nil {
		return nil, unavailable("list what could not be sent", err)
	}
	list := make([]DeadLetter, 0, len(rows))
	for _, e := range rows {
		slip, err := decodeSlip(e)
		if err != nil {
			return nil, problem.Wrap(problem.Internal, "The list of what could not be sent cannot be read.", err)
		}
		d := DeadLetter{Entry: slip}
		d.Key.Partition, _ = e.Values["partition"].(string)
		d.At, _ = e.Values["at"].(time.Time)
		d.Reason, _ = e.Values["reason"].(string)
		list = append(list, d)
	}
	return list, nil
}

// RemoveFromDeadLetters takes one out of the list, and leaves its letter.
func (s *Spool) RemoveFromDeadLetters(ctx context.Context, d *DeadLetter) error {
	return unavailable("take from what could not be sent", unlessMissing(s.dead.Delete(ctx, deadPartition, d.row(), "")))
}

// DiscardDeadLetter takes one out of the list and deletes its letter.
func (s *Spool) DiscardDeadLetter(ctx context.Context, d *DeadLetter) error {
	if err := s.DeleteMessage(ctx, d.Key); err != nil {
		return err
	}
	return s.RemoveFromDeadLetters(ctx, d)
}

// ExpireDeadLetters discards what has been in the list for DeadLife. It may be repeated.
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

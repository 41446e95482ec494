package spool

import (
	"context"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

const (
	deadPartition = "dead"
	// DeadLife is how long what could not be sent is kept for the operator.
	DeadLife = 14 * 24 * time.Hour
)

// Dead is a message that waited and could not be sent. Its letter is kept.
type Dead struct {
	Slip
	At     time.Time // when it was given up
	Reason string    // a sentence
}

// Bury moves a letter from its line to the list of what could not be sent. It may
// be repeated.
func (s *Spool) Bury(ctx context.Context, d Dead) error {
	e := d.encode()
	e.Partition, e.Row = deadPartition, d.row()
	e.Values["at"], e.Values["reason"], e.Values["partition"] = d.At, d.Reason, d.Key.Partition
	if _, err := s.dead.Insert(ctx, e); err != nil && !isThere(err) {
		return unavailable("keep what could not be sent", err)
	}
	return s.Forget(ctx, &d.Slip)
}

func (d *Dead) row() string { return d.Key.Row }

// DeadList returns at most n of what could not be sent, the oldest first, after
// one of them; zero to begin.
func (s *Spool) DeadList(ctx context.Context, after *Dead, n int) ([]Dead, error) {
	from := store.Key{Partition: deadPartition}
	if after != nil {
		from.Row = after.row()
	}
	rows, err := s.dead.ListBefore(ctx, from, deadPartition+afterDash, n)
	if err != nil {
		return nil, unavailable("list what could not be sent", err)
	}
	list := make([]Dead, 0, len(rows))
	for _, e := range rows {
		slip, err := decodeSlip(e)
		if err != nil {
			return nil, problem.Wrap(problem.Internal, "The list of what could not be sent cannot be read.", err)
		}
		d := Dead{Slip: slip}
		d.Key.Partition, _ = e.Values["partition"].(string)
		d.At, _ = e.Values["at"].(time.Time)
		d.Reason, _ = e.Values["reason"].(string)
		list = append(list, d)
	}
	return list, nil
}

// Exhume takes one out of the list, and leaves its letter.
func (s *Spool) Exhume(ctx context.Context, d *Dead) error {
	return unavailable("take from what could not be sent", unlessMissing(s.dead.Delete(ctx, deadPartition, d.row(), "")))
}

// Discard takes one out of the list and deletes its letter.
func (s *Spool) Discard(ctx context.Context, d *Dead) error {
	if err := s.Drop(ctx, d.Key); err != nil {
		return err
	}
	return s.Exhume(ctx, d)
}

// Expire discards what has been in the list for DeadLife. It may be repeated.
func (s *Spool) Expire(ctx context.Context, now time.Time) (discarded int, err error) {
	for after := (*Dead)(nil); ; {
		page, err := s.DeadList(ctx, after, strayPage)
		if err != nil {
			return discarded, err
		}
		for i := range page {
			after = &page[i]
			if page[i].At.Add(DeadLife).After(now) {
				continue
			}
			if err := s.Discard(ctx, &page[i]); err != nil {
				return discarded, err
			}
			discarded++
		}
		if len(page) < strayPage {
			return discarded, nil
		}
	}
}

package record

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/expire"
	"github.com/posthorn/posthorn/handler/store/limits"
)

const (
	// rounds is how often CleanUp sees each record of the lasting table in a history, if it
	// is called every hour: so a record stays an eighth of its history too long at most.
	rounds = 8
	// lastPartition is greater than every partition of a record: the hex digits end with f.
	lastPartition = "g"
)

// CleanUp removes the records of a part of the lasting table that have outlived their
// history, beside of them at once. A marker is where an earlier call has stopped; without
// one the hour decides on the part. It may be repeated. An error is Unavailable, and what
// could not be removed is found again.
func (b *Store) CleanUp(ctx context.Context, marker string, beside int) (expire.Result, error) {
	now, err := b.now(ctx)
	if err != nil {
		return expire.Result{}, err
	}
	from, before := b.part(now)
	if marker != "" {
		marker, before, _ = strings.Cut(marker, " ")
	}
	rows := expire.Rows{Table: b.tables.Lasting, From: from, Before: before, Whole: true, Ended: b.ended(now), Remove: b.remove}
	result, err := rows.Run(ctx, marker, beside)
	if result.Next != "" {
		result.Next += " " + before
	}
	return result, unavailable(err)
}

// part is the partitions of an hour: from the first to the one behind the last.
func (b *Store) part(now time.Time) (from, before string) {
	const keys = 1 << 16 // of four hex digits
	parts := max(1, int(b.history/time.Hour)/rounds)
	n := int(now.Unix()/int64(time.Hour/time.Second)) % parts
	if from, before = fmt.Sprintf("%04x", keys*n/parts), lastPartition; n+1 < parts {
		before = fmt.Sprintf("%04x", keys*(n+1)/parts)
	}
	return from, before
}

// ended says of rows in their order whether they have. The record is the first row of its
// partition, and decides for the others. Rows without a record are over.
func (b *Store) ended(now time.Time) func(store.Entity) (time.Time, bool) {
	var partition string
	var at time.Time
	var over bool
	return func(e store.Entity) (time.Time, bool) {
		if e.Partition == partition {
			return at, over
		}
		partition, at, over = e.Partition, now, true
		if e.Row == row {
			since, _ := e.Values["since"].(time.Time)
			at = since.Add(b.history)
			over = !since.IsZero() && !at.After(now)
		}
		return at, over
	}
}

// remove removes a record with the rows of its partition. One that has changed meanwhile
// stays.
func (b *Store) remove(ctx context.Context, rows []store.Entity) (removed int, err error) {
	for chunk := range slices.Chunk(reversed(rows), limits.TransactionActions) { // the record last
		if len(chunk) == 1 {
			err = b.tables.Lasting.Delete(ctx, chunk[0].Partition, chunk[0].Row, chunk[0].ETag)
		} else {
			deletes := make([]store.Action, len(chunk))
			for i, e := range chunk {
				deletes[i] = store.Delete(e.Partition, e.Row, e.ETag)
			}
			_, err = b.tables.Lasting.Transact(ctx, deletes...)
		}
		if err != nil {
			return 0, unlessLost(err)
		}
	}
	return 1, nil
}

func reversed(rows []store.Entity) []store.Entity {
	rows = slices.Clone(rows)
	slices.Reverse(rows)
	return rows
}

// CleanUpDays drops the tables of days that are over, and makes those that the next day's
// messages will need. It may be repeated. An error is Unavailable.
func (b *Store) CleanUpDays(ctx context.Context) (expire.Result, error) {
	now, err := b.now(ctx)
	if err != nil {
		return expire.Result{}, err
	}
	all, dates, err := expire.DropDays(ctx, b.tables.Days, 0, now)
	if dates == nil && err != nil {
		return all, unavailable(err)
	}
	failed := []error{err}
	for _, wait := range []time.Duration{0, mail.MaxWait} { // of most messages
		if date := dateOf(b.lastDay(now.Add(day + wait))); !slices.Contains(dates, date) {
			failed = append(failed, b.tables.Days.Create(ctx, date))
		}
	}
	return all, unavailable(errors.Join(failed...))
}

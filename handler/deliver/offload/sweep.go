package offload

import (
	"context"
	"errors"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// Sweep deletes the blobs and rows of links whose last day (UTC) has passed, so
// never before a link ends and at most a day after, if it runs at midnight. It
// deletes rows before blobs: a sweep that breaks off is found again by its
// blobs. What is not named like a blob of ours stays. It may be repeated, and by
// several at once. deleted counts blobs, with an error too, which is Unavailable.
func (o *Offload) Sweep(ctx context.Context) (deleted int, err error) {
	now := o.config.Now()
	var failed error
	for after, more := "", true; more; {
		page, err := o.config.Blobs.List(ctx, "", after, SweepPage)
		if err != nil {
			return deleted, notSwept(errors.Join(failed, err))
		}
		var due []dueBlob
		due, more = dueBy(now, page)
		n, err := o.sweep(ctx, due)
		deleted += n
		failed = errors.Join(failed, err)
		if more {
			after = page[len(page)-1].Name
		}
	}
	return deleted, notSwept(failed)
}

type dueBlob struct {
	name  string
	mayGo time.Time
}

// dueBy picks from a page what may go now. There may be more behind the page
// unless it ends short or with blobs of days to come.
func dueBy(now time.Time, page []store.Blob) (due []dueBlob, more bool) {
	for _, b := range page {
		at, ok := blobMayGo(b.Name)
		if !ok {
			continue
		}
		if now.Before(at) {
			return due, false
		}
		due = append(due, dueBlob{name: b.Name, mayGo: at})
	}
	return due, len(page) == SweepPage
}

// sweep deletes blobs that come in the order of their days. A blob that cannot
// be deleted does not keep the others; rows that cannot be deleted keep all
// blobs from their day on, by which the next Sweep finds them.
func (o *Offload) sweep(ctx context.Context, due []dueBlob) (deleted int, err error) {
	var failed []error
	var swept time.Time
	for _, b := range due {
		if !b.mayGo.Equal(swept) {
			if err := o.sweepRows(ctx, b.mayGo.AddDate(0, 0, -1)); err != nil {
				return deleted, errors.Join(append(failed, err)...)
			}
			swept = b.mayGo
		}
		if err := unlessMissing(o.config.Blobs.Delete(ctx, b.name)); err != nil {
			failed = append(failed, err)
			continue
		}
		deleted++
	}
	return deleted, errors.Join(failed...)
}

func (o *Offload) sweepRows(ctx context.Context, lastDay time.Time) error {
	rows, err := o.config.Links.List(ctx, lastDay.Format(linkDay))
	if err != nil {
		return err
	}
	for _, r := range rows {
		if err := unlessMissing(o.config.Links.Delete(ctx, r.Partition, r.Row, "")); err != nil {
			return err
		}
	}
	return nil
}

func notSwept(err error) error {
	return problem.Wrap(problem.Unavailable, "What has expired could not all be deleted.", err)
}

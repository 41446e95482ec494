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
	for {
		page, err := o.config.Blobs.List(ctx, "", SweepPage)
		if err != nil {
			return deleted, notSwept(err)
		}
		due := dueBy(now, page)
		n, err := o.sweep(ctx, due)
		deleted += n
		if err != nil || len(due) < SweepPage {
			return deleted, notSwept(err)
		}
	}
}

type dueBlob struct {
	name  string
	mayGo time.Time
}

func dueBy(now time.Time, page []store.Blob) []dueBlob {
	var due []dueBlob
	for _, b := range page {
		if at, ok := blobMayGo(b.Name); ok && !now.Before(at) {
			due = append(due, dueBlob{name: b.Name, mayGo: at})
		}
	}
	return due
}

// sweep deletes blobs that come in the order of their days. A blob that cannot
// be deleted does not keep the others from it; a day whose rows cannot be
// deleted keeps its blobs, by which the next Sweep finds it.
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

package offload

import (
	"context"
	"errors"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

const (
	// LinkGrace is how long a file outlives its link, so that an end that was
	// reckoned by another clock takes no file away.
	LinkGrace = 24 * time.Hour
	// CleanUpPage is how many rows CleanUp looks at in one listing.
	CleanUpPage = 200
)

// CleanUp deletes the files of links that ended LinkGrace ago or earlier, and what
// was uploaded to slots that ended SlotGrace ago and belongs to no message. It
// deletes a row after all that it lists, so that a clean-up that breaks off is found
// again. It may be repeated, and by several at once. deleted counts blobs, with
// an error too, which is Unavailable. What cannot be deleted does not keep the
// rest.
func (o *Offload) CleanUp(ctx context.Context) (deleted int, err error) {
	links, err := o.cleanUpRange(ctx, store.Key{}, "", LinkGrace, o.deleteFiles)
	slots, slotErr := o.cleanUpRange(ctx, store.Key{Partition: slotPartition}, slotPartition, SlotGrace, o.deleteSlot)
	return links + slots, problem.Wrap(problem.Unavailable, "Some expired attachments could not be deleted.", errors.Join(err, slotErr))
}

// cleanUpRange clears rows of partitions that are called by the day of their end.
func (o *Offload) cleanUpRange(ctx context.Context, after store.Key, partitionPrefix string, grace time.Duration,
	clearRow func(context.Context, store.Entity) (int, error)) (deleted int, err error) {
	ended := o.config.Now().Add(-grace) // whatever ended by then may go
	before := partitionPrefix + day(ended.AddDate(0, 0, 1))
	var failed []error
	for {
		page, err := o.config.Links.ListBefore(ctx, after, before, CleanUpPage)
		if err != nil {
			return deleted, errors.Join(append(failed, err)...)
		}
		for _, e := range page {
			after = store.Key{Partition: e.Partition, Row: e.Row}
			if expiry(e).After(ended) {
				continue
			}
			n, err := clearRow(ctx, e)
			deleted += n
			if err == nil {
				err = unlessMissing(o.config.Links.Delete(ctx, e.Partition, e.Row, ""))
			}
			if err != nil {
				failed = append(failed, err)
			}
		}
		if len(page) < CleanUpPage || ctx.Err() != nil {
			return deleted, errors.Join(append(failed, ctx.Err())...)
		}
	}
}

// deleteFiles deletes the files in the row of a link. A row of counts lists no file.
func (o *Offload) deleteFiles(ctx context.Context, e store.Entity) (deleted int, err error) {
	all, err := files(e)
	if err != nil {
		return 0, err
	}
	var failed []error
	for _, f := range all {
		if f.Blob == "" {
			continue
		}
		n, err := o.deleteBlob(ctx, f.Blob)
		deleted += n
		failed = append(failed, err)
	}
	return deleted, errors.Join(failed...)
}

// deleteSlot deletes what was uploaded, unless the row of a link lists it: that
// will.
func (o *Offload) deleteSlot(ctx context.Context, e store.Entity) (deleted int, err error) {
	if message, link := claimOf(e); message != "" {
		_, _, err := o.config.Links.Get(ctx, link.Partition, link.Row)
		if !errors.Is(err, store.ErrMissing) {
			return 0, err
		}
	}
	blob, _ := e.Values[valueBlob].(string)
	if blob == "" {
		return 0, nil
	}
	return o.deleteBlob(ctx, blob)
}

// deleteOrDrop deletes a blob, or what was staged of one that was never committed.
func (o *Offload) deleteOrDrop(ctx context.Context, name string) error {
	err := o.config.Blobs.Delete(ctx, name)
	if errors.Is(err, store.ErrMissing) {
		return o.dropBlocks(ctx, name)
	}
	return err
}

// dropBlocks deletes what was staged of a blob that was never committed, which Azure would
// keep, and bill, for a week: a commit of no blocks lets go of all that are staged. A
// process that dies between the two leaves a blob of no bytes.
//
// Source: "Put Block List", section Remarks, of the Azure Storage REST reference.
func (o *Offload) dropBlocks(ctx context.Context, name string) error {
	err := unlessOurs(o.config.Blobs.Commit(ctx, name, 0, headers("")))
	_, deleteErr := o.deleteBlob(ctx, name) // it may be there, though no answer came
	return errors.Join(err, deleteErr)
}

// dropAll is dropBlocks for several, until one fails or DropTimeout is over: the rest
// Azure drops.
func (o *Offload) dropAll(ctx context.Context, names []string) {
	ctx, cancel := context.WithTimeout(ctx, DropTimeout)
	defer cancel()
	for _, name := range names {
		if o.dropBlocks(ctx, name) != nil {
			return
		}
	}
}

func (o *Offload) deleteBlob(ctx context.Context, name string) (deleted int, err error) {
	err = o.config.Blobs.Delete(ctx, name)
	if err == nil {
		return 1, nil
	}
	return 0, unlessMissing(err)
}

package offload

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/expire"
)

// LinkGrace is how long a file outlives its link, so that an end that was
// reckoned by another clock takes no file away.
const LinkGrace = 24 * time.Hour

// CleanUp deletes the files of links that ended LinkGrace ago or earlier, and what
// was uploaded to slots that ended SlotGrace ago and belongs to no message, beside rows at
// once. It deletes a row after all that it lists, so that a clean-up that breaks off is found
// again. It goes on behind a marker, empty to begin. It may be repeated, and by several at
// once. Removed counts blobs, with an error too, which is Unavailable. What cannot be
// deleted does not keep the rest.
func (o *Offload) CleanUp(ctx context.Context, marker string, beside int) (expire.Result, error) {
	var all expire.Result
	var linksErr, slotsErr error
	if !strings.HasPrefix(marker, slotPartition) {
		all, linksErr = o.expired("", LinkGrace, o.deleteFiles).Run(ctx, marker, beside)
		marker = ""
	}
	if all.Next == "" {
		var slots expire.Result
		slots, slotsErr = o.expired(slotPartition, SlotGrace, o.deleteSlot).Run(ctx, marker, beside)
		all = all.Join(slots)
	}
	return all, problem.Wrap(problem.Unavailable, "Some expired attachments could not be deleted.", errors.Join(linksErr, slotsErr))
}

// expired are rows of partitions that are called by the day of their end.
func (o *Offload) expired(partitionPrefix string, grace time.Duration, clearRow func(context.Context, store.Entity) (int, error)) expire.Rows {
	ended := o.config.Now().Add(-grace) // whatever ended by then may go
	return expire.Rows{
		Table: o.config.Links, From: partitionPrefix, Before: partitionPrefix + day(ended.AddDate(0, 0, 1)),
		Ended: func(e store.Entity) (at time.Time, over bool) {
			if at = expiry(e); at.IsZero() { // it cannot be read
				return at, true
			}
			return at.Add(grace), !at.After(ended)
		},
		Remove: func(ctx context.Context, rows []store.Entity) (deleted int, err error) {
			e := rows[0]
			if deleted, err = clearRow(ctx, e); err == nil {
				err = unlessMissing(o.config.Links.Delete(ctx, e.Partition, e.Row, ""))
			}
			return deleted, err
		},
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

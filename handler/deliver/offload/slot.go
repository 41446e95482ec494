package offload

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

const (
	// SlotLife is how long a slot takes uploads, and a message may name it.
	SlotLife = 24 * time.Hour
	// SlotGrace is how much longer CleanUp leaves a slot alone: for an upload that
	// is just ending and a message that is just being sent.
	SlotGrace = time.Hour
	// DefaultMaxUploadBytes is a little more than one Put Blob takes (5,000 MiB);
	// in blocks a blob can be 190 TiB. Source: "Scalability and performance
	// targets for Blob storage".
	DefaultMaxUploadBytes = 5 << 30

	// DefaultOpenSlots is how many slots of a caller may be open at once, unless its
	// policy says otherwise: as many as one message can name. With the largest upload
	// it bounds what a caller may lay down that belongs to no message.
	DefaultOpenSlots = mail.MaxAttachments

	// slotPartition begins the partitions of slots: the day of the end follows, and the
	// caller, so that the slots of one caller can be counted.
	slotPartition = "upload-"
	slotPage      = 1000

	valueBlob          = "blob"
	valueLinkPartition = "linkPartition"
	valueLinkRow       = "linkRow"
)

// Slot is a place for one upload.
type Slot struct {
	ID       string
	URL      string // a SAS that writes this one blob and does nothing else
	Expires  time.Time
	MaxBytes int64 // of what a message may name; storage itself takes more
}

// CreateSlot makes a slot for a caller, who may have so many open. What is uploaded to it
// vanishes after SlotLife and SlotGrace, unless a message of this caller names the slot
// before. An error is TooManyUploads or Unavailable.
func (o *Offload) CreateSlot(ctx context.Context, caller string, most int) (Slot, error) {
	expires := o.config.Now().UTC().Add(SlotLife - ClockSkew).Truncate(time.Second)
	id, err := newToken(o.config.Rand, expires)
	if err != nil {
		return Slot{}, err
	}
	blob, err := blobName(o.config.Rand, uploadFolder)
	if err != nil {
		return Slot{}, err
	}
	k, _ := slotKey(id, caller)
	_, err = o.config.Links.Insert(ctx, store.Entity{Partition: k.Partition, Row: k.Row, Values: map[string]any{
		valueExpires: expires, valueCaller: caller, valueBlob: blob,
	}})
	if err := unlessOurs(err); err != nil {
		return Slot{}, problem.Wrap(problem.Unavailable, "No upload can be taken in just now. Try again.", err)
	}
	if err := o.room(ctx, caller, k, most); err != nil {
		return Slot{}, err
	}
	address, err := o.sign(ctx, o.config.Uploads.SignWrite, blob, expires, SlotLife)
	if err != nil {
		return Slot{}, err
	}
	return Slot{ID: id, URL: address, Expires: expires, MaxBytes: o.config.MaxUploadBytes}, nil
}

// slotKey is the row of a caller's slot.
func slotKey(id, caller string) (store.Key, bool) {
	k, ok := keyOf(id, slotPartition)
	k.Partition += "-" + caller
	return k, ok
}

// room takes the row of a new slot back if the caller has more open than it may. It
// counts after the row was written, so that instances that write at once see each other:
// together they may refuse what would just fit, and never let in too many.
func (o *Offload) room(ctx context.Context, caller string, k store.Key, most int) error {
	n, first, err := o.openSlots(ctx, caller)
	if err == nil && n <= most {
		return nil
	}
	removed := unlessMissing(o.config.Links.Delete(ctx, k.Partition, k.Row, ""))
	if err := errors.Join(err, removed); err != nil {
		return problem.Wrap(problem.Unavailable, "No upload can be taken in just now. Try again.", err)
	}
	p := problem.New(problem.TooManyUploads, "This caller has %d uploads open that no message has named yet, and may have no more. Each ends after 24 hours, or when a message names it.", most)
	p.RetryAfter = first.Sub(o.config.Now())
	return p
}

// openSlots counts the slots of a caller that have not ended and that no message has.
// first is when the first of them ends.
func (o *Offload) openSlots(ctx context.Context, caller string) (n int, first time.Time, err error) {
	now := o.config.Now()
	for _, ends := range []time.Time{now, now.Add(SlotLife)} {
		partition := slotPartition + day(ends) + "-" + caller
		for after := (store.Key{Partition: partition}); ; {
			page, err := o.config.Links.ListBefore(ctx, after, partition+"!", slotPage) // no name has this mark
			if err != nil {
				return 0, first, err
			}
			for _, e := range page {
				after = store.Key{Partition: e.Partition, Row: e.Row}
				ends := expiry(e)
				if message, _ := claimOf(e); message != "" || !now.Before(ends) {
					continue
				}
				if n++; n == 1 || ends.Before(first) {
					first = ends
				}
			}
			if len(page) < slotPage {
				break
			}
		}
	}
	return n, first, nil
}

// slot is an upload that a message may have.
type slot struct {
	key     store.Key
	blob    string
	size    int64
	claimed bool // for the message, by this Move
}

// lookup finds an upload of the owner's. An objection is a sentence for the
// caller; a slot of another caller is like one that was never made.
func (o *Offload) lookup(ctx context.Context, owner Owner, id string) (s *slot, objection string, err error) {
	const unknown = "There is no such upload. Uploads that no message named are deleted after 24 hours."
	k, ok := slotKey(id, owner.Caller)
	if !ok {
		return nil, unknown, nil
	}
	e, _, err := o.config.Links.Get(ctx, k.Partition, k.Row)
	if errors.Is(err, store.ErrMissing) {
		return nil, unknown, nil
	}
	if err != nil {
		return nil, "", uploadAway(err)
	}
	blob, _ := e.Values[valueBlob].(string)
	if blob == "" || !o.config.Now().Before(expiry(e)) {
		return nil, unknown, nil
	}
	if message, _ := claimOf(e); message != "" && message != owner.Message {
		return nil, usedBefore, nil
	}
	size, err := o.config.Uploads.Size(ctx, blob)
	switch {
	case errors.Is(err, store.ErrMissing):
		return nil, notFinished, nil
	case err != nil:
		return nil, "", uploadAway(err)
	case size == 0:
		return nil, "The upload is empty.", nil
	case size > o.config.MaxUploadBytes:
		if _, err := o.deleteBlob(ctx, blob); err != nil {
			return nil, "", uploadAway(err)
		}
		return nil, fmt.Sprintf("The upload has %d bytes, and %d are allowed. It was deleted.", size, o.config.MaxUploadBytes), nil
	}
	return &slot{key: k, blob: blob, size: size}, "", nil
}

const (
	usedBefore  = "Another message has this upload already. Upload the file again."
	notFinished = "Nothing was uploaded yet, or it is not finished: the list of its blocks is missing, or it is no block blob."
)

// claimOf is the message that has a slot, empty if none, and the row of its links.
func claimOf(e store.Entity) (message string, link Key) {
	message, _ = e.Values[valueMessage].(string)
	link.Partition, _ = e.Values[valueLinkPartition].(string)
	link.Row, _ = e.Values[valueLinkRow].(string)
	return message, link
}

// claim makes the uploads the message's, and seals them.
func (mv *Move) claim(ctx context.Context) error {
	for _, f := range mv.files {
		if f.slot == nil {
			continue
		}
		f.slot.claimed = true // even if the answer gets lost
		objection, err := mv.claimOne(ctx, f)
		if err != nil {
			return uploadAway(err)
		}
		if objection != "" {
			p := problem.New(problem.InvalidMessage, "An upload cannot be used.")
			p.Violations = []problem.Violation{{Pointer: fmt.Sprintf("/attachments/%d/uploadId", f.link.Index), Detail: objection}}
			return p
		}
	}
	return nil
}

func (mv *Move) claimOne(ctx context.Context, f file) (objection string, err error) {
	if mine, err := mv.take(ctx, f.slot); err != nil || !mine {
		return usedBefore, err
	}
	size, err := mv.offload.config.Uploads.Seal(ctx, f.blob, headers(f.link.Name))
	switch {
	case errors.Is(err, store.ErrMissing):
		return notFinished, nil
	case err == nil && size != f.slot.size:
		return "The upload changed while its message was being accepted. Send the message again.", nil
	}
	return "", err
}

// take writes the message into the slot's row, unless another has it.
func (mv *Move) take(ctx context.Context, s *slot) (mine bool, err error) {
	links := mv.offload.config.Links
	for range maxTries {
		e, _, err := links.Get(ctx, s.key.Partition, s.key.Row)
		if err != nil {
			return false, unlessMissing(err)
		}
		message, link := claimOf(e)
		switch {
		case message == "":
		case message == mv.owner.Message && link == mv.key:
			return true, nil
		case message == mv.owner.Message:
			// A try to send this message that broke off, and may have left its row.
			if err := mv.offload.forget(ctx, link, s.blob); err != nil {
				return false, err
			}
		default:
			return false, nil
		}
		e.Values[valueMessage], e.Values[valueLinkPartition], e.Values[valueLinkRow] = mv.owner.Message, mv.key.Partition, mv.key.Row
		if _, err = links.Replace(ctx, e); !errors.Is(err, store.ErrChanged) {
			return err == nil, unlessMissing(err)
		}
	}
	return false, store.ErrChanged
}

// release gives the uploads back, so that another message may name them. They
// stay as they were sealed.
func (mv *Move) release(ctx context.Context) error {
	links := mv.offload.config.Links
	var failed []error
	for _, f := range mv.files {
		if f.slot == nil || !f.slot.claimed {
			continue
		}
		e, _, err := links.Get(ctx, f.slot.key.Partition, f.slot.key.Row)
		if message, link := claimOf(e); err == nil && message == mv.owner.Message && link == mv.key {
			delete(e.Values, valueMessage)
			_, err = links.Replace(ctx, e)
		}
		failed = append(failed, unlessMissing(err))
	}
	return errors.Join(failed...)
}

func uploadAway(err error) error {
	return problem.Wrap(problem.Unavailable, "The uploads of the message could not be looked up, so nothing was sent. Send the message again.", err)
}

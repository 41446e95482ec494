package offload

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// octetStream keeps browsers from showing what a sender uploaded, whatever the
// sender calls it.
const octetStream = "application/octet-stream"

// Move is the attachments of one message on their way to Blob Storage. It is for
// one goroutine.
type Move struct {
	offload  *Offload
	intake   *Intake
	owner    Owner
	expires  time.Time
	language string // of the message, a BCP 47 tag or empty
	token    string
	key      store.Key
	files    []file // in the order of the message's attachments

	staged      bool // Stage may have left something
	begun       bool // WriteRow or Commit may have left something
	rowWritten  bool
	rowInDoubt  bool // the row may yet appear
	blobInDoubt bool // a blob may yet appear
}

// file is one attachment that moves. Its bytes are in content, or staged
// already, or in a slot.
type file struct {
	link    mail.Link
	blob    string
	content []byte
	stream  *stream
	slot    *slot
}

// add makes the i-th attachment a file that moves.
func (mv *Move) add(i int, a mail.Attachment, s *slot) error {
	o := mv.offload
	if mv.token == "" {
		var err error
		if mv.token, err = newToken(o.config.Rand, mv.expires); err != nil {
			return err
		}
		mv.key, _ = keyOf(mv.token, "")
	}
	f := file{
		link:    mail.Link{Index: i, Name: a.Name, Size: a.Size, Expires: mv.expires},
		content: a.Content,
		stream:  mv.intake.streamed(i),
		slot:    s,
	}
	var err error
	switch {
	case f.slot != nil:
		f.blob = f.slot.blob
	case f.stream != nil:
		f.blob = f.stream.blob
	default:
		f.blob, err = blobName(o.config.Rand, movedFolder)
	}
	if err != nil {
		return err
	}
	at, _ := slices.BinarySearchFunc(mv.files, i, func(f file, i int) int { return cmp.Compare(f.link.Index, i) })
	mv.files = slices.Insert(mv.files, at, f)
	mv.address()
	return nil
}

// address numbers the links to the gateway: a file that comes between others
// moves the numbers of those behind it.
func (mv *Move) address() {
	for at := range mv.files {
		n := at + 1
		if len(mv.files) == 1 {
			n = 0
		}
		mv.files[at].link.URL = mv.offload.linkURL(mv.token, n)
	}
}

// Links are what the message now has in place of attachments, in their order.
func (mv *Move) Links() []mail.Link {
	var links []mail.Link
	for _, f := range mv.files {
		links = append(links, f.link)
	}
	return links
}

// Key names the links for RevokeMessage and Downloads. It is empty if nothing
// moves.
func (mv *Move) Key() Key { return mv.key }

// Stage claims uploads for the message, waits for what its Intake has under way,
// and uploads what else moves. Nothing can be read before Commit, and what is
// never committed vanishes by itself. An error is Unavailable, or InvalidMessage
// for an upload that changed since Plan; Discard gives up the claims.
func (mv *Move) Stage(ctx context.Context) error {
	if err := mv.claim(ctx); err != nil {
		return err
	}
	if err := mv.intake.drain(ctx); err != nil {
		return err
	}
	f := newFlight(ctx, mv.offload.config.Blobs)
	defer f.close()
	mv.staged = true
	for _, moved := range mv.files {
		n := 0
		for block := range slices.Chunk(moved.content, BlockBytes) {
			f.send(moved.blob, n, block, func() {})
			n++
		}
	}
	if err := f.group.Wait(); err != nil {
		return notStored(err)
	}
	return nil
}

// blocks is of how many blocks the blob of a file that is not in a slot consists.
func (f file) blocks() int {
	if f.stream != nil {
		return f.stream.blocks
	}
	return (len(f.content) + BlockBytes - 1) / BlockBytes
}

func headers(name string) store.BlobHeaders {
	return store.BlobHeaders{ContentType: octetStream, ContentDisposition: disposition(name)}
}

// WriteRow writes the row of the links, so that CleanUp finds whatever Commit makes. It may be
// called after Stage, while it is decided whether the message goes. Otherwise, and after an
// error, which is Unavailable, Commit does the same.
func (mv *Move) WriteRow(ctx context.Context) error {
	return notStored(mv.writeRow(ctx))
}

func (mv *Move) writeRow(ctx context.Context) error {
	if len(mv.files) == 0 || mv.rowWritten {
		return nil
	}
	mv.begun = true
	for _, f := range mv.files {
		if f.stream != nil {
			f.stream.listed = true
		}
	}
	_, err := mv.offload.config.Links.Insert(ctx, mv.row())
	mv.rowInDoubt = errors.Is(err, store.ErrUnavailable)
	err = unlessOurs(err)
	mv.rowWritten = err == nil
	return err
}

// Commit makes what was staged readable and its links live. On an error, which
// is Unavailable, what was done is undone; what cannot be undone now, CleanUp
// deletes when the links would have ended.
func (mv *Move) Commit(ctx context.Context) error {
	if len(mv.files) == 0 {
		return nil
	}
	mv.begun = true
	err := mv.commit(ctx)
	if err != nil {
		return notStored(errors.Join(err, mv.remove(ctx)))
	}
	return nil
}

// commitsAtOnce is how many files of a message are committed beside each other.
const commitsAtOnce = 8

// commit writes the row first: a blob without one would never be found again.
func (mv *Move) commit(ctx context.Context) error {
	if err := mv.writeRow(ctx); err != nil {
		return err
	}
	var commits errgroup.Group
	commits.SetLimit(commitsAtOnce)
	var inDoubt atomic.Bool
	for _, f := range mv.files {
		if f.slot != nil {
			continue
		}
		commits.Go(func() error {
			err := mv.offload.config.Blobs.Commit(ctx, f.blob, f.blocks(), headers(f.link.Name))
			if errors.Is(err, store.ErrUnavailable) {
				inDoubt.Store(true)
			}
			return unlessOurs(err)
		})
	}
	err := commits.Wait()
	mv.blobInDoubt = inDoubt.Load()
	return err
}

// unlessOurs takes ErrExists for success: the name has 128 random bits, so the blob is
// from our own first try, whose answer was lost.
func unlessOurs(err error) error {
	if errors.Is(err, store.ErrExists) {
		return nil
	}
	return err
}

// Discard deletes what Commit made and gives back the uploads: for a message
// that was not sent. It goes on for UndoTimeout when ctx is cancelled. An error
// is Unavailable, and then CleanUp deletes the rest in time.
func (mv *Move) Discard(ctx context.Context) error {
	return problem.Wrap(problem.Unavailable, "The attachments of the message could not all be deleted.", mv.remove(ctx))
}

// remove deletes the row last, since CleanUp finds the blobs by it, and not at all
// while a blob may be left. Uploads are given back only when no row will ever
// list them: it would delete them under their next message.
func (mv *Move) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), UndoTimeout)
	defer cancel()
	if mv.begun {
		if err := mv.delete(ctx); err != nil {
			return err
		}
	} else if mv.staged {
		for _, f := range mv.files {
			if len(f.content) > 0 {
				_ = mv.offload.dropBlocks(ctx, f.blob) // else Azure does in a week
			}
		}
	}
	if mv.rowInDoubt || mv.blobInDoubt {
		return nil
	}
	return mv.release(ctx)
}

func (mv *Move) delete(ctx context.Context) error {
	c := mv.offload.config
	var failed []error
	for _, f := range mv.files {
		if f.slot == nil {
			failed = append(failed, mv.offload.deleteOrDrop(ctx, f.blob))
		}
	}
	if err := errors.Join(failed...); err != nil || mv.blobInDoubt {
		return err
	}
	return unlessMissing(c.Links.Delete(ctx, mv.key.Partition, mv.key.Row, ""))
}

func unlessMissing(err error) error {
	if errors.Is(err, store.ErrMissing) {
		return nil
	}
	return err
}

func notStored(err error) error {
	return problem.Wrap(problem.Unavailable, "The attachments could not be stored, so nothing was sent. Send the message again.", err)
}

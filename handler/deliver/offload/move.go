package offload

import (
	"context"
	"errors"
	"slices"
	"time"

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
	offload *Offload
	files   []file
	begun   bool // Commit may have left something
}

// file is one attachment that moves.
type file struct {
	link        mail.Link
	contentType string
	content     []byte
	blob        string
	token       string // empty if the link is the SAS itself
}

func (o *Offload) newFile(ctx context.Context, i int, a mail.Attachment, expires time.Time) (file, error) {
	f := file{
		link:        mail.Link{Index: i, Name: a.Name, Size: a.Size, Expires: expires},
		contentType: a.ContentType,
		content:     a.Content,
	}
	var err error
	if f.blob, err = blobName(o.config.Rand, expires); err != nil {
		return file{}, err
	}
	if o.config.SASInMail {
		f.link.URL, err = o.sign(ctx, f.blob, expires, mail.MaxSASLife)
		return f, err
	}
	if f.token, err = newToken(o.config.Rand, expires); err != nil {
		return file{}, err
	}
	f.link.URL = o.linkURL(f.token)
	return f, nil
}

// Links are what the message now has in place of attachments, in their order.
func (mv *Move) Links() []mail.Link {
	var links []mail.Link
	for _, f := range mv.files {
		links = append(links, f.link)
	}
	return links
}

// Stage uploads everything that moves. Nothing can be read before Commit, and
// what is never committed vanishes by itself. An error is Unavailable.
func (mv *Move) Stage(ctx context.Context) error {
	for _, f := range mv.files {
		n := 0
		for block := range slices.Chunk(f.content, BlockBytes) {
			if err := mv.offload.config.Blobs.Stage(ctx, f.blob, n, block); err != nil {
				return notStored(err)
			}
			n++
		}
	}
	return nil
}

// Commit makes what was staged readable and its links live. On an error, which
// is Unavailable, what was done is undone; where storage is away for that too,
// blobs that no mail leads to stay until Sweep comes to their day.
func (mv *Move) Commit(ctx context.Context) error {
	mv.begun = true
	err := mv.commit(ctx)
	if err != nil {
		return notStored(errors.Join(err, mv.remove(ctx)))
	}
	return nil
}

func (mv *Move) commit(ctx context.Context) error {
	c := mv.offload.config
	for _, f := range mv.files {
		blocks := (len(f.content) + BlockBytes - 1) / BlockBytes
		h := store.BlobHeaders{ContentType: octetStream, ContentDisposition: disposition(f.link.Name)}
		if err := unlessOurs(c.Blobs.Commit(ctx, f.blob, blocks, h)); err != nil {
			return err
		}
	}
	for _, f := range mv.files {
		if f.token == "" {
			continue
		}
		_, err := c.Links.Insert(ctx, f.row())
		if err := unlessOurs(err); err != nil {
			return err
		}
	}
	return nil
}

// unlessOurs takes ErrExists for success: nobody else makes a name of our 128
// random bits, so it is our own first try, whose answer was lost.
func unlessOurs(err error) error {
	if errors.Is(err, store.ErrExists) {
		return nil
	}
	return err
}

// Discard deletes what Commit made: for a message that ACS refused. It goes on
// for UndoTimeout when ctx is cancelled. An error is Unavailable, and then Sweep
// deletes the rest in time.
func (mv *Move) Discard(ctx context.Context) error {
	if !mv.begun {
		return nil
	}
	return problem.Wrap(problem.Unavailable, "The attachments of the message could not all be deleted.", mv.remove(ctx))
}

// remove deletes rows first, so that no link leads to nothing, and tries all.
func (mv *Move) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), UndoTimeout)
	defer cancel()
	c := mv.offload.config
	var failed []error
	for _, f := range mv.files {
		if k, ok := keyOf(f.token); ok {
			failed = append(failed, unlessMissing(c.Links.Delete(ctx, k.partition, k.row, "")))
		}
	}
	for _, f := range mv.files {
		failed = append(failed, unlessMissing(c.Blobs.Delete(ctx, f.blob)))
	}
	return errors.Join(failed...)
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

package wire

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// Parsed is one message of a body in another API's words.
type Parsed struct {
	Message *mail.Message
	// Pointer gives the JSON pointer in the caller's body for one of Message, for
	// violations that are found later.
	Pointer func(ours string) string
	// Pretend says that the caller wants to know whether the message would be
	// taken, and nothing sent.
	Pretend bool
}

// Source reads the messages of a body in another API's words. What Message says
// of sinks and errors holds, with pointers to the members that the caller wrote.
// Messages may come with an InvalidMessage, as Message's message may.
type Source interface {
	// Read reads a body that is one object. Its messages share the attachments.
	Read(ctx context.Context, body io.Reader, sink Sink) ([]Parsed, error)
	// Each reads a body that is an array of such objects, one after the other: each
	// calls read once for the i-th, with the sink for its attachments. Pointers in
	// the errors of read begin at the object. An error of each ends the reading and
	// comes back as it is. One that wraps ErrBehind is of what follows the array.
	Each(ctx context.Context, body io.Reader, each func(i int, read func(Sink) ([]Parsed, error)) error) error
}

// Dialect is another API: the table of its members, and what they mean.
type Dialect[T any] struct {
	Members  Object[T]
	Spelling Spelling
	// Messages makes the messages of what was read. Some of it may have been
	// wrong. Its violations have pointers to the caller's members. It is pure.
	Messages func(*T) ([]Parsed, []problem.Violation)
}

// Read implements Source.
func (d Dialect[T]) Read(ctx context.Context, body io.Reader, sink Sink) ([]Parsed, error) {
	r := newReader(incoming{ctx, body})
	r.spelling = d.Spelling
	read, err := d.read(ctx, r, sink)
	if err != nil {
		return nil, err
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	return d.messages(r, read)
}

// Each implements Source.
func (d Dialect[T]) Each(ctx context.Context, body io.Reader, each func(i int, read func(Sink) ([]Parsed, error)) error) error {
	r := newReader(incoming{ctx, body})
	r.spelling = d.Spelling
	if ok, err := r.starts(isArray); err != nil {
		return err
	} else if !ok {
		return r.found()
	}
	err := r.items(func(i int) error {
		r.pointer, r.violations = r.pointer[:0], nil
		return each(i, func(sink Sink) ([]Parsed, error) {
			read, err := d.read(ctx, r, sink)
			if err != nil {
				return nil, err
			}
			return d.messages(r, read)
		})
	})
	if err != nil {
		return err
	}
	if err := r.finish(); err != nil {
		return fmt.Errorf("%w: %w", ErrBehind, err)
	}
	return nil
}

// ErrBehind is in the error of an array that was read whole, and what follows was not.
var ErrBehind = errors.New("behind the last message")

func (d Dialect[T]) read(ctx context.Context, r *reader, sink Sink) (*T, error) {
	r.attach = func(i int, known mail.Attachment, content io.Reader) error {
		return sink.Attachment(ctx, i, known, content)
	}
	read := new(T)
	return read, d.Members.read(r, read)
}

// messages adds what is wrong with the meaning to what is wrong with the form.
func (d Dialect[T]) messages(r *reader, read *T) ([]Parsed, error) {
	all, violations := d.Messages(read)
	for _, p := range all {
		for i, a := range p.Message.Attachments {
			if a.ContentType == "" {
				p.Message.Attachments[i].ContentType = mail.FileType(a.Name)
			}
		}
	}
	for _, f := range violations {
		if err := r.collect(f); err != nil {
			return nil, err
		}
	}
	return all, r.found()
}

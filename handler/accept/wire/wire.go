// Package wire reads the message of a request as a stream, strictly.
//
// In goes the body of a request, out come a mail.Message and, while the body is
// still being read, the decoded content of each attachment as an io.Reader. Of
// the body it holds a buffer of bufferBytes, of a multipart body two, and the
// texts of the message, each up to a cap that only guards memory; attachments are
// never held.
//
// Message reads JSON. It says whether a body is well-formed: RFC 8259 with the
// choices that RFC 7493 (I-JSON) makes, UTF-8 alone, no lone surrogate, no member
// twice, and beyond both no unknown member and at most mail.MaxDepth levels. An empty
// array is an empty object, since PHP writes its empty maps so.
// Base64 is RFC 4648 section 4 as .NET reads it, in which ACS is written: white space
// is skipped, and its padding and the bits before it may be missing or stray, as in
// Microsoft's own examples. It is decoded with vector instructions; the build tag
// purego leaves it to encoding/base64, with the same verdicts.
//
// Multipart reads the same message with files beside it, unencoded: RFC 2046 and
// RFC 7578.
//
// Whether the texts mean anything is accept/check's to say, the size of a body is
// limited by its reader, and where the content of an attachment goes
// is the Sink's concern.
//
// All sizes are bytes.
package wire

import (
	"context"
	"io"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// Sink takes the content of attachments while the body is being read.
type Sink interface {
	// Attachment is called for each attachments[i].contentInBase64 in the order
	// of the body, then for each part that is a file; not again after a violation was
	// found. Of attachments[i], known has the members that stand before the
	// content, as they came: in JSON, which has no order, any may follow.
	//
	// Attachment reads the decoded bytes from content, which is of no use after
	// it returned; what it leaves unread is checked and dropped. An error of
	// content other than io.EOF is a violation of the body: Attachment returns it,
	// unchanged or wrapped, and keeps nothing. Any other error of Attachment
	// stops the reading. Even content that came to its end belongs to a message
	// only when Message or Multipart returns without an error.
	Attachment(ctx context.Context, i int, known mail.Attachment, content io.Reader) error
}

// Message reads a body in ACS's own dialect: exactly one JSON object.
//
// A body that is not acceptable JSON, one that ends early included, is a
// problem.MalformedJSON that says where; members that are unknown, stand twice
// or have the wrong type are one problem.InvalidMessage that lists them all, up
// to problem.MaxViolations. An error of the body's reader comes back wrapped, as
// problem.TooLarge if it is an http.MaxBytesError, untouched if it holds a
// problem; so does, untouched, an error of the sink.
//
// With an InvalidMessage the message comes too if it was read to its end, without
// what was wrong with it and without content after the first violation, so that the
// caller can be told what else is wrong.
func Message(ctx context.Context, body io.Reader, sink Sink) (*mail.Message, error) {
	r := newReader(incoming{ctx, body})
	m, err := r.message(ctx, sink)
	if err != nil {
		return nil, err
	}
	return m, r.found()
}

// Valid says whether text is one JSON value, with the strictness of Message for
// everything but its members: any type, any name that does not stand twice, and
// U+0000 in strings, which only a message must not have. It holds the names of
// the objects that it is in, so text must have a limit.
func Valid(ctx context.Context, text io.Reader) error {
	r := newReader(incoming{ctx, text})
	r.unique = true
	if err := r.skip(); err != nil {
		return err
	}
	if err := r.finish(); err != nil {
		return err
	}
	return r.found()
}

// Rows are all members of ACS's own dialect.
func Rows() []Row { return acs.Rows() }

// message reads a message, and white space to the end of the text.
func (r *reader) message(ctx context.Context, sink Sink) (*mail.Message, error) {
	r.attach = func(i int, known mail.Attachment, content io.Reader) error {
		return sink.Attachment(ctx, i, known, content)
	}
	m := new(mail.Message)
	if err := acs.read(r, m); err != nil {
		return nil, err
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	return m, nil
}

// found is the problem that the violations collected make.
func (r *reader) found() error {
	if len(r.violations) == 0 {
		return nil
	}
	return problem.Invalid(r.violations)
}

// note collects one violation of the member where the reader is. It returns an
// error when there are too many to go on.
func (r *reader) note(detail string) error {
	return r.collect(problem.Violation{Pointer: string(r.pointer), Detail: detail})
}

// collect keeps a violation once, however often an unknown member stands there.
func (r *reader) collect(f problem.Violation) error {
	for _, known := range r.violations {
		if known.Pointer == f.Pointer && known.Detail == f.Detail {
			return nil
		}
	}
	r.violations = append(r.violations, f)
	if len(r.violations) == problem.MaxViolations {
		p := problem.New(problem.InvalidMessage, "The message has too many violations. These are the first.")
		p.Violations = r.violations
		return p
	}
	return nil
}

// malformed is the violation of a body that is not acceptable JSON from here on.
func (r *reader) malformed(detail string) error {
	return r.malformedAt(r.offset(), detail)
}

func (r *reader) malformedAt(offset int64, detail string) error {
	p := problem.New(problem.MalformedJSON, "Reading the JSON stopped at byte %d. %s", offset, detail)
	p.Violations = []problem.Violation{{Pointer: string(r.pointer), Detail: detail, Offset: new(offset)}}
	return p
}

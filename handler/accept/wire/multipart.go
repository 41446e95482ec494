package wire

import (
	"context"
	"fmt"
	"io"
	"mime"
	"strings"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// Multipart reads a body of contentType multipart/form-data or multipart/mixed.
// Its first part is the message that Message reads: application/json, or the
// field of a form that is called message. Each other part is a file as it is,
// without Base64, and the next attachment after those of the message.
//
// A file's name is the filename of its Content-Disposition, its contentType is
// its Content-Type or else application/octet-stream, its contentId is its
// Content-ID. Content-Transfer-Encoding, if there is one, is binary, 8bit or 7bit.
//
// A contentType that is neither of the two is a problem.UnsupportedMediaType, one
// without a boundary a problem.InvalidRequest; a body that is not such parts, one
// that ends early included, is a problem.InvalidMessage that says where. All else
// is as Message has it; offsets are those in the whole body.
func Multipart(ctx context.Context, body io.Reader, contentType string, sink Sink) (*mail.Message, error) {
	boundary, form, err := multipart(contentType)
	if err != nil {
		return nil, err
	}
	p := newParts(incoming{ctx, body}, boundary)
	r, m, err := p.message(ctx, form, sink)
	if err != nil {
		return nil, err
	}
	for !p.last {
		if err := p.file(r, m, form); err != nil {
			return nil, err
		}
	}
	p.pointer = ""
	if err := p.finish(); err != nil {
		return nil, err
	}
	return m, r.found()
}

// multipart returns the boundary, and whether the body is a form.
func multipart(contentType string) (boundary string, form bool, err error) {
	media, params, err := mime.ParseMediaType(contentType)
	form = media == "multipart/form-data"
	switch {
	case !form && media != "multipart/mixed":
		return "", false, problem.New(problem.UnsupportedMediaType, "The Content-Type is neither multipart/form-data nor multipart/mixed.")
	case err != nil || !isBoundary(params["boundary"]):
		return "", false, problem.New(problem.InvalidRequest, "The Content-Type has no boundary of 1 to 70 allowed characters.")
	}
	return params["boundary"], form, nil
}

// message reads the first part. It returns the reader of it, to collect faults.
func (p *parts) message(ctx context.Context, form bool, sink Sink) (*reader, *mail.Message, error) {
	if err := (&part{of: p}).close(); err != nil { // what stands before the first boundary
		return nil, nil, err
	}
	if p.last {
		return nil, nil, p.fault(p.offset(), "The body has no parts.")
	}
	start := p.offset() + 2
	lines, err := p.header()
	if err != nil {
		return nil, nil, err
	}
	h, detail := parseHeader(lines, form)
	if detail == "" && !h.isMessage(form) {
		detail = "The first part must be the message: application/json, or the field of a form that is called message."
	}
	if detail != "" {
		return nil, nil, p.fault(start, detail)
	}
	r := newReader(&part{of: p}, p.offset())
	m, err := r.message(ctx, sink)
	return r, m, err
}

// file reads a part that is an attachment. Faults of its header are collected by r.
func (p *parts) file(r *reader, m *mail.Message, form bool) error {
	i := len(m.Attachments)
	if i == mail.MaxAttachments {
		p.pointer = "/attachments"
		return p.fault(p.offset(), fmt.Sprintf("There are more than %d of them.", i))
	}
	p.pointer = fmt.Sprintf("/attachments/%d", i)
	start := p.offset() + 2
	lines, err := p.header()
	if err != nil {
		return err
	}
	h, detail := parseHeader(lines, form)
	if detail != "" {
		err = r.collect(problem.Violation{Pointer: p.pointer, Detail: detail, Offset: &start})
	} else {
		err = r.guardHeader(p.pointer, h)
	}
	if err != nil {
		return err
	}
	known := mail.Attachment{Name: h.filename, ContentType: h.contentType, ContentID: h.contentID, HasContent: true}
	if known.ContentType == "" {
		known.ContentType = "application/octet-stream"
	}
	m.Attachments = append(m.Attachments, known)
	content := &part{of: p}
	if len(r.faults) == 0 {
		if err := r.attach(i, known, content); err != nil && !isOf(content.err, err) {
			return err
		}
	}
	return content.close()
}

// guardHeader holds the texts of a header against what a table asks of them.
func (r *reader) guardHeader(pointer string, h partHeader) error {
	for _, text := range []struct {
		member, value string
		limit         int
	}{
		{"/name", h.filename, Slack * mail.MaxAttachmentNameBytes},
		{"/contentType", h.contentType, Slack * mail.MaxContentTypeBytes},
		{"/contentId", h.contentID, Slack * mail.MaxContentIDBytes},
	} {
		var detail string
		switch {
		case len(text.value) > text.limit:
			detail = fmt.Sprintf("It is longer than %d bytes.", text.limit)
		case strings.ContainsRune(text.value, 0):
			detail = withNUL
		default:
			continue
		}
		if err := r.collect(problem.Violation{Pointer: pointer + text.member, Detail: detail}); err != nil {
			return err
		}
	}
	return nil
}

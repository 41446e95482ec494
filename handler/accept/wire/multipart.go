package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
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
// without a boundary a problem.InvalidRequest; a body that mime/multipart does not
// read as such parts, one that ends early included, is a problem.InvalidMessage. All
// else is as Message has it; offsets are those in the first part.
func Multipart(ctx context.Context, body io.Reader, contentType string, sink Sink) (*mail.Message, error) {
	boundary, form, err := boundaryOf(contentType)
	if err != nil {
		return nil, err
	}
	p := &parts{body: bufio.NewReaderSize(incoming{ctx, body}, bufferBytes)}
	p.reader = multipart.NewReader(p, boundary)
	r, m, err := p.message(ctx, form, sink)
	if err != nil {
		return nil, err
	}
	for {
		p.pointer = fmt.Sprintf("/attachments/%d", len(m.Attachments))
		file, err := p.next()
		if err != nil {
			return nil, err
		}
		if file == nil {
			break
		}
		if err := p.file(r, m, file, form); err != nil {
			return nil, err
		}
	}
	// What follows the last boundary means nothing: RFC 2046 section 5.1.1.
	if _, err := io.Copy(io.Discard, p.body); err != nil {
		return nil, err
	}
	return m, r.found()
}

// boundaryOf returns the boundary, and whether the body is a form.
func boundaryOf(contentType string) (boundary string, form bool, err error) {
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

// isBoundary: RFC 2046 section 5.1.1.
func isBoundary(s string) bool {
	const chars = alphabet + "'(),-.:?_ "
	return s != "" && len(s) <= 70 && s[len(s)-1] != ' ' && strings.Trim(s, chars) == ""
}

// message reads the first part. It returns the reader of it, to collect violations.
func (p *parts) message(ctx context.Context, form bool, sink Sink) (*reader, *mail.Message, error) {
	part, err := p.next()
	if err != nil {
		return nil, nil, err
	}
	if part == nil {
		return nil, nil, p.violation("The body has no parts.")
	}
	h, detail := parseHeader(part.Header, form)
	if detail == "" && !h.isMessage(form) {
		detail = "The first part must be the message: application/json, or the form field with the name message."
	}
	if detail != "" {
		return nil, nil, p.violation(detail)
	}
	r := newReader(part)
	m, err := r.message(ctx, sink)
	if p.ended && problem.Is(err, problem.MalformedJSON) {
		err = p.early() // the start of a boundary is no JSON
	}
	return r, m, err
}

// file reads a part that is an attachment. r collects violations of its header.
func (p *parts) file(r *reader, m *mail.Message, part *multipart.Part, form bool) error {
	i := len(m.Attachments)
	if i == mail.MaxAttachments {
		p.pointer = "/attachments"
		return p.violation(tooMany(i))
	}
	h, detail := parseHeader(part.Header, form)
	var err error
	if detail != "" {
		err = r.collect(problem.Violation{Pointer: p.pointer, Detail: detail})
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
	if len(r.violations) == 0 {
		if err := r.attach(i, known, part); err != nil && !isOf(p.err, err) {
			return err
		}
	}
	_, err = io.Copy(io.Discard, part)
	return err
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
			detail = tooLong(text.limit)
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

const (
	// maxPartHeaderBytes bounds the header of a part. The longest file name,
	// percent-encoded, fits in.
	maxPartHeaderBytes = 8 << 10
	// maxGapBytes guard memory: more are not read in search of the content of a part.
	maxGapBytes = 4 * maxPartHeaderBytes
)

// parts are the parts of a body. It is also the reader of the body for mime/multipart,
// which takes io.EOF for the end of a part in some places. So a body that ends early ends
// with a problem here.
type parts struct {
	reader  *multipart.Reader
	body    io.Reader
	size    int64  // bytes that were read of the body
	cr      bool   // the byte read last is a carriage return
	ended   bool   // the body, and a line break follows
	gap     bool   // no content is being read
	left    int    // bytes that the gap may still have
	pointer string // RFC 6901, to the attachment that is being read
	err     error  // what ended the reading
}

// next returns the next part behind its header, nil after the last boundary.
func (p *parts) next() (*multipart.Part, error) {
	p.gap, p.left = true, maxGapBytes
	part, err := p.reader.NextRawPart()
	p.gap = false
	_, header := errors.AsType[textproto.ProtocolError](err)
	switch {
	case err == io.EOF: //nolint:errorlint // of the last boundary alone; any other is wrapped
		return nil, nil
	case p.err != nil:
		return nil, p.err
	case p.ended:
		return nil, p.early()
	case err == nil:
		return part, nil
	case errors.Is(err, io.ErrNoProgress):
		return nil, explain(err)
	case header:
		return nil, p.violation("The header of the part is not made of lines with a name and a value.")
	}
	return nil, p.violation("Only a boundary may stand between two parts, alone in its line.")
}

// Read implements io.Reader for mime/multipart.
func (p *parts) Read(b []byte) (int, error) {
	if p.gap {
		if p.left == 0 {
			p.err = p.violation(longHeader)
			return 0, p.err
		}
		b = b[:min(len(b), p.left)]
	}
	n, err := p.body.Read(b)
	p.left -= n
	if n > 0 && !p.ended {
		p.size += int64(n)
		p.cr = b[n-1] == '\r'
	}
	switch {
	case err == io.EOF && !p.ended: //nolint:errorlint // a failure may wrap it
		// mime/multipart wants the line break of the last line, which clients leave out.
		rest := "\r\n"
		if p.cr {
			rest = "\n"
		}
		p.ended, p.body, err = true, strings.NewReader(rest), nil
	case err == io.EOF: //nolint:errorlint // as above
		err = p.early()
		p.err = err
	case err != nil:
		p.err = err
	}
	return n, err
}

// early is the problem of a body that was cut off.
func (p *parts) early() error {
	err := p.violation(endedEarly)
	err.Violations[0].Offset = &p.size
	return err
}

func (p *parts) violation(detail string) *problem.Problem {
	err := problem.New(problem.InvalidMessage, "The multipart body cannot be read. %s", detail)
	err.Violations = []problem.Violation{{Pointer: p.pointer, Detail: detail}}
	return err
}

package gateway

import (
	"context"
	"io"
	"strings"

	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/deliver/offload"
	"github.com/posthorn/posthorn/handler/mail"
)

// reader reads the messages of one object, and their attachments with them. A problem
// beside messages is one of their members that left the rest of them readable.
type reader func(context.Context, *offload.Intake) ([]wire.Parsed, error)

// readParsed reads messages, and completes them.
func (g *Gateway) readParsed(ctx context.Context, req Request, in *offload.Intake, read reader) ([]wire.Parsed, error) {
	ctx, span := g.Tracer.Start(ctx, "read")
	defer span.End()
	all, err := read(ctx, in)
	for _, l := range all {
		complete(l.Message, in, req.Language)
	}
	return all, err
}

// readMessage reads a message in the product's own words.
func readMessage(ctx context.Context, req Request, in *offload.Intake) ([]wire.Parsed, error) {
	body := req.Body
	if req.BodySHA256 != nil {
		body = newSignedBody(body, req.BodySHA256)
	}
	read := wire.Message
	if strings.HasPrefix(req.ContentType, "multipart/") {
		read = func(ctx context.Context, body io.Reader, sink wire.Sink) (*mail.Message, error) {
			return wire.Multipart(ctx, body, req.ContentType, sink)
		}
	}
	m, err := read(ctx, body, in)
	if m == nil {
		return nil, err
	}
	return []wire.Parsed{{Message: m}}, err
}

// complete gives a message what stands elsewhere in the request.
func complete(m *mail.Message, in *offload.Intake, language string) {
	in.Fill(m)
	m.Language = language
	for name, value := range m.Headers {
		if isContentLanguage(name) {
			first, _, _ := strings.Cut(value, ",")
			m.Language = strings.TrimSpace(first)
		}
	}
}

package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"io"
	"strings"

	"github.com/google/uuid"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// newRecord names the message and takes its fingerprint, before a plan for its
// attachments changes it.
func newRecord(req Request, m *mail.Message, newID func() string) record.Record {
	name := req.Caller.Name
	id := req.OperationID
	switch {
	case id != "":
	case req.IdempotencyKey != "":
		id = uuidOf("idempotency key", name, req.IdempotencyKey)
	default:
		id = newID()
	}
	return record.Record{
		ID: id, Caller: name, Hook: req.Hook, Tags: m.Delivery.Tags, Fingerprint: fingerprint(m),
		// Two callers may choose the same id; ACS must see two.
		OperationID: uuidOf("operation", name, id),
	}
}

// uuidOf derives a UUID of version 8 (RFC 9562 section 5.8) from a purpose and
// two strings. a has no NUL.
func uuidOf(purpose, a, b string) string {
	return uuid.NewHash(sha256.New(), uuid.Nil, []byte("posthorn "+purpose+"\x00"+a+"\x00"+b), 8).String()
}

func isContentLanguage(name string) bool { return strings.EqualFold(name, "Content-Language") }

// signedBody passes a body through and, at its end, refuses it unless its hash
// is the one that was signed.
type signedBody struct {
	r    io.Reader
	hash hash.Hash
	want []byte
}

func newSignedBody(r io.Reader, want []byte) io.Reader {
	return &signedBody{r: r, hash: sha256.New(), want: want}
}

func (b *signedBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.hash.Write(p[:n])
	if err == io.EOF && !hmac.Equal(b.hash.Sum(nil), b.want) {
		return n, problem.New(problem.Unauthenticated, "The body is not the one that was signed: its SHA-256 differs from x-ms-content-sha256.")
	}
	return n, err
}

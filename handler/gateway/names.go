package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"io"
	"strings"

	"github.com/posthorn/posthorn/handler/accept/check"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// newRecord names the message and takes its fingerprint, before a plan for its
// attachments changes it. A message that its caller did not name gets an id that tells how
// long its record is needed.
func (g *Gateway) newRecord(req Request, m *mail.Message, terms check.Terms) record.Record {
	name := req.Caller.Name
	id := req.OperationID
	switch {
	case id != "":
	case req.IdempotencyKey != "":
		id = record.DerivedID("idempotency key", name, req.IdempotencyKey)
	default:
		last := g.Now()
		if terms.Wait || !terms.SendAt.IsZero() {
			last = terms.Deadline
		}
		id = g.Records.MakeID(g.NewID(), last)
	}
	return record.Record{
		ID: id, Caller: name, Hook: req.Hook, Tags: m.Delivery.Tags, Fingerprint: fingerprint(m),
		OperationID: record.OperationID(name, id),
	}
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

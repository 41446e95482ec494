package offload

import (
	"context"
	"crypto/sha256"
	"io"

	"github.com/posthorn/posthorn/handler/mail"
)

// Intake takes in the attachments of one message, in whatever order they come.
// It holds their bytes; the limit on the request's body bounds them. It is for
// one goroutine.
type Intake struct {
	contents map[int]content
}

type content struct {
	bytes  []byte
	sha256 [sha256.Size]byte
}

// Intake returns an empty one.
func (o *Offload) Intake() *Intake { return &Intake{contents: map[int]content{}} }

// Attachment reads the content of the i-th attachment to its end. An error of r
// comes back as it is, and then nothing of the attachment is kept.
func (in *Intake) Attachment(_ context.Context, i int, _ mail.Attachment, r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	in.contents[i] = content{bytes: b, sha256: sha256.Sum256(b)}
	return nil
}

// Fill gives m's attachments their Content (not nil, even if empty), Size and
// SHA256. One whose content was not taken in stays as it is.
func (in *Intake) Fill(m *mail.Message) {
	for i := range m.Attachments {
		if c, ok := in.contents[i]; ok {
			a := &m.Attachments[i]
			a.Content, a.Size, a.SHA256 = c.bytes, int64(len(c.bytes)), c.sha256
		}
	}
}

package gateway

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"

	"github.com/posthorn/posthorn/handler/mail"
)

// fingerprint is the same for two requests that mean the same message: it is
// taken after check has normalised it, and over the content of attachments, not
// over their Base64. Every member of a message is in it;
// a test holds it against a member that is forgotten.
func fingerprint(m *mail.Message) string {
	p := make(trait, 0, 1024+len(m.Content.Subject)+len(m.Content.PlainText)+len(m.Content.HTML))
	p.text(m.SenderAddress, m.Content.Subject, m.Content.PlainText, m.Content.HTML)
	p.addresses(m.Recipients.To)
	p.addresses(m.Recipients.CC)
	p.addresses(m.Recipients.BCC)
	p.count(len(m.Attachments))
	for _, a := range m.Attachments {
		p.text(a.Name, a.ContentType, a.ContentID, string(a.Placement), a.UploadID)
		p = append(p, a.SHA256[:]...)
	}
	p.addresses(m.ReplyTo)
	p.count(len(m.Headers))
	for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
		p.text(name, m.Headers[name])
	}
	tracking := 0
	if m.UserEngagementTrackingDisabled {
		tracking = 1
	}
	p.count(tracking)
	d := m.Delivery
	p.text(d.SendAt, string(d.WhenBusy), d.Deadline, string(d.Priority), d.LinkExpiresAfter)
	p.count(len(d.Tags))
	for _, t := range d.Tags {
		p.text(t.Name, t.Value)
	}
	p.text(m.Language)
	if m.SenderDisplayName != "" { // what was recorded before it existed stays the same
		p.text(m.SenderDisplayName)
	}
	sum := sha256.Sum256(p)
	return hex.EncodeToString(sum[:])
}

// trait is what a fingerprint is taken of: every text behind its length and every
// list behind its own, so that no two messages have the same.
type trait []byte

func (p *trait) count(n int) { *p = binary.AppendUvarint(*p, uint64(n)) }

func (p *trait) text(all ...string) {
	for _, s := range all {
		p.count(len(s))
		*p = append(*p, s...)
	}
}

func (p *trait) addresses(list []mail.Address) {
	p.count(len(list))
	for _, a := range list {
		p.text(a.Address, a.DisplayName)
	}
}

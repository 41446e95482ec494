package acs

import (
	"errors"
	"io"
	"maps"
	"slices"
)

// body streams the parts of a message's JSON. It can be read again after a Seek
// to the start, which is what azcore and the signature need.
type body struct {
	parts []part
	size  int64

	index, offset int // of the next part to write, and within it
	pending       []byte
	scratch       [minFill]byte
	ended         bool // by Seek, which azcore uses to learn the size
}

// minFill is enough room for fill to make progress at any part.
const minFill = 512

func newBody(m *Message) *body {
	w := partsWriter{do: keepPart, parts: make([]part, 0, 48)} // most messages
	m.list(&w)
	return &body{parts: w.parts, size: w.size}
}

func (b *body) Read(p []byte) (int, error) {
	if len(b.pending) == 0 && len(p) >= minFill {
		if n := b.fill(p); n > 0 {
			return n, nil
		}
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if len(b.pending) == 0 {
		b.pending = b.scratch[:b.fill(b.scratch[:])]
	}
	if len(b.pending) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.pending)
	b.pending = b.pending[n:]
	return n, nil
}

// fill writes what fits into p. It returns 0 at the end only, as long as p has
// at least minFill bytes.
func (b *body) fill(p []byte) (n int) {
	if b.ended {
		return 0
	}
	for b.index < len(b.parts) {
		current := b.parts[b.index]
		written, taken := current.write(p[n:], b.offset)
		n += written
		b.offset += taken
		if b.offset < current.len() {
			return n
		}
		b.index, b.offset = b.index+1, 0
	}
	return n
}

func (b *body) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence == io.SeekCurrent {
		return 0, errors.New("acs: a body seeks to its start or its end only")
	}
	b.index, b.offset, b.pending, b.ended = 0, 0, nil, whence == io.SeekEnd
	if b.ended {
		return b.size, nil
	}
	return 0, nil
}

func (*body) Close() error { return nil }

// list gives w the parts of the JSON. Their order is fixed, headers included, so
// that a repeat of a message is identical to the byte.
func (m *Message) list(w *partsWriter) {
	w.raw(`{"senderAddress":`)
	w.text(m.SenderAddress)
	w.member(`,"senderDisplayName":`, m.SenderDisplayName)
	w.raw(`,"content":{"subject":`)
	w.text(m.Subject)
	w.member(`,"plainText":`, m.PlainText)
	w.member(`,"html":`, m.HTML)
	w.raw(`},"recipients":{"to":`) // required by the specification, even when empty
	w.addresses(m.To)
	w.addressMember(`,"cc":`, m.CC)
	w.addressMember(`,"bcc":`, m.BCC)
	w.raw(`}`)
	w.addressMember(`,"replyTo":`, m.ReplyTo)
	if len(m.Headers) > 0 {
		separator := `,"headers":{`
		for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
			w.raw(separator)
			w.text(name)
			w.raw(`:`)
			w.text(m.Headers[name])
			separator = `,`
		}
		w.raw(`}`)
	}
	if m.UserEngagementTrackingDisabled {
		w.raw(`,"userEngagementTrackingDisabled":true`)
	}
	if len(m.Attachments) > 0 {
		separator := `,"attachments":[`
		for _, a := range m.Attachments {
			w.raw(separator)
			w.attachment(a)
			separator = `,`
		}
		w.raw(`]`)
	}
	w.raw(`}`)
}

// partsWriter counts the parts that it is given, keeps them, or writes them.
type partsWriter struct {
	do    func(*partsWriter, part)
	parts []part
	size  int64  // of all that were counted or kept
	out   []byte // has room for all that are written, and for one escape more
}

func countPart(w *partsWriter, p part) { w.size += p.size() }

func keepPart(w *partsWriter, p part) {
	w.size += p.size()
	w.parts = append(w.parts, p)
}

func writePart(w *partsWriter, p part) {
	written, _ := p.write(w.out[len(w.out):cap(w.out)], 0)
	w.out = w.out[:len(w.out)+written]
}

func (w *partsWriter) add(p part) { w.do(w, p) }

// appendTo writes the JSON behind text, which has room for it and for one escape.
func (m *Message) appendTo(text []byte) []byte {
	w := partsWriter{do: writePart, out: text}
	m.list(&w)
	return w.out
}

func (w *partsWriter) raw(s string) { w.add(part{kind: rawPart, text: s}) }

func (w *partsWriter) text(s string) {
	w.raw(`"`)
	w.add(part{kind: textPart, text: s})
	w.raw(`"`)
}

func (w *partsWriter) member(name, value string) {
	if value != "" {
		w.raw(name)
		w.text(value)
	}
}

func (w *partsWriter) addressMember(name string, list []Address) {
	if len(list) > 0 {
		w.raw(name)
		w.addresses(list)
	}
}

func (w *partsWriter) addresses(list []Address) {
	w.raw(`[`)
	for i, a := range list {
		if i > 0 {
			w.raw(`,`)
		}
		w.raw(`{"address":`)
		w.text(a.Address)
		w.member(`,"displayName":`, a.DisplayName)
		w.raw(`}`)
	}
	w.raw(`]`)
}

func (w *partsWriter) attachment(a Attachment) {
	w.raw(`{"name":`)
	w.text(a.Name)
	w.raw(`,"contentType":`)
	w.text(a.ContentType)
	w.member(`,"contentId":`, a.ContentID)
	w.raw(`,"contentInBase64":"`)
	w.add(part{kind: base64Part, bytes: a.Content})
	w.raw(`"}`)
}

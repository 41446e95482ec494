package acs

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync/atomic"
	"unicode/utf8"
)

// wholeBytes is up to what size a message is encoded before it is written.
const wholeBytes = 32 << 10

// chunkBytes is how much of a text or a file is encoded at once: whole groups of Base64.
const chunkBytes = 12 << 10

// body is the JSON of one message. Files and long texts are encoded while they are
// read. Everything else is encoded beforehand. A body can be read again after a Seek
// to its start, as azcore and the signature need.
type body struct {
	reader
	pieces []piece
	size   int64
	whole  []byte       // the body, if it is encoded already
	taken  atomic.Int64 // bytes that connections have taken
}

// piece is a stretch of JSON and, behind it, the inside of at most one long string.
type piece struct {
	json []byte // as it stands
	text string // to be escaped
	file []byte // to be written in Base64
}

// envelope is the specification's EmailMessage without what may be long.
type envelope struct {
	SenderAddress     string `json:"senderAddress"`
	SenderDisplayName string `json:"senderDisplayName,omitempty"`
	Recipients        struct {
		To  []Address `json:"to"` // required, even when empty
		CC  []Address `json:"cc,omitempty"`
		BCC []Address `json:"bcc,omitempty"`
	} `json:"recipients"`
	ReplyTo                        []Address         `json:"replyTo,omitempty"`
	Headers                        map[string]string `json:"headers,omitempty"`
	UserEngagementTrackingDisabled bool              `json:"userEngagementTrackingDisabled,omitempty"`
	Content                        struct {          // last, so that long texts can follow
		Subject   string `json:"subject"`
		PlainText string `json:"plainText,omitempty"`
		HTML      string `json:"html,omitempty"`
	} `json:"content"`
}

// newBody encodes the same message to the same bytes: encoding/json sorts headers.
func newBody(message *Message) *body {
	m := *message
	e := envelope{
		SenderAddress: m.SenderAddress, SenderDisplayName: m.SenderDisplayName,
		ReplyTo: m.ReplyTo, Headers: m.Headers, UserEngagementTrackingDisabled: m.UserEngagementTrackingDisabled,
	}
	e.Recipients.To, e.Recipients.CC, e.Recipients.BCC = append([]Address{}, m.To...), m.CC, m.BCC

	e.Content.Subject = m.Subject
	if len(m.PlainText) <= chunkBytes {
		e.Content.PlainText, m.PlainText = m.PlainText, ""
	}
	if len(m.HTML) <= chunkBytes {
		e.Content.HTML, m.HTML = m.HTML, ""
	}

	b := new(body)
	next := bytes.TrimSuffix(open(e), []byte("}"))
	add := func(name, text string, file []byte) {
		b.add(piece{append(next, name...), text, file})
		next = []byte(`"`)
	}
	if m.PlainText != "" {
		add(`,"plainText":"`, m.PlainText, nil)
	}
	if m.HTML != "" {
		add(`,"html":"`, m.HTML, nil)
	}
	next = append(next, '}')
	before, end := `,"attachments":[`, `}`
	for _, a := range m.Attachments {
		next = append(append(next, before...), open(a)...)
		add(`,"contentInBase64":"`, "", a.Content)
		before, end = `},`, `}]}`
	}
	b.add(piece{json: append(next, end...)})
	b.reader = b.open()
	return b
}

func (b *body) add(p piece) {
	b.pieces = append(b.pieces, p)
	b.size += int64(len(p.json)) + int64(base64.StdEncoding.EncodedLen(len(p.file)))
	for rest := p.text; rest != ""; {
		encoded, behind := encodeText(rest)
		b.size += int64(len(encoded))
		rest = behind
	}
}

// open is v, an object with members, as JSON without its last brace.
func open(v any) []byte { return bytes.TrimSuffix(encode(v), []byte("}")) }

// encode leaves HTML as it is: escaped, it would be longer. No type of this package makes it fail.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// encodeText encodes the start of text for the inside of a string. It cuts between
// characters: where no byte begins one, text is not UTF-8, and any cut is right.
func encodeText(text string) (encoded []byte, rest string) {
	n := min(len(text), chunkBytes)
	for n < min(len(text), chunkBytes+utf8.UTFMax) && !utf8.RuneStart(text[n]) {
		n++
	}
	encoded = encode(text[:n])
	return encoded[1 : len(encoded)-1], text[n:]
}

// open begins to read b, however far others have read.
func (b *body) open() reader {
	if b.whole != nil {
		return reader{ready: b.whole}
	}
	return reader{pieces: slices.Clone(b.pieces)}
}

func (b *body) encodeWhole() {
	whole, r := make([]byte, b.size), b.open()
	_, _ = io.ReadFull(&r, whole) // it has b.size bytes
	b.whole = whole
}

// Seek is how azcore rewinds a body, and learns its size.
func (b *body) Seek(offset int64, whence int) (int64, error) {
	switch {
	case offset != 0 || whence == io.SeekCurrent:
		return 0, errors.New("acs: a body seeks to its start or its end only")
	case whence == io.SeekEnd:
		b.reader = reader{}
		return b.size, nil
	}
	b.reader = b.open()
	return 0, nil
}

// reader encodes pieces while it is read.
type reader struct {
	pieces []piece // still to be encoded
	ready  []byte  // encoded, still to be read
	base64 []byte
}

func (r *reader) Read(p []byte) (int, error) {
	for len(r.ready) == 0 {
		if len(r.pieces) == 0 {
			return 0, io.EOF
		}
		r.encode(&r.pieces[0])
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	return n, nil
}

func (r *reader) encode(p *piece) {
	switch {
	case len(p.json) > 0:
		r.ready, p.json = p.json, nil
	case p.text != "":
		r.ready, p.text = encodeText(p.text)
	case len(p.file) > 0:
		n := min(len(p.file), chunkBytes)
		r.base64 = base64.StdEncoding.AppendEncode(r.base64[:0], p.file[:n])
		r.ready, p.file = r.base64, p.file[n:]
	default:
		r.pieces = r.pieces[1:]
	}
}

func (*reader) Close() error { return nil }

// again returns what a connection reads. net/http writes a body of the type that it
// knows to be in memory together with the headers, in one packet and one record of
// TLS; before any other body, the headers go out by themselves.
func (b *body) again() (io.ReadCloser, error) {
	if b.whole != nil {
		return io.NopCloser(bytes.NewReader(b.whole)), nil
	}
	return &watched{reader: b.open(), body: b}, nil
}

// watched reports what a connection takes.
type watched struct {
	reader
	body *body
	read int64
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.reader.Read(p)
	w.read += int64(n)
	w.body.reached(w.read)
	return n, err
}

// reached may be called by connections of several tries.
func (b *body) reached(n int64) {
	for seen := b.taken.Load(); n > seen && !b.taken.CompareAndSwap(seen, n); seen = b.taken.Load() {
	}
}

// bodyKey is of a context that tells transport.Do the body. A credential's own
// requests are made under that context too, and must not count.
type bodyKey struct{}

// trace counts a message in one piece as taken just before its first byte is. If
// net/http then takes a second connection, nothing at all had been written to the
// first: it repeats no other POST.
func trace(r *http.Request) *http.Request {
	b, ok := r.Context().Value(bodyKey{}).(*body)
	if !ok || b.whole == nil {
		return r
	}
	before := b.taken.Load() // of an earlier try
	return r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GetConn:      func(string) { b.taken.Store(before) },
		WroteHeaders: func() { b.reached(b.size) },
	}))
}

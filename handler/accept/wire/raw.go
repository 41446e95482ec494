package wire

import (
	"bytes"
	"io"
	"unicode/utf8"

	"github.com/posthorn/posthorn/handler/mail"
)

// raw is a string of the body, read as the text that it is.
type raw struct {
	r    *reader
	err  error // what ended it; io.EOF is its closing quote
	char [utf8.UTFMax]byte
	left []byte // of an escaped character, what is not yet taken
}

// raw reads the string at the reader into the sink, as content does.
func (r *reader) raw(known mail.Attachment) error {
	r.pos++
	t := &raw{r: r}
	if len(r.violations) == 0 {
		if err := r.attach(r.item, known, t); err != nil && !isOf(t.err, err) {
			return err
		}
	}
	_, err := io.Copy(io.Discard, t)
	return err
}

// Read returns io.EOF only once the string has ended.
func (t *raw) Read(p []byte) (n int, err error) {
	for n < len(p) && t.err == nil {
		if n > 0 && t.r.pos == t.r.end {
			return n, nil // more is to be waited for
		}
		if len(t.left) == 0 {
			t.left, t.err = t.next()
		}
		k := copy(p[n:], t.left)
		t.left = t.left[k:]
		n += k
	}
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, t.err
}

// next is a piece of the text, good until the next one.
func (t *raw) next() ([]byte, error) {
	c, err := t.r.peek()
	if err != nil {
		return nil, err
	}
	switch c {
	case '"':
		t.r.pos++
		return nil, io.EOF
	case '\\':
		char, err := t.r.escape()
		if err != nil {
			return nil, err
		}
		return utf8.AppendRune(t.char[:0], char), nil
	}
	run, err := t.r.run()
	if err == nil && len(run) == 0 {
		if c < ' ' {
			return nil, t.r.malformed("Control characters in a string must be escaped.")
		}
		err = t.r.more() // of a character that the buffer cuts
	}
	return run, err
}

// calendar begins an iCalendar object: RFC 5545 section 3.4. No Base64 has a colon.
var calendar = []byte("BEGIN:VCALENDAR")

// isCalendar says whether the string at the reader begins one, behind white space.
func (r *reader) isCalendar() (bool, error) {
	for {
		text := r.ahead()[1:]
		for {
			rest := bytes.TrimLeft(text, " ")
			for _, escaped := range [...]string{`\n`, `\r`, `\t`} {
				rest = bytes.TrimPrefix(rest, []byte(escaped))
			}
			if len(rest) == len(text) {
				break
			}
			text = rest
		}
		if len(text) >= len(calendar) || !bytes.HasPrefix(calendar, text) && !bytes.Equal(text, []byte{'\\'}) {
			return bytes.HasPrefix(text, calendar), nil
		}
		if r.end-r.pos == bufferBytes {
			return false, nil // it is all white space
		}
		if err := r.more(); err != nil {
			return false, err
		}
	}
}

package wire

import (
	"bytes"
	"io"
	"unicode/utf8"

	"github.com/posthorn/posthorn/handler/mail"
)

// raw reads the string at the reader into the sink, as the text that it is.
func (r *reader) raw(known mail.Attachment) error {
	r.pos++
	var escaped [utf8.UTFMax]byte
	return r.stream(known, &stream{r: r, next: func() ([]byte, error) {
		c, err := r.peek()
		if err != nil {
			return nil, err
		}
		switch c {
		case '"':
			r.pos++
			return nil, io.EOF
		case '\\':
			char, err := r.escape()
			if err != nil {
				return nil, err
			}
			return utf8.AppendRune(escaped[:0], char), nil
		}
		run, err := r.run()
		if err == nil && len(run) == 0 {
			if c < ' ' {
				return nil, r.malformed("Control characters in a string must be escaped.")
			}
			err = r.more() // of a character that the buffer cuts
		}
		return run, err
	}})
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

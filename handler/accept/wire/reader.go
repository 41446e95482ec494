package wire

import (
	"errors"
	"io"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// reader is a place in a JSON text. The fields of one group belong to one file.
type reader struct {
	source

	depth    int
	spelling Spelling
	unique   bool   // skip refuses a member that stands twice
	name     []byte // of the member read last; the next one overwrites it
	held     []byte // room for the text being read

	pointer    []byte // RFC 6901, to the value being read
	violations []problem.Violation

	item    int // index of the item begun last of a list in a table
	attach  func(i int, known mail.Attachment, content io.Reader) error
	scratch *scratch // once content needs it
}

func newReader(src io.Reader) *reader {
	return &reader{source: source{src: src}}
}

const endedEarly = "The body ended early."

// more is fill where the text must go on.
func (r *reader) more() error {
	err := r.fill()
	if !errors.Is(err, errEnd) {
		return err
	}
	if r.base == 0 && r.end == 0 {
		return r.malformed("The body is empty.")
	}
	return r.malformedAt(r.base+int64(r.end), endedEarly)
}

// peek returns the next byte, which must exist.
func (r *reader) peek() (byte, error) {
	if r.pos == r.end {
		if err := r.more(); err != nil {
			return 0, err
		}
	}
	return r.buf[r.pos], nil
}

// look returns the next byte, or 0 at the end of the body. No 0 is ever legal
// where it is used.
func (r *reader) look() (byte, error) {
	if r.pos == r.end {
		if err := r.fill(); errors.Is(err, errEnd) {
			return 0, nil
		} else if err != nil {
			return 0, err
		}
	}
	return r.buf[r.pos], nil
}

// token skips white space and returns the next byte, which must exist.
func (r *reader) token() (byte, error) {
	for {
		c, err := r.peek()
		if err != nil || !isSpace(c) {
			return c, err
		}
		r.pos++
	}
}

// finish reads white space to the end of the body.
func (r *reader) finish() error {
	for {
		if r.pos == r.end {
			if err := r.fill(); errors.Is(err, errEnd) {
				return nil
			} else if err != nil {
				return err
			}
		}
		if !isSpace(r.buf[r.pos]) {
			return r.malformed("There is something after the value.")
		}
		r.pos++
	}
}

// isSpace: RFC 8259 section 2.
func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

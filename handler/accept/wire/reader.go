package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/posthorn/posthorn/handler/problem"
)

const (
	// bufferBytes is all of a body that is held at a time, but for its texts.
	bufferBytes = 64 << 10
	// maxEmptyReads is how often the body may give neither bytes nor an error.
	maxEmptyReads = 100
)

// reader is a place in a body. The fields of one group belong to one file.
type reader struct {
	src       io.Reader
	cancelled func() error
	err       error // what ended src
	buf       [bufferBytes]byte
	pos, end  int   // buf[pos:end] is not read yet
	base      int64 // offset of buf[0] in the body

	depth  int
	unique bool   // skip refuses a member that stands twice
	name   []byte // of the member read last; the next one overwrites it
	held   []byte // room for the text being read

	pointer []byte // RFC 6901, to the value being read
	faults  []problem.Fault

	item   int // index of the item begun last of a list in a table
	attach func(i int, content io.Reader) error
}

func newReader(ctx context.Context, src io.Reader) *reader {
	return &reader{src: src, cancelled: ctx.Err}
}

// offset is that of the next byte in the body.
func (r *reader) offset() int64 { return r.base + int64(r.pos) }

// errEnd is the end of the body. It is not io.EOF, which a failure may wrap.
var errEnd = errors.New("end of the body")

// fill adds bytes to the unread ones and moves those to the start of the buffer.
func (r *reader) fill() error {
	r.base += int64(r.pos)
	r.end = copy(r.buf[:], r.buf[r.pos:r.end])
	r.pos = 0
	for range maxEmptyReads {
		if r.err == nil {
			r.err = explain(r.cancelled())
		}
		if r.err != nil {
			return r.err
		}
		n, err := r.src.Read(r.buf[r.end:])
		r.end += n
		if err == io.EOF {
			r.err = errEnd
		} else {
			r.err = explain(err)
		}
		if n > 0 {
			return nil
		}
	}
	r.err = explain(io.ErrNoProgress)
	return r.err
}

// explain gives a failure of the body's reader its kind. A connection that broke
// is io.ErrUnexpectedEOF in net/http, which is no fault of the JSON.
func explain(err error) error {
	if err == nil {
		return nil
	}
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return problem.Wrap(problem.TooLarge, fmt.Sprintf("The body is larger than %d bytes.", large.Limit), err)
	}
	if _, ok := errors.AsType[*problem.Problem](err); ok {
		return err
	}
	return fmt.Errorf("reading the body: %w", err)
}

// more is fill where the body must go on.
func (r *reader) more() error {
	err := r.fill()
	if !errors.Is(err, errEnd) {
		return err
	}
	if r.base == 0 && r.end == 0 {
		return r.malformed("The body is empty.")
	}
	return r.malformedAt(r.base+int64(r.end), "The body ended early.")
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

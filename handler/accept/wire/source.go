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
	// bufferBytes is all of a body that is held at a time, but for its texts. With
	// less, a body of 100 MB takes a tenth longer, for the more that it is waited for.
	bufferBytes = 256 << 10
	// firstBytes are what a message without attachments mostly fits into; a buffer
	// that is full becomes so many times larger.
	firstBytes = 1 << 10
	growth     = 8
	// maxEmptyReads is how often the body may give neither bytes nor an error.
	maxEmptyReads = 100
)

// source is a place in a stream of bytes.
type source struct {
	src      io.Reader
	err      error  // what ended src
	buf      []byte // grows from firstBytes to bufferBytes
	pos, end int    // buf[pos:end] is not read yet
	base     int64  // offset of buf[0] in the body
}

// offset is the offset of the next byte in the body.
func (s *source) offset() int64 { return s.base + int64(s.pos) }

// ahead is what is in the buffer and not read yet.
func (s *source) ahead() []byte { return s.buf[s.pos:s.end] }

// errEnd is the end of the body. It is not io.EOF, which a failure may wrap.
var errEnd = errors.New("end of the body")

// fill adds bytes to the unread ones and moves those to the start of the buffer.
func (s *source) fill() error {
	s.base += int64(s.pos)
	unread := s.buf[s.pos:s.end]
	if s.buf == nil {
		s.buf = make([]byte, firstBytes)
	} else if s.end == len(s.buf) && len(s.buf) < bufferBytes {
		s.buf = make([]byte, min(growth*len(s.buf), bufferBytes))
	}
	s.end = copy(s.buf, unread)
	s.pos = 0
	for range maxEmptyReads {
		if s.err != nil {
			return s.err
		}
		n, err := s.src.Read(s.buf[s.end:])
		s.end += n
		if s.err = err; err == io.EOF {
			s.err = errEnd
		}
		if n > 0 {
			return nil
		}
	}
	s.err = explain(io.ErrNoProgress)
	return s.err
}

// incoming is the body of a request, whose failures it explains.
type incoming struct {
	ctx context.Context
	src io.Reader
}

func (i incoming) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, explain(err)
	}
	n, err := i.src.Read(p)
	if err == io.EOF {
		return n, err
	}
	return n, explain(err)
}

// explain gives a failure of the body's reader its kind. A connection that broke
// is io.ErrUnexpectedEOF in net/http, which is no fault of the JSON.
func explain(err error) error {
	if err == nil {
		return nil
	}
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return problem.Wrap(problem.TooLarge, fmt.Sprintf("The body is larger than %d bytes. Upload large files by POST /attachments, and send the message by POST /emails:send.", large.Limit), err)
	}
	if _, ok := errors.AsType[*problem.Problem](err); ok {
		return err
	}
	return fmt.Errorf("reading the body: %w", err)
}

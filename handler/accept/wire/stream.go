package wire

import (
	"errors"
	"io"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// stream is the content of an attachment, read while the body still comes in.
type stream struct {
	r *reader
	// next is a piece of the content, good until the next one. It is io.EOF only
	// once the value has ended, and never for a body that ends early.
	next func() ([]byte, error)
	// skip reads the value to its end behind a violation.
	skip func() error

	left []byte // of a piece, what is not yet taken
	err  error  // what ended the content
	bad  bool   // err is a violation in the value, so the JSON can be read on
}

// stream reads the value at the reader into the sink. What the sink does not take,
// and all of it once there are violations, is checked only.
func (r *reader) stream(known mail.Attachment, s *stream) error {
	if len(r.violations) == 0 {
		if err := r.attach(r.item, known, s); err != nil && !isOf(s.err, err) {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, s); err == nil || !s.bad {
		return err
	}
	if err := s.skip(); err != nil {
		return err
	}
	return r.collect(problem.Of(s.err).Violations[0])
}

// isOf says whether the error of a sink is what its content ended with.
func isOf(content, sink error) bool {
	return content != nil && !errors.Is(content, io.EOF) && errors.Is(sink, content)
}

// Read implements io.Reader. It waits for the body only when it has nothing to give.
func (s *stream) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(s.left) == 0 && s.err == nil && (n == 0 || s.r.pos < s.r.end) {
			s.left, s.err = s.next()
		}
		k := copy(p[n:], s.left)
		s.left = s.left[k:]
		if n += k; len(s.left) == 0 && (s.err != nil || n > 0 && s.r.pos == s.r.end) {
			break
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, s.err
	}
	return n, nil
}

// violation ends the content. The detail says what is wrong at the offset.
func (s *stream) violation(offset int64, title, detail string) error {
	s.bad = true
	p := problem.New(problem.InvalidMessage, "%s", title)
	p.Violations = []problem.Violation{{Pointer: string(s.r.pointer), Detail: detail, Offset: &offset}}
	return p
}

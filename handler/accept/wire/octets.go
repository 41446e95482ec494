package wire

import (
	"fmt"
	"io"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// Bytes is a member that is the content of the attachment at: Base64 as Encoded
// has it, an array of numbers from 0 to 255, Node's Buffer, which is an object
// with such an array, or a calendar as it is. Sources: what resend-go and Node's
// JSON.stringify write; github.com/resend/resend-laravel pull request 84.
func Bytes[T any](name string, at func(*T) *mail.Attachment) Member[T] {
	return Member[T]{name: name, read: func(r *reader, to *T) error {
		c, err := r.token()
		if err != nil {
			return err
		}
		a := at(to)
		switch typeOf(c) {
		case isString:
			a.HasContent = true
			if ok, err := r.isCalendar(); err != nil {
				return err
			} else if ok {
				return r.raw(*a)
			}
			return r.content(*a)
		case isArray:
			a.HasContent = true
			return r.octets(*a)
		case isObject:
			a.HasContent = true
			return r.buffer(*a)
		}
		return r.refuse(fmt.Sprintf("It must be Base64 or an array of bytes, not %s.", typeOf(c)))
	}}
}

// buffer reads {"type":"Buffer","data":[1,2]}.
func (r *reader) buffer(known mail.Attachment) error {
	pointer := string(r.pointer)
	found := false
	err := r.members(func(name []byte) error {
		switch string(name) {
		case "type":
			word, err := r.hold(MaxWordBytes)
			if err == nil && word != "Buffer" {
				err = r.note("The only such type is Buffer.")
			}
			return err
		case "data":
			if found {
				return r.refuse(twice)
			}
			found = true
			if ok, err := r.starts(isArray); !ok {
				return err
			}
			return r.octets(known)
		}
		return r.refuse("There is no such member.")
	})
	if err == nil && !found {
		err = r.collect(problem.Violation{Pointer: pointer, Detail: "It has no data."})
	}
	return err
}

// octetsBytes are read of an array at a time.
const octetsBytes = 4 << 10

// octets reads the array at the reader, of numbers, into the sink as the bytes that
// they are.
func (r *reader) octets(known mail.Attachment) error {
	if err := r.open(); err != nil {
		return err
	}
	s := &stream{r: r, skip: r.skipItems}
	more, piece := r.first, make([]byte, 0, octetsBytes)
	s.next = func() ([]byte, error) {
		piece = piece[:0]
		for len(piece) < cap(piece) && (len(piece) == 0 || r.pos < r.end) {
			if ok, err := more(']'); err != nil {
				return piece, err
			} else if !ok {
				return piece, io.EOF
			}
			more = r.next
			b, err := s.octet()
			if err != nil {
				return piece, err
			}
			piece = append(piece, b)
		}
		return piece, nil
	}
	err := r.stream(known, s)
	r.depth--
	return err
}

// skipItems reads an array on to its end from behind an item.
func (r *reader) skipItems() error {
	for {
		if more, err := r.next(']'); err != nil || !more {
			return err
		}
		if err := r.skip(); err != nil {
			return err
		}
	}
}

func (s *stream) octet() (byte, error) {
	c, err := s.r.token()
	if err != nil {
		return 0, err
	}
	offset, n, whole := s.r.offset(), int64(0), false
	if c == '-' || isDigit(c) {
		n, whole, err = s.r.number()
	} else {
		err = s.r.skip()
	}
	if err == nil && (!whole || n < 0 || n > 255) {
		err = s.violation(offset, "The content of an attachment is not an array of bytes.", "This is not a whole number from 0 to 255.")
	}
	return byte(n), err
}

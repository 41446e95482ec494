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

// octets is an array of numbers, read as the bytes that they are.
type octets struct {
	r     *reader
	err   error // what ended it; io.EOF is its closing bracket
	bad   bool  // err is a fault of a number, so the JSON can be read on
	begun bool
}

// octets reads the array at the reader into the sink, as content does a string.
func (r *reader) octets(known mail.Attachment) error {
	if err := r.open(); err != nil {
		return err
	}
	o := &octets{r: r}
	if len(r.violations) == 0 {
		if err := r.attach(r.item, known, o); err != nil && !isOf(o.err, err) {
			return err
		}
	}
	err := o.close()
	r.depth--
	return err
}

// close reads to the end of the array. Reading octets after it ends at once.
func (o *octets) close() error {
	if _, err := io.Copy(io.Discard, o); err == nil {
		return nil
	}
	if !o.bad {
		return o.err
	}
	for {
		more, err := o.r.next(']')
		if err != nil {
			return err
		}
		if !more {
			return o.r.collect(problem.Of(o.err).Violations[0])
		}
		if err := o.r.skip(); err != nil {
			return err
		}
	}
}

// Read returns io.EOF only once the array has ended.
func (o *octets) Read(p []byte) (n int, err error) {
	for n < len(p) && o.err == nil {
		if n > 0 && o.r.pos == o.r.end {
			return n, nil // the next byte is to be waited for
		}
		var b byte
		if b, o.err = o.octet(); o.err == nil {
			p[n] = b
			n++
		}
	}
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, o.err
}

func (o *octets) octet() (byte, error) {
	more, err := o.more()
	if err != nil {
		return 0, err
	}
	if !more {
		return 0, io.EOF
	}
	c, err := o.r.token()
	if err != nil {
		return 0, err
	}
	offset := o.r.offset()
	if c != '-' && !isDigit(c) {
		return 0, o.violation(offset, o.r.skip())
	}
	n, whole, err := o.r.number()
	if err != nil || !whole || n < 0 || n > 255 {
		return 0, o.violation(offset, err)
	}
	return byte(n), nil
}

func (o *octets) more() (bool, error) {
	if o.begun {
		return o.r.next(']')
	}
	o.begun = true
	return o.r.first(']')
}

// fault is err or, if the value was JSON, that it is no byte.
func (o *octets) violation(offset int64, err error) error {
	if err != nil {
		return err
	}
	o.bad = true
	p := problem.New(problem.InvalidMessage, "The content of an attachment is not an array of bytes.")
	p.Violations = []problem.Violation{{Pointer: string(o.r.pointer), Detail: "This is not a whole number from 0 to 255.", Offset: &offset}}
	return p
}

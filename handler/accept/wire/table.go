package wire

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/posthorn/posthorn/handler/mail"
)

// Object is the table of the members that fill a T, at most 64. A dialect is
// such a table. Members come in any order, each at most once; null is as good as
// absent, and an empty array as an empty object.
type Object[T any] []Member[T]

// Member is one row: a name and how the value is read.
type Member[T any] struct {
	name    string
	read    func(r *reader, to *T) error
	refusal string   // why no value is ever taken; empty if it is
	inner   []Row    // of an object or a list of objects
	ours    []string // see As
}

// As says where a message has what m reads: JSON pointers, in which * is any one step. At
// the end of one, an asterisk is a step within m too, which may be missing.
func (m Member[T]) As(ours ...string) Member[T] {
	m.ours = ours
	return m
}

// Text is a member that is a string. What passes limit is a violation here; limits
// guard memory and leave the precise rule to accept/check.
func Text[T any, S ~string](name string, limit int, at func(*T) *S) Member[T] {
	return TextAs(name, limit, at, func(s string) S { return S(s) })
}

// TextAs is Text. as makes what is kept of the text.
func TextAs[T any, S ~string](name string, limit int, at func(*T) *S, as func(string) S) Member[T] {
	return Member[T]{name: name, read: func(r *reader, to *T) error {
		s, err := r.hold(limit)
		*at(to) = as(s)
		return err
	}}
}

// Flag is a member that is true or false.
func Flag[T any](name string, at func(*T) *bool) Member[T] {
	return Member[T]{name: name, read: func(r *reader, to *T) error {
		if ok, err := r.starts(isBoolean); !ok {
			return err
		}
		if r.buf[r.pos] == 'f' {
			return r.literal("false")
		}
		*at(to) = true
		return r.literal("true")
	}}
}

// Switch is a member that is true or false, and tells whether it was there. A text may
// say it, as in WordPress: github.com/ActiveCampaign/postmark-wordpress, TrackOpens. An
// empty one says nothing.
func Switch[T any](name string, at func(*T) **bool) Member[T] {
	return Member[T]{name: name, read: func(r *reader, to *T) error {
		if c, err := r.token(); err != nil {
			return err
		} else if c != '"' {
			if ok, err := r.starts(isBoolean); !ok {
				return err
			}
		}
		word, _, err := r.scalar(MaxWordBytes)
		on := strings.EqualFold(word, "true")
		switch {
		case err != nil || word == "":
			return err
		case !on && !strings.EqualFold(word, "false"):
			return r.note("It must be true or false, not a string.")
		}
		*at(to) = &on
		return nil
	}}
}

// Nested is a member that is an object with a table of its own.
func Nested[T, U any](name string, of Object[U], at func(*T) *U) Member[T] {
	return Member[T]{name: name, inner: of.rows("."), read: func(r *reader, to *T) error {
		if empty, err := r.emptyMap(); empty || err != nil {
			return err
		}
		return of.read(r, at(to))
	}}
}

// List is a member that is an array of objects, at most limit.
func List[T, U any](name string, limit int, of Object[U], at func(*T) *[]U) Member[T] {
	return Member[T]{name: name, inner: of.rows("[]."), read: func(r *reader, to *T) error {
		if ok, err := r.starts(isArray); !ok {
			return err
		}
		return r.items(func(i int) error {
			if i >= limit {
				return r.overflow(limit)
			}
			r.item = i
			var u U
			err := of.read(r, &u)
			*at(to) = append(*at(to), u)
			return err
		})
	}}
}

// Pairs is a member that is an object of names and strings, at most limit. A number,
// true or false is the text that it is written as; a name whose value is null is none.
func Pairs[T any](name string, limit, valueLimit int, at func(*T) *map[string]string) Member[T] {
	return Member[T]{name: name, read: func(r *reader, to *T) error {
		if empty, err := r.emptyMap(); empty || err != nil {
			return err
		}
		if ok, err := r.starts(isObject); !ok {
			return err
		}
		all := map[string]string{}
		*at(to) = all
		return r.members(func(name []byte) error {
			key := string(name)
			_, again := all[key]
			switch {
			case again:
				return r.refuse(twice)
			case len(all) >= limit:
				return r.overflow(limit)
			case strings.ContainsRune(key, 0):
				return r.refuse(withNUL)
			}
			value, none, err := r.scalar(valueLimit)
			if !none {
				all[key] = value
			}
			return err
		})
	}}
}

// Encoded is a member that is the content of the attachment at.
// It stands in an item of a list, and before it in the item is no other list.
func Encoded[T any](name string, at func(*T) *mail.Attachment) Member[T] {
	return Member[T]{name: name, read: func(r *reader, to *T) error {
		if ok, err := r.starts(isString); !ok {
			return err
		}
		a := at(to)
		a.HasContent = true
		return r.content(*a)
	}}
}

// The violations that a table finds.
const (
	twice   = "This member is given twice."
	withNUL = "It contains U+0000, which no message may have."
)

func tooLong(limit int) string { return fmt.Sprintf("It is longer than %d bytes.", limit) }

func tooMany(limit int) string { return fmt.Sprintf("There are more than %d of them.", limit) }

// emptyMap reads [], which is how PHP writes a map without members. Any other array
// is a violation.
func (r *reader) emptyMap() (isArrayHere bool, err error) {
	c, err := r.token()
	if err != nil || c != '[' {
		return false, err
	}
	items := 0
	err = r.items(func(int) error {
		items++
		return r.skip()
	})
	if err == nil && items > 0 {
		err = r.note("It must be an object, not an array.")
	}
	return true, err
}

// scalar reads a string, or what else is one word of JSON. none says that it is null.
func (r *reader) scalar(limit int) (text string, none bool, err error) {
	c, err := r.token()
	if err != nil {
		return "", false, err
	}
	switch typeOf(c) {
	case isNull:
		return "", true, r.literal("null")
	case isBoolean:
		text = "true"
		if c == 'f' {
			text = "false"
		}
		return text, false, r.literal(text)
	case isNumber:
		text, err = r.numeral()
		return text, false, err
	}
	text, err = r.hold(limit)
	return text, false, err
}

func (o Object[T]) read(r *reader, to *T) error {
	if ok, err := r.starts(isObject); !ok {
		return err
	}
	var seen uint64 // bit i: o[i] was there
	return r.members(func(name []byte) error {
		i := o.find(name, r.spelling)
		if i >= 0 && seen&(1<<i) != 0 {
			return r.refuse(twice)
		}
		c, err := r.token()
		if err != nil {
			return err
		}
		if i >= 0 {
			seen |= 1 << i
		}
		switch {
		case c == 'n': // of a member that is newer than the table, too
			return r.literal("null")
		case i < 0:
			return r.refuse("There is no such member.")
		}
		return o[i].read(r, to)
	})
}

func (o Object[T]) find(name []byte, s Spelling) int {
	for i := range o {
		if s.same(name, o[i].name) {
			return i
		}
	}
	return -1
}

// heldBytes is the largest string whose place is kept for the next.
const heldBytes = 64 << 10

// hold reads a string that is to be kept.
func (r *reader) hold(limit int) (string, error) {
	if ok, err := r.starts(isString); !ok {
		return "", err
	}
	held, size, err := r.text(r.held[:0], limit)
	if err != nil {
		return "", err
	}
	if cap(held) <= heldBytes {
		r.held = held
	}
	if size > limit {
		return "", r.note(tooLong(limit))
	}
	if bytes.IndexByte(held, 0) >= 0 {
		return "", r.note(withNUL)
	}
	return string(held), nil
}

// overflow skips what is one too many. That is a violation of the whole.
func (r *reader) overflow(limit int) error {
	if err := r.skip(); err != nil {
		return err
	}
	r.pointer = r.pointer[:bytes.LastIndexByte(r.pointer, '/')]
	return r.note(tooMany(limit))
}

// The types of JSON, as a violation calls them.
const (
	isObject  = "an object"
	isArray   = "an array"
	isString  = "a string"
	isNumber  = "a number"
	isBoolean = "true or false"
	isNull    = "null"
)

// starts says whether the value at the reader is of type want. If not, it is
// skipped and a violation.
func (r *reader) starts(want string) (bool, error) {
	c, err := r.token()
	if err != nil {
		return false, err
	}
	is := typeOf(c)
	if is == want {
		return true, nil
	}
	return false, r.refuse(fmt.Sprintf("It must be %s, not %s.", want, is))
}

func typeOf(first byte) string {
	switch first {
	case '{':
		return isObject
	case '[':
		return isArray
	case '"':
		return isString
	case 't', 'f':
		return isBoolean
	case 'n':
		return isNull
	}
	return isNumber
}

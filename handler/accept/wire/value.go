package wire

import (
	"bytes"
	"fmt"
	"math"
	"regexp"
	"strconv"

	"github.com/posthorn/posthorn/handler/mail"
)

// maxNameBytes guards memory against the names of members.
const maxNameBytes = 1024

// skip reads any value and keeps none of it.
func (r *reader) skip() error {
	c, err := r.token()
	if err != nil {
		return err
	}
	switch c {
	case '"':
		_, _, err := r.text(nil, 0)
		return err
	case '{':
		return r.skipObject()
	case '[':
		return r.items(func(int) error { return r.skip() })
	case 't':
		return r.literal("true")
	case 'f':
		return r.literal("false")
	case 'n':
		return r.literal("null")
	}
	if c == '-' || isDigit(c) {
		_, _, err := r.number()
		return err
	}
	if c == 0xEF && r.offset() == 0 {
		return r.malformed("The body starts with a byte order mark or is not UTF-8.")
	}
	return r.malformed("Expected a value.")
}

func (r *reader) skipObject() error {
	if !r.unique {
		return r.members(func([]byte) error { return r.skip() })
	}
	seen := map[string]bool{}
	return r.members(func(name []byte) error {
		if seen[string(name)] {
			return r.refuse(twice)
		}
		seen[string(name)] = true
		return r.skip()
	})
}

// refuse skips a value and collects a violation for it.
func (r *reader) refuse(detail string) error {
	if err := r.skip(); err != nil {
		return err
	}
	return r.note(detail)
}

// members reads the object at the reader. It calls each with the name of each
// member, to read the value; reading overwrites the name.
func (r *reader) members(each func(name []byte) error) error {
	if err := r.open(); err != nil {
		return err
	}
	outer := len(r.pointer)
	ok, err := r.first('}')
	for ok && err == nil {
		if err := r.member(each); err != nil {
			return err
		}
		r.pointer = r.pointer[:outer]
		ok, err = r.next('}')
	}
	r.depth--
	return err
}

func (r *reader) member(each func(name []byte) error) error {
	c, err := r.token()
	if err != nil {
		return err
	}
	if c != '"' {
		return r.malformed("Expected the name of a member, in quotes.")
	}
	name, size, err := r.text(r.name[:0], maxNameBytes)
	if err != nil {
		return err
	}
	r.name = name
	if c, err = r.token(); err != nil {
		return err
	}
	if c != ':' {
		return r.malformed("Expected a colon.")
	}
	r.pos++
	if size > maxNameBytes {
		return r.refuse(fmt.Sprintf("The name of a member is longer than %d bytes.", maxNameBytes))
	}
	r.pointer = appendStep(r.pointer, name)
	return each(name)
}

// appendStep escapes name by RFC 6901 section 3.
func appendStep(pointer, name []byte) []byte {
	pointer = append(pointer, '/')
	for _, c := range name {
		switch c {
		case '~':
			pointer = append(pointer, "~0"...)
		case '/':
			pointer = append(pointer, "~1"...)
		default:
			pointer = append(pointer, c)
		}
	}
	return pointer
}

// items reads the array at the reader. It calls each with the index of each
// item, to read the item.
func (r *reader) items(each func(i int) error) error {
	if err := r.open(); err != nil {
		return err
	}
	outer := len(r.pointer)
	ok, err := r.first(']')
	for i := 0; ok && err == nil; i++ {
		r.pointer = strconv.AppendInt(append(r.pointer, '/'), int64(i), 10)
		if err := each(i); err != nil {
			return err
		}
		r.pointer = r.pointer[:outer]
		ok, err = r.next(']')
	}
	r.depth--
	return err
}

// open steps into the object or array at the reader.
func (r *reader) open() error {
	if r.depth == mail.MaxDepth {
		return r.malformed(fmt.Sprintf("Objects and arrays are nested deeper than %d levels.", mail.MaxDepth))
	}
	r.depth++
	r.pos++
	return nil
}

// first says whether anything follows what opened an object or array; else it
// steps out.
func (r *reader) first(end byte) (bool, error) {
	c, err := r.token()
	if err != nil || c != end {
		return true, err
	}
	r.pos++
	return false, nil
}

// next says whether a comma follows, and steps over it; else it steps out.
func (r *reader) next(end byte) (bool, error) {
	c, err := r.token()
	if err != nil {
		return false, err
	}
	if c != ',' && c != end {
		return false, r.malformed(fmt.Sprintf("Expected a comma or %c.", end))
	}
	r.pos++
	return c == ',', nil
}

func (r *reader) literal(word string) error {
	for i := range len(word) {
		c, err := r.peek()
		if err != nil {
			return err
		}
		if c != word[i] {
			return r.malformed("Expected " + word + ".")
		}
		r.pos++
	}
	return nil
}

// number reads a number: RFC 8259 section 6. whole says that it is written as
// digits and fits; none that is not wanted is too large.
func (r *reader) number() (n int64, whole bool, err error) {
	negative := r.buf[r.pos] == '-'
	if negative {
		r.pos++
	}
	c, err := r.peek()
	if err != nil {
		return 0, false, err
	}
	whole = true
	if c == '0' {
		r.pos++
	} else if n, whole, err = r.digits(); err != nil {
		return 0, false, err
	}
	if c, err = r.look(); err == nil && c == '.' {
		r.pos++
		whole = false
		_, _, err = r.digits()
	}
	if err != nil {
		return 0, false, err
	}
	if negative {
		n = -n
	}
	raised, err := r.exponent()
	return n, whole && !raised, err
}

// numerals are the numbers of RFC 8259 section 6.
var numerals = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// numeral reads a number as it is written.
func (r *reader) numeral() (string, error) {
	start, size := r.offset(), 0
	var text [MaxWordBytes]byte
	for {
		c, err := r.look()
		if err != nil {
			return "", err
		}
		if !isDigit(c) && bytes.IndexByte([]byte("+-.eE"), c) < 0 {
			break
		}
		if size < len(text) {
			text[size] = c
		}
		size++
		r.pos++
	}
	switch {
	case size > len(text):
		return "", r.note(fmt.Sprintf("It is longer than %d bytes.", len(text)))
	case !numerals.Match(text[:size]):
		return "", r.malformedAt(start, "Expected a value.")
	}
	return string(text[:size]), nil
}

// exponent says whether there was one.
func (r *reader) exponent() (bool, error) {
	c, err := r.look()
	if err != nil || c|0x20 != 'e' {
		return false, err
	}
	r.pos++
	if c, err = r.peek(); err != nil {
		return true, err
	}
	if c == '+' || c == '-' {
		r.pos++
	}
	_, _, err = r.digits()
	return true, err
}

// digits reads one digit or more.
func (r *reader) digits() (n int64, fits bool, err error) {
	c, err := r.peek()
	if err == nil && !isDigit(c) {
		return 0, false, r.malformed("Expected a digit.")
	}
	fits = true
	for err == nil && isDigit(c) {
		if fits = fits && n < math.MaxInt64/10; fits {
			n = n*10 + int64(c-'0')
		}
		r.pos++
		c, err = r.look()
	}
	return n, fits, err
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

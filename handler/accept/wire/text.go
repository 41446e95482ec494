package wire

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// text appends the string at the reader to dst and returns its size. What passes
// limit is checked but not kept.
func (r *reader) text(dst []byte, limit int) ([]byte, int, error) {
	r.pos++
	return r.rest(dst, limit)
}

// rest is text from inside a string.
func (r *reader) rest(dst []byte, limit int) ([]byte, int, error) {
	size := 0
	for {
		run, err := r.run()
		if err != nil {
			return dst, size, err
		}
		if size += len(run); size <= limit {
			if cap(dst)-len(dst) < len(run) {
				dst = slices.Grow(dst, cap(dst)+len(run)) // append grows large ones by little
			}
			dst = append(dst, run...)
		}
		if r.pos == r.end || r.buf[r.pos] >= utf8.RuneSelf {
			if err := r.more(); err != nil {
				return dst, size, err
			}
			continue
		}
		switch r.buf[r.pos] {
		case '"':
			r.pos++
			return dst, size, nil
		case '\\':
			c, err := r.escape()
			if err != nil {
				return dst, size, err
			}
			if size += utf8.RuneLen(c); size <= limit {
				dst = utf8.AppendRune(dst, c)
			}
		default:
			return dst, size, r.malformed("Control characters in a string must be escaped.")
		}
	}
}

// run reads the characters at the reader that stand for themselves, as many as
// the buffer holds. They are good until it is filled again. A character of which
// the buffer holds only the start stays unread.
func (r *reader) run() ([]byte, error) {
	window := r.ahead()
	n, ascii := plain(window)
	run := window[:n]
	if !ascii {
		if n == len(window) {
			run = run[:n-cutRune(run)]
		}
		if !utf8.Valid(run) {
			r.pos += validBytes(run)
			return nil, r.malformed("This byte is not UTF-8.")
		}
	}
	r.pos += len(run)
	return run, nil
}

// plain returns how many bytes stand for themselves before a quote, a backslash
// or a control character (RFC 8259 section 7), and whether all of them are ASCII.
// It looks at eight bytes at a time: the high bit of a byte of found is set where
// it is one of these. Above the lowest one set that may be wrong, by a borrow.
func plain(window []byte) (n int, ascii bool) {
	var seen uint64
	for ; len(window)-n >= 8; n += 8 {
		word := binary.LittleEndian.Uint64(window[n:])
		control, quote, backslash := word-each*' ', (word^each*'"')-each, (word^each*'\\')-each
		if found := (control | quote | backslash) &^ word & (each * 0x80); found != 0 {
			within := bits.TrailingZeros64(found) &^ 7
			seen |= word & (1<<within - 1)
			return n + within/8, seen&(each*0x80) == 0
		}
		seen |= word
	}
	for ; n < len(window); n++ {
		c := window[n]
		if c < ' ' || c == '"' || c == '\\' {
			break
		}
		seen |= uint64(c)
	}
	return n, seen&(each*0x80) == 0
}

// each, times a byte, is that byte eight times.
const each = 0x0101010101010101

// cutRune returns how many bytes at the end of run begin a character whose rest
// is not in the buffer yet.
func cutRune(run []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(run); n++ {
		if tail := run[len(run)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

// validBytes returns how many bytes of run are valid UTF-8.
func validBytes(run []byte) int {
	n := 0
	for n < len(run) {
		c, size := utf8.DecodeRune(run[n:])
		if c == utf8.RuneError && size == 1 {
			break
		}
		n += size
	}
	return n
}

// escape reads the escape sequence at the reader, or the two that are one
// character.
func (r *reader) escape() (rune, error) {
	if c, size := unescape(r.ahead()); size > 0 {
		r.pos += size
		return c, nil
	}
	start := r.offset()
	c, err := r.escaped()
	if err != nil || !utf16.IsSurrogate(c) {
		return c, err
	}
	next, err := r.peek()
	if err != nil {
		return 0, err
	}
	low := rune(0)
	if next == '\\' {
		if low, err = r.escaped(); err != nil {
			return 0, err
		}
	}
	pair := utf16.DecodeRune(c, low)
	if pair == utf8.RuneError {
		return 0, r.malformedAt(start, "Half of a surrogate pair stands alone.")
	}
	return pair, nil
}

// unescape returns the character of the escape sequence that window begins with,
// and its size there. That is 0 for any of which escape has more to say: one that
// is wrong, goes on behind window or is half of a surrogate pair.
func unescape(window []byte) (c rune, size int) {
	if len(window) < 2 {
		return 0, 0
	}
	if window[1] != 'u' {
		if c := rune(escapes[window[1]]); c != 0 {
			return c, 2
		}
		return 0, 0
	}
	if len(window) < 6 {
		return 0, 0
	}
	for _, digit := range window[2:6] {
		value := hexadecimal[digit]
		if value < 0 {
			return 0, 0
		}
		c = c<<4 | rune(value)
	}
	if utf16.IsSurrogate(c) {
		return 0, 0
	}
	return c, 6
}

// escapes are the characters for which one letter stands, or 0: RFC 8259 section 7.
var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// hexadecimal are the values of the digits, or -1.
var hexadecimal = func() (values [256]int8) {
	for c := range values {
		values[c] = int8(strings.IndexByte("0123456789abcdef", byte(c)))
	}
	for c := 'A'; c <= 'F'; c++ {
		values[c] = values[c|0x20]
	}
	return values
}()

// escaped reads one escape sequence, which may be half of a surrogate pair.
func (r *reader) escaped() (rune, error) {
	start := r.offset()
	r.pos++
	c, err := r.peek()
	if err != nil {
		return 0, err
	}
	r.pos++
	if c == 'u' {
		return r.unit()
	}
	if char := escapes[c]; char != 0 {
		return rune(char), nil
	}
	return 0, r.malformedAt(start, "There is no such escape sequence.")
}

// unit reads the four hexadecimal digits of a UTF-16 code unit.
func (r *reader) unit() (rune, error) {
	unit := rune(0)
	for range 4 {
		c, err := r.peek()
		if err != nil {
			return 0, err
		}
		value := hexadecimal[c]
		if value < 0 {
			return 0, r.malformed("Expected a hexadecimal digit.")
		}
		unit = unit<<4 | rune(value)
		r.pos++
	}
	return unit, nil
}

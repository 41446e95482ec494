package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
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
// the buffer holds. They are good until it is filled again. If the buffer
// holds only the start of a character, the character stays unread.
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
	const one = len(`\u0000`)
	for r.end-r.pos < 2*one {
		if err := r.fill(); errors.Is(err, errEnd) {
			break
		} else if err != nil {
			return 0, err
		}
	}
	window := r.ahead()
	c, size := unescape(window)
	wrong := "There is no such escape sequence."
	if utf16.IsSurrogate(c) {
		low, more := unescape(window[size:])
		if c, size = utf16.DecodeRune(c, low), size+more; c == utf8.RuneError {
			size, wrong = 0, "Half of a surrogate pair stands alone."
		}
	}
	switch {
	case size > 0:
	case len(window) < 2*one && bytes.IndexByte(window, '"') < 0:
		return 0, r.more() // which says that the body has ended
	default:
		return 0, r.malformed(wrong)
	}
	r.pos += size
	return c, nil
}

// unescape returns the character of the escape sequence that window begins with,
// which may be half of a surrogate pair, and its size there. That is 0 for any that
// is wrong or goes on behind window.
func unescape(window []byte) (c rune, size int) {
	if len(window) < 2 || window[0] != '\\' {
		return 0, 0
	}
	if c := rune(escapes[window[1]]); c != 0 {
		return c, 2
	}
	if window[1] != 'u' || len(window) < 6 {
		return 0, 0
	}
	for _, digit := range window[2:6] {
		value := hexadecimal[digit]
		if value < 0 {
			return 0, 0
		}
		c = c<<4 | rune(value)
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

package wire

import (
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
		size += len(run)
		if size <= limit {
			dst = append(dst, run...)
		}
		if len(run) > 0 {
			continue
		}
		if r.buf[r.pos] == '"' {
			r.pos++
			return dst, size, nil
		}
		c, err := r.escape()
		if err != nil {
			return dst, size, err
		}
		size += utf8.RuneLen(c)
		if size <= limit {
			dst = utf8.AppendRune(dst, c)
		}
	}
}

// run returns characters that stand for themselves, as many as the buffer holds
// and good until it is filled again. It is empty if the next byte is a quote or
// a backslash.
func (r *reader) run() ([]byte, error) {
	for {
		window := r.buf[r.pos:r.end]
		n := plain(window)
		run := window[:n]
		if n == len(window) {
			run = run[:n-cutRune(run)]
		}
		if !utf8.Valid(run) {
			r.pos += validBytes(run)
			return nil, r.malformed("This byte is not UTF-8.")
		}
		if len(run) > 0 {
			r.pos += len(run)
			return run, nil
		}
		if n < len(window) {
			if window[0] < ' ' {
				return nil, r.malformed("Control characters in a string must be escaped.")
			}
			return nil, nil
		}
		if err := r.more(); err != nil {
			return nil, err
		}
	}
}

// plain returns how many bytes stand for themselves before a quote, a backslash
// or a control character: RFC 8259 section 7.
func plain(window []byte) int {
	for i, c := range window {
		if special[c] {
			return i
		}
	}
	return len(window)
}

var special = func() (set [256]bool) {
	for c := range ' ' {
		set[c] = true
	}
	set['"'], set['\\'] = true, true
	return set
}()

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

// escaped reads one escape sequence, which may be half of a surrogate pair.
func (r *reader) escaped() (rune, error) {
	start := r.offset()
	r.pos++
	c, err := r.peek()
	if err != nil {
		return 0, err
	}
	r.pos++
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		return r.unit()
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
		switch lower := c | 0x20; {
		case isDigit(c):
			unit = unit<<4 | rune(c-'0')
		case 'a' <= lower && lower <= 'f':
			unit = unit<<4 | rune(lower-'a'+10)
		default:
			return 0, r.malformed("Expected a hexadecimal digit.")
		}
		r.pos++
	}
	return unit, nil
}

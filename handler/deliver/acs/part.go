package acs

import (
	"encoding/base64"
	"unicode/utf8"
)

// part is a piece of JSON that is encoded while it is written.
type part struct {
	kind  partKind
	text  string // of a rawPart or textPart
	bytes []byte // of a base64Part
}

type partKind uint8

const (
	rawPart    partKind = iota // JSON as it stands
	textPart                   // the inside of a JSON string, to be escaped
	base64Part                 // the inside of a JSON string, to be encoded
)

// len is the length before encoding.
func (p part) len() int { return len(p.text) + len(p.bytes) }

// size is the length after encoding.
func (p part) size() int64 {
	switch p.kind {
	case textPart:
		return escapedSize(p.text)
	case base64Part:
		return int64(base64.StdEncoding.EncodedLen(len(p.bytes)))
	default:
		return int64(len(p.text))
	}
}

// write encodes the part from offset on, as far as it fits, and says how much
// it wrote and how much of the part that took.
func (p part) write(dst []byte, offset int) (written, taken int) {
	switch p.kind {
	case textPart:
		return escape(dst, p.text[offset:])
	case base64Part:
		src := p.bytes[offset:]
		src = src[:min(len(src), len(dst)/4*3)] // whole groups, but for the last
		base64.StdEncoding.Encode(dst, src)
		return base64.StdEncoding.EncodedLen(len(src)), len(src)
	default:
		n := copy(dst, p.text[offset:])
		return n, n
	}
}

// maxEscapeBytes is the longest form of one character: \u001f.
const maxEscapeBytes = 6

// escape writes s as the inside of a JSON string, RFC 8259 section 7, as far as
// it fits. Only what must be escaped is: neither <, > and & nor U+2028.
func escape(dst []byte, s string) (written, taken int) {
	for taken < len(s) && len(dst)-written >= maxEscapeBytes {
		n := plainPrefix(s[taken:], len(dst)-written)
		copy(dst[written:], s[taken:taken+n])
		written += n
		taken += n
		if taken < len(s) && len(dst)-written >= maxEscapeBytes {
			written += len(appendEscape(dst[written:written], s[taken]))
			taken++
		}
	}
	return written, taken
}

func escapedSize(s string) (size int64) {
	var form [maxEscapeBytes]byte
	for s != "" {
		n := plainPrefix(s, len(s))
		size += int64(n)
		s = s[n:]
		if s != "" {
			size += int64(len(appendEscape(form[:0], s[0])))
			s = s[1:]
		}
	}
	return size
}

// plainPrefix is the length of the longest start of s that stands for itself,
// ends with a whole character and has at most limit bytes.
func plainPrefix(s string, limit int) (n int) {
	limit = min(limit, len(s))
	for n < limit {
		switch c := s[n]; {
		case c < ' ' || c == '"' || c == '\\':
			return n
		case c < utf8.RuneSelf:
			n++
		default:
			r, width := utf8.DecodeRuneInString(s[n:])
			if r == utf8.RuneError && width == 1 || n+width > limit {
				return n
			}
			n += width
		}
	}
	return n
}

// appendEscape appends what a byte at which plainPrefix stopped becomes: a byte
// that is no UTF-8 becomes U+FFFD.
func appendEscape(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch {
	case c >= utf8.RuneSelf:
		return utf8.AppendRune(dst, utf8.RuneError)
	case c == '"' || c == '\\':
		return append(dst, '\\', c)
	case c == '\n':
		return append(dst, '\\', 'n')
	case c == '\r':
		return append(dst, '\\', 'r')
	case c == '\t':
		return append(dst, '\\', 't')
	default:
		return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
	}
}

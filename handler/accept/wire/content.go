package wire

import (
	"bytes"
	"encoding/base64"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/posthorn/posthorn/handler/mail"
)

// windowBytes of Base64 are decoded at a time.
const windowBytes = 16 << 10

// scratch is room for one window: its characters, where they do not stand in one
// piece, and its bytes.
type scratch struct {
	chars [windowBytes]byte
	bytes [windowBytes / 4 * 3]byte
}

// content is a Base64 string of the body, decoded while it is read: a window at a
// time, but for a quantum that is padded or near a violation.
type content struct {
	stream

	padded  bool    // nothing may follow
	slow    bool    // a violation is near: find it character by character
	quantum [4]byte // its first n characters wait for the others
	n       int
}

// content reads the string at the reader into the sink.
func (r *reader) content(known mail.Attachment) error {
	r.pos++
	if r.scratch == nil {
		r.scratch = new(scratch)
	}
	c := &content{stream: stream{r: r, skip: func() error { _, _, err := r.rest(nil, 0); return err }}}
	c.next = c.decode
	return r.stream(known, &c.stream)
}

// decode returns no byte of a quantum before all of it is there and right.
func (c *content) decode() ([]byte, error) {
	char, err := c.r.peek()
	if err != nil {
		return nil, err
	}
	if char == '"' {
		return c.end()
	}
	if n := c.window(); n > 0 {
		return c.r.scratch.bytes[:n], nil
	}
	start := c.r.offset()
	if char == '\\' {
		unescaped, err := c.r.escape()
		if err != nil || strings.ContainsRune(" \t\r\n", unescaped) {
			return nil, err
		}
		return c.add(unescaped, start)
	}
	if char == ' ' {
		c.r.pos++
		return nil, nil
	}
	quantum, err := c.add(rune(char), start)
	if err == nil {
		c.r.pos++
	}
	return quantum, err
}

// window decodes what the buffer holds of quanta without padding. It returns the
// number of bytes, 0 where the next character needs a look of its own.
func (c *content) window() int {
	if c.padded || c.slow {
		return 0
	}
	window := c.r.ahead()
	chars := before('"', window[:min(len(window), windowBytes-len(c.quantum))])
	read := len(chars)
	if c.n > 0 || bytes.IndexByte(chars, '\\') >= 0 {
		chars, read = c.gather(chars)
	} else {
		chars = unpadded(chars)
		read = len(chars)
	}
	whole := len(chars) / 4 * 4
	rest := chars[whole:]
	// Decode skips bare line breaks, which no JSON string may have, and takes
	// padding, after which nothing may follow.
	n, err := manyQuanta.Decode(c.r.scratch.bytes[:], chars[:whole])
	if err != nil || n != whole/4*3 || strings.Trim(string(rest), alphabet[:64]) != "" {
		c.slow = true
		return 0
	}
	if n > 0 {
		c.n = copy(c.quantum[:], rest)
		c.r.pos += read
	}
	return n
}

// gather puts the characters of window together, behind those that wait: without
// escape sequences and the line breaks that they stand for. It returns how many
// bytes of window it has read.
func (c *content) gather(window []byte) (chars []byte, read int) {
	chars = append(c.r.scratch.chars[:0], c.quantum[:c.n]...)
	for read < len(window) {
		piece := unpadded(before('\\', window[read:]))
		chars = append(chars, piece...)
		read += len(piece)
		if read == len(window) || window[read] != '\\' {
			break
		}
		char, size := unescape(window[read:])
		if size == 0 || char == '=' || char >= utf8.RuneSelf {
			break
		}
		if char != '\r' && char != '\n' {
			chars = append(chars, byte(char))
		}
		read += size
	}
	return chars, read
}

// before returns what of window stands before the first end.
func before(end byte, window []byte) []byte {
	if i := bytes.IndexByte(window, end); i >= 0 {
		return window[:i]
	}
	return window
}

// unpadded returns window without the quantum at its end that is padded.
func unpadded(window []byte) []byte {
	if n := len(window); n > 0 && window[n-1] == '=' {
		return window[:max(0, n-4)]
	}
	return window
}

// end steps over the closing quote. A group before it that is not padded is decoded.
func (c *content) end() ([]byte, error) {
	out, n := c.r.scratch.bytes[:], c.n
	if c.n = 0; n == 0 {
		c.r.pos++
		return nil, io.EOF
	}
	size, err := base64.RawStdEncoding.Decode(out, c.quantum[:n])
	if err != nil {
		return nil, c.violation(c.r.offset(), "The Base64 ends within a group of four characters.")
	}
	return out[:size], nil
}

// add adds one character, found at offset, to the quantum, and decodes that if it
// is whole.
func (c *content) add(char rune, offset int64) ([]byte, error) {
	switch {
	case c.padded:
		return nil, c.violation(offset, "Something follows the padding of the Base64.")
	case char == '-' || char == '_':
		return nil, c.violation(offset, "This is the alphabet for URLs. Write + for - and / for _.")
	case char == ':':
		return nil, c.violation(offset, "A colon is not Base64. Of a data: URL, send what follows the comma.")
	case !strings.ContainsRune(alphabet, char):
		return nil, c.violation(offset, "This character is not Base64. Write the bytes of the file in Base64.")
	}
	c.quantum[c.n] = byte(char)
	if c.n++; c.n < len(c.quantum) {
		return nil, nil
	}
	c.n = 0
	out := c.r.scratch.bytes[:]
	n, err := base64.StdEncoding.Decode(out, c.quantum[:])
	if err != nil {
		return nil, c.violation(offset, "The Base64 is padded wrongly.")
	}
	c.padded = n < len(c.quantum)-1
	return out[:n], nil
}

func (c *content) violation(offset int64, detail string) error {
	return c.stream.violation(offset, "The content of an attachment is not Base64.", detail)
}

// alphabet: RFC 4648 section 4.
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

package wire

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

const (
	// directBytes of Base64 in one piece are worth decoding where they stand.
	// Shorter pieces, as line breaks and escaped slashes make them, are put
	// together first.
	directBytes = 512
	// scratchBytes are put together at a time.
	scratchBytes = 4 << 10
)

// content is a Base64 string of the body, decoded while it is read: many quanta
// at a time, but for those that are padded or near a fault.
type content struct {
	r       *reader
	err     error   // what ended it; io.EOF is its closing quote
	bad     bool    // err is a fault of the Base64, so the JSON can be read on
	padded  bool    // nothing may follow
	slow    bool    // a fault is near: find it character by character
	quantum [4]byte // its first n characters wait for the others
	n       int
	out     [3]byte // a quantum for which the caller had no room
	left    []byte  // the part of out not yet taken
}

// content reads the string at the reader into the sink. What the sink did not
// take, and all of it once there are faults, is checked only.
func (r *reader) content(known mail.Attachment) error {
	r.pos++
	c := &content{r: r}
	if len(r.violations) == 0 {
		if err := r.attach(r.item, known, c); err != nil && !isOf(c.err, err) {
			return err
		}
	}
	return c.close()
}

// isOf says whether the error of a sink is what its content ended with.
func isOf(content, sink error) bool {
	return content != nil && !errors.Is(content, io.EOF) && errors.Is(sink, content)
}

// close reads to the end of the string. Reading content after it ends at once.
func (c *content) close() error {
	if _, err := io.Copy(io.Discard, c); err == nil {
		return nil
	}
	if !c.bad {
		return c.err
	}
	if _, _, err := c.r.rest(nil, 0); err != nil {
		return err
	}
	return c.r.collect(problem.Of(c.err).Violations[0])
}

// Read returns no byte of a quantum before all of it is there and right, and
// io.EOF only once the string has ended. A body that ends early is never io.EOF.
func (c *content) Read(p []byte) (n int, err error) {
	for n < len(p) {
		var k int
		switch {
		case len(c.left) > 0:
			k = copy(p[n:], c.left)
			c.left = c.left[k:]
		case n > 0 && !c.ready():
			return n, nil
		case c.err != nil:
			return 0, c.err
		default:
			k, c.err = c.step(p[n:])
		}
		n += k
	}
	return n, nil
}

// ready says whether more can be read without waiting for the body.
func (c *content) ready() bool { return c.err == nil && c.r.pos < c.r.end }

// step goes on by as many quanta as it can or, when it cannot, by one character.
func (c *content) step(p []byte) (int, error) {
	char, err := c.r.peek()
	if err != nil {
		return 0, err
	}
	if char == '"' {
		if c.n > 0 {
			return 0, c.last()
		}
		c.r.pos++
		return 0, io.EOF
	}
	if n, ok := c.decode(p); ok {
		return n, nil
	}
	start := c.r.offset()
	if char == ' ' {
		c.r.pos++
		return 0, nil
	}
	if char != '\\' {
		if err := c.add(rune(char), start); err != nil {
			return 0, err
		}
		c.r.pos++
		return 0, nil
	}
	unescaped, err := c.r.escape()
	if err != nil || strings.ContainsRune(" \t\r\n", unescaped) {
		return 0, err
	}
	return 0, c.add(unescaped, start)
}

// decode decodes the quanta in the buffer for which p has room, and says whether
// it read anything.
func (c *content) decode(p []byte) (n int, ok bool) {
	room := len(p) / 3 * 4
	if room == 0 || c.padded || c.slow {
		return 0, false
	}
	window := c.r.ahead()
	window = window[:min(len(window), room)]
	if n, ok := c.plain(p, window); ok {
		return n, true
	}
	if len(before('\\', window[:min(len(window), directBytes)])) < directBytes {
		return c.gather(p, before('"', window[:min(len(window), scratchBytes-len(c.quantum))]))
	}
	if c.n > 0 {
		return 0, false
	}
	quanta := unpadded(before('"', before('\\', window)))
	quanta = quanta[:len(quanta)/4*4]
	return c.quanta(p, quanta, len(quanta))
}

// plain decodes all of window, if that is nothing but quanta without padding, as most
// windows of a large attachment are. Nobody need look for their end first.
func (c *content) plain(p, window []byte) (n int, ok bool) {
	window = window[:len(window)/4*4]
	if c.n > 0 || len(window) < directBytes {
		return 0, false
	}
	n, err := manyQuanta.Decode(p, window)
	if err != nil || n != len(window)/4*3 {
		return 0, false
	}
	c.r.pos += len(window)
	return n, true
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

// gather decodes window, which has escape sequences. Without them and the line
// breaks that they stand for it is put together first.
func (c *content) gather(p, window []byte) (n int, ok bool) {
	if c.r.scratch == nil {
		c.r.scratch = make([]byte, scratchBytes)
	}
	chars := c.r.scratch[:0]
	chars = append(chars, c.quantum[:c.n]...)
	read := 0
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
	whole := len(chars) / 4 * 4
	rest := chars[whole:]
	if strings.Trim(string(rest), alphabet[:64]) != "" {
		c.slow = true
		return 0, false
	}
	if n, ok = c.quanta(p, chars[:whole], read); ok {
		c.n = copy(c.quantum[:], rest)
	}
	return n, ok
}

// quanta decodes quanta, for which read bytes of the buffer stand.
func (c *content) quanta(p, quanta []byte, read int) (n int, ok bool) {
	n, err := manyQuanta.Decode(p, quanta)
	// Decode skips bare line breaks, which no JSON string may have, and takes
	// padding, after which nothing may follow.
	if err != nil || n != len(quanta)/4*3 {
		c.slow = true
		return 0, false
	}
	c.r.pos += read
	return n, read > 0
}

// last decodes a group at the end that is not padded.
func (c *content) last() error {
	n, err := base64.RawStdEncoding.Decode(c.out[:], c.quantum[:c.n])
	if err != nil {
		return c.violation(c.r.offset(), "The Base64 ends within a group of four characters.")
	}
	c.n, c.left = 0, c.out[:n]
	return nil
}

// add adds one character, found at offset, to the quantum.
func (c *content) add(char rune, offset int64) error {
	switch {
	case c.padded:
		return c.violation(offset, "Something follows the padding of the Base64.")
	case char == '-' || char == '_':
		return c.violation(offset, "This is the alphabet for URLs. Write + for - and / for _.")
	case char == ':':
		return c.violation(offset, "A colon is not Base64. Of a data: URL, send what follows the comma.")
	case !strings.ContainsRune(alphabet, char):
		return c.violation(offset, "This character is not Base64. Write the bytes of the file in Base64.")
	}
	c.quantum[c.n] = byte(char)
	if c.n++; c.n < len(c.quantum) {
		return nil
	}
	c.n = 0
	n, err := oneQuantum.Decode(c.out[:], c.quantum[:])
	if err != nil {
		return c.violation(offset, "The Base64 is padded wrongly.")
	}
	c.padded = n < len(c.out)
	c.left = c.out[:n]
	return nil
}

func (c *content) violation(offset int64, detail string) error {
	c.bad = true
	p := problem.New(problem.InvalidMessage, "The content of an attachment is not Base64.")
	p.Violations = []problem.Violation{{Pointer: string(c.r.pointer), Detail: detail, Offset: &offset}}
	return p
}

// alphabet: RFC 4648 section 4.
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

var oneQuantum = base64.StdEncoding

package wire

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strings"

	"github.com/posthorn/posthorn/handler/problem"
)

// content is a Base64 string of the body, decoded while it is read. It takes
// what it decodes from the reader's buffer straight to the caller's; only
// quanta that an escape sequence or the end of a buffer splits are put together.
type content struct {
	r       *reader
	err     error   // what ended it
	whole   bool    // it ended behind its closing quote: err is io.EOF
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
func (r *reader) content() error {
	r.pos++
	c := &content{r: r}
	if len(r.faults) == 0 {
		err := r.attach(r.item, c)
		own := c.err != nil && !c.whole && errors.Is(err, c.err)
		if err != nil && !own {
			return err
		}
	}
	return c.close()
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
	return c.r.collect(problem.Of(c.err).Faults[0])
}

// Read returns no byte of a quantum before all of it is there and right, and
// io.EOF only once the string has ended. A body that ends early is never io.EOF.
func (c *content) Read(p []byte) (int, error) {
	for len(p) > 0 {
		if len(c.left) > 0 {
			n := copy(p, c.left)
			c.left = c.left[n:]
			return n, nil
		}
		if c.err != nil {
			return 0, c.err
		}
		n, err := c.step(p)
		c.err = err
		if n > 0 {
			return n, nil
		}
	}
	return 0, nil
}

// step goes on by the whole quanta in the buffer for which p has room or, when
// there are none, by one character.
func (c *content) step(p []byte) (int, error) {
	char, err := c.r.peek()
	if err != nil {
		return 0, err
	}
	if char == '"' {
		if c.n > 0 {
			return 0, c.fault(c.r.offset(), "The Base64 ends within a group of four characters.")
		}
		c.r.pos++
		c.whole = true
		return 0, io.EOF
	}
	if n := c.decode(p); n > 0 {
		return n, nil
	}
	start := c.r.offset()
	if char != '\\' {
		if err := c.add(rune(char), start); err != nil {
			return 0, err
		}
		c.r.pos++
		return 0, nil
	}
	unescaped, err := c.r.escape()
	if err != nil || unescaped == '\r' || unescaped == '\n' {
		return 0, err
	}
	return 0, c.add(unescaped, start)
}

// decode decodes the whole quanta at the reader for which p has room. It is not
// for the last quantum if that is padded, nor for anything that may be wrong.
func (c *content) decode(p []byte) int {
	if c.n > 0 || c.padded || c.slow {
		return 0
	}
	window := c.r.buf[c.r.pos:c.r.end]
	window = window[:min(len(window), len(p)/3*4)]
	if i := bytes.IndexByte(window, '"'); i >= 0 {
		window = window[:i]
	}
	if i := bytes.IndexByte(window, '\\'); i >= 0 {
		window = window[:i]
	}
	window = window[:len(window)/4*4]
	if bytes.HasSuffix(window, []byte{'='}) {
		window = window[:len(window)-4]
	}
	n, err := strict.Decode(p, window)
	// Decode skips bare line breaks, which no JSON string may have.
	if err != nil || n != len(window)/4*3 {
		c.slow = true
		return 0
	}
	c.r.pos += len(window)
	return n
}

// add adds one character, found at offset, to the quantum.
func (c *content) add(char rune, offset int64) error {
	if c.padded {
		return c.fault(offset, "Something follows the padding of the Base64.")
	}
	if !strings.ContainsRune(alphabet, char) {
		return c.fault(offset, "This character is not Base64.")
	}
	c.quantum[c.n] = byte(char)
	if c.n++; c.n < len(c.quantum) {
		return nil
	}
	c.n = 0
	n, err := strict.Decode(c.out[:], c.quantum[:])
	if err != nil {
		return c.fault(offset, "The Base64 is padded wrongly, or has stray bits before its padding.")
	}
	c.padded = n < len(c.out)
	c.left = c.out[:n]
	return nil
}

func (c *content) fault(offset int64, detail string) error {
	c.bad = true
	p := problem.New(problem.InvalidMessage, "The content of an attachment is not Base64.")
	p.Faults = []problem.Fault{{Pointer: string(c.r.pointer), Detail: detail, Offset: &offset}}
	return p
}

// alphabet: RFC 4648 section 4.
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

var strict = base64.StdEncoding.Strict()

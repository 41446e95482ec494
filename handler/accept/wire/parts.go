package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/posthorn/posthorn/handler/problem"
)

// maxPartHeaderBytes guards memory against the header of a part. A file name of
// the longest kind, percent-encoded, fits in.
const maxPartHeaderBytes = 8 << 10

// parts is a place in a multipart body: RFC 2046 section 5.1. It is stricter in
// what may surround a boundary: the line holds nothing else, no line of a part
// begins with it, and nothing but white space follows the last.
type parts struct {
	source
	delimiter []byte // a line break, two hyphens, the boundary
	last      bool   // the boundary that ends the body was read
	pointer   string // RFC 6901, to the attachment that the part is
}

func newParts(src io.Reader, boundary string) *parts {
	p := &parts{source: source{src: src}, delimiter: []byte("\r\n--" + boundary)}
	// The first boundary may stand where the body begins, without the line
	// break that belongs to all the others.
	p.buf = make([]byte, bufferBytes)
	p.end = copy(p.buf, "\r\n")
	p.base = -int64(p.end)
	return p
}

// more is fill where the body must go on.
func (p *parts) more() error {
	err := p.fill()
	if !errors.Is(err, errEnd) {
		return err
	}
	return p.fault(p.base+int64(p.end), "The body ended early.")
}

func (p *parts) fault(offset int64, detail string) error {
	err := problem.New(problem.InvalidMessage, "Reading the body stopped at byte %d. %s", offset, detail)
	err.Violations = []problem.Violation{{Pointer: p.pointer, Detail: detail, Offset: &offset}}
	return err
}

// read reads what stands before the next boundary. At that it steps over it and
// returns io.EOF, which therefore never comes of a body that was cut off.
func (p *parts) read(b []byte) (int, error) {
	for {
		window := p.ahead()
		window = window[:min(len(window), len(b)+len(p.delimiter))]
		at := bytes.Index(window, p.delimiter)
		if at == 0 {
			return 0, p.boundary()
		}
		if at < 0 {
			at = len(window) - p.begun(window)
		}
		if at > 0 {
			n := copy(b, window[:at])
			p.pos += n
			return n, nil
		}
		if err := p.more(); err != nil {
			return 0, err
		}
	}
}

// begun returns how many bytes at the end of window may begin the delimiter. It
// has one CR, at its start.
func (p *parts) begun(window []byte) int {
	if i := bytes.LastIndexByte(window, '\r'); i >= 0 && bytes.HasPrefix(p.delimiter, window[i:]) {
		return len(window) - i
	}
	return 0
}

// boundary steps over the delimiter at the reader, and over the hyphens if it is
// the last. It leaves the line break to header.
func (p *parts) boundary() error {
	p.pos += len(p.delimiter)
	for p.end-p.pos < 2 {
		if err := p.more(); err != nil {
			return err
		}
	}
	switch string(p.ahead()[:2]) {
	case "\r\n":
	case "--":
		p.pos += 2
		p.last = true
	default:
		return p.fault(p.offset(), "The line of a boundary has something else in it.")
	}
	return io.EOF
}

// header reads the lines between a boundary and the content of its part.
func (p *parts) header() (string, error) {
	const end = "\r\n\r\n"
	for {
		window := p.ahead()
		window = window[:min(len(window), maxPartHeaderBytes)]
		if i := bytes.Index(window, []byte(end)); i >= 0 {
			lines := string(window[2 : i+2])
			// A part without content may go without the line break that ends
			// its header: it is that of the next boundary.
			p.pos += i + 2
			return lines, p.blank()
		}
		if len(window) == maxPartHeaderBytes {
			return "", p.fault(p.offset()+2, "The header of the part is too long.")
		}
		if err := p.more(); err != nil {
			return "", err
		}
	}
}

// blank steps over the line break at the reader unless it begins a boundary.
func (p *parts) blank() error {
	for p.end-p.pos < len(p.delimiter) && bytes.HasPrefix(p.delimiter, p.ahead()) {
		if err := p.more(); err != nil {
			return err
		}
	}
	if !bytes.HasPrefix(p.ahead(), p.delimiter) {
		p.pos += 2
	}
	return nil
}

// finish reads white space to the end of the body.
func (p *parts) finish() error {
	for {
		if rest := bytes.TrimLeft(p.ahead(), " \t\r\n"); len(rest) > 0 {
			p.pos = p.end - len(rest)
			return p.fault(p.offset(), "There is something after the last boundary.")
		}
		p.pos = p.end
		if err := p.fill(); errors.Is(err, errEnd) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// part is the content of one part.
type part struct {
	of  *parts
	err error // what ended it
}

// Read returns io.EOF once the whole boundary behind the part was read.
func (p *part) Read(b []byte) (int, error) {
	if p.err != nil || len(b) == 0 {
		return 0, p.err
	}
	n, err := p.of.read(b)
	p.err = err
	return n, err
}

// close reads to the end of the part. Reading it after that ends at once.
func (p *part) close() error {
	_, err := io.Copy(io.Discard, p)
	return err
}

// isBoundary: RFC 2046 section 5.1.1.
func isBoundary(s string) bool {
	const chars = alphabet + "'(),-.:?_ "
	return s != "" && len(s) <= 70 && s[len(s)-1] != ' ' && strings.Trim(s, chars) == ""
}

package acs

import (
	"bytes"
	"strings"
)

// plainOperation reads an operation as the service writes nearly all: an object of
// id, status and a null error, each at most once, in any order, in printable ASCII
// without escapes. Of such a text encoding/json makes the same, at several times
// the cost; of any other, ok is false and it is encoding/json's to read.
func plainOperation(text []byte) (id, status string, ok bool) {
	s := scan{rest: text}
	if !s.next('{') {
		return "", "", false
	}
	seen := ""
	for {
		name, ok := s.word()
		if !ok || strings.Contains(seen, name) || !s.next(':') {
			return "", "", false
		}
		switch name {
		case "id":
			id, ok = s.word()
		case "status":
			status, ok = s.word()
		case "error":
			ok = s.null()
		default:
			ok = false
		}
		if !ok {
			return "", "", false
		}
		seen += name + " "
		if s.next(',') {
			continue
		}
		return id, status, s.next('}') && s.ended()
	}
}

// scan takes tokens from the front of rest, and spaces before them.
type scan struct{ rest []byte }

func (s *scan) space() { s.rest = bytes.TrimLeft(s.rest, " \t\r\n") }

func (s *scan) ended() bool {
	s.space()
	return len(s.rest) == 0
}

func (s *scan) next(c byte) bool {
	s.space()
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *scan) null() bool {
	s.space()
	rest, ok := bytes.CutPrefix(s.rest, []byte("null"))
	s.rest = rest
	return ok
}

// word takes a string of printable ASCII without escapes.
func (s *scan) word() (string, bool) {
	if !s.next('"') {
		return "", false
	}
	for i, c := range s.rest {
		switch {
		case c == '"':
			word := string(s.rest[:i])
			s.rest = s.rest[i+1:]
			return word, true
		case c < ' ' || c > '~' || c == '\\':
			return "", false
		}
	}
	return "", false
}

package problem

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// MaxViolations is how many violations a problem tells at most, so that it can be read.
const MaxViolations = 50

// Violation is one thing wrong in a JSON body.
type Violation struct {
	Pointer string `json:"pointer"`          // RFC 6901, "" for the whole body
	Detail  string `json:"detail"`           // a sentence
	Offset  *int64 `json:"offset,omitempty"` // byte of the body, for malformed JSON

	said *said // what Detail was made of, nil if it names no member
}

// said is a format and its arguments. Some arguments are Names.
type said struct {
	format string
	args   []any
}

// Name stands in a sentence for the member at a pointer, or for any one of several. Other
// APIs call members otherwise, so no sentence has the name of a member in its text.
type Name []string

// NewViolation makes a violation whose sentence may name members.
func NewViolation(pointer, format string, args ...any) Violation {
	f := Violation{Pointer: pointer, said: &said{format, args}}
	f.Detail = f.Say(asPointer)
	if !slices.ContainsFunc(args, func(a any) bool { _, is := a.(Name); return is }) {
		f.said = nil
	}
	return f
}

// Placed is f where place says that its members stand.
func (f Violation) Placed(place func(pointer string) string) Violation {
	f.Pointer = place(f.Pointer)
	if f.said == nil {
		return f
	}
	args := slices.Clone(f.said.args)
	for i, a := range args {
		if n, is := a.(Name); is {
			args[i] = n.placed(place)
		}
	}
	f.said = &said{f.said.format, args}
	f.Detail = f.Say(asPointer)
	return f
}

// Say is Detail with places written as spell does.
func (f Violation) Say(spell func(pointer string) string) string {
	if f.said == nil {
		return f.Detail
	}
	args := slices.Clone(f.said.args)
	for i, a := range args {
		if n, is := a.(Name); is {
			args[i] = n.seenFrom(f.Pointer, spell)
		}
	}
	return fmt.Sprintf(f.said.format, args...)
}

func asPointer(pointer string) string { return pointer }

// placed has each member once. One that has no place of its own stands where what it
// belongs to does, and is left out beside others.
func (n Name) placed(place func(string) string) Name {
	var all Name
	for _, pointer := range n {
		if theirs := place(pointer); !slices.Contains(all, theirs) {
			all = append(all, theirs)
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(p string) bool {
		return slices.ContainsFunc(all, func(other string) bool { return strings.HasPrefix(other, p+"/") })
	})
}

// seenFrom lists the members with "or", each as short as a reader at from needs it.
func (n Name) seenFrom(from string, spell func(string) string) string {
	words := make([]string, len(n))
	for i, pointer := range n {
		words[i] = short(pointer, from, spell)
	}
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

var position = regexp.MustCompile(`/\d+(/|$)`)

// short is the name of a member within from, or beside it, or anywhere, with no list
// between; of all else it is the place.
func short(pointer, from string, spell func(string) string) string {
	beside := from[:max(0, strings.LastIndexByte(from, '/'))]
	if rest, within := strings.CutPrefix(pointer, from+"/"); within && !position.MatchString("/"+rest) {
		return dotted(rest)
	}
	switch rest, near := strings.CutPrefix(pointer, beside+"/"); {
	case near && !position.MatchString("/"+rest):
		return dotted(rest)
	case pointer != "" && !position.MatchString(pointer):
		return dotted(pointer[1:])
	}
	return spell(pointer)
}

func dotted(steps string) string { return strings.ReplaceAll(steps, "/", ".") }

package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/problem"
)

// kind is the type of a value in JSON.
type kind byte

const (
	null kind = iota
	boolean
	number
	text
	object
	array
)

// value is JSON as it came: members in their order, numbers as their text.
type value struct {
	kind    kind
	text    string   // of a string, a number, true or false
	members []member // of an object
	items   []value  // of an array
}

type member struct {
	name  string
	value value
}

// decode reads a body with wire's strictness: it knows what a sender cannot have
// meant, such as a member that stands twice.
func decode(ctx context.Context, body []byte) (value, error) {
	if err := wire.Valid(ctx, bytes.NewReader(body)); err != nil {
		return value{}, err
	}
	d := &decoder{Decoder: json.NewDecoder(bytes.NewReader(body))}
	d.UseNumber()
	v, err := d.read()
	return v, problem.Wrap(problem.MalformedJSON, "The body is not acceptable JSON.", err)
}

// decoder counts the values that it has read.
type decoder struct {
	*json.Decoder
	values int
}

func (d *decoder) read() (value, error) {
	if d.values++; d.values > maxValues {
		return value{}, problem.New(problem.TooLarge, "The payload has more than %d values.", maxValues)
	}
	t, err := d.Token()
	if err != nil {
		return value{}, err
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '{' {
			return d.readObject()
		}
		return d.readArray()
	case string:
		return value{kind: text, text: visible(t)}, nil
	case json.Number:
		return value{kind: number, text: t.String()}, nil
	case bool:
		return value{kind: boolean, text: strconv.FormatBool(t)}, nil
	default:
		return value{kind: null}, nil
	}
}

func (d *decoder) readObject() (value, error) {
	v := value{kind: object}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return value{}, err
		}
		of, err := d.read()
		if err != nil {
			return value{}, err
		}
		v.members = append(v.members, member{visible(fmt.Sprint(name)), of})
	}
	_, err := d.Token()
	return v, err
}

func (d *decoder) readArray() (value, error) {
	v := value{kind: array}
	for d.More() {
		item, err := d.read()
		if err != nil {
			return value{}, err
		}
		v.items = append(v.items, item)
	}
	_, err := d.Token()
	return v, err
}

// visible replaces what neither HTML nor a text body can show: control characters
// but for tabs and ends of lines, and what is not UTF-8.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r' {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}

// plain is v as templates see it: maps, lists, booleans and strings. A member that
// is null is not there, so that {{.a.b}} is empty and no error if a is null.
func (v value) plain() any {
	switch v.kind {
	case object:
		m := make(map[string]any, len(v.members))
		for _, of := range v.members {
			if of.value.kind != null {
				m[of.name] = of.value.plain()
			}
		}
		return m
	case array:
		list := make([]any, 0, len(v.items))
		for _, item := range v.items {
			list = append(list, item.plain())
		}
		return list
	case boolean:
		return v.text == "true"
	case null:
		return nil
	default:
		return v.text
	}
}

// at is the value at a JSON pointer (RFC 6901); null if there is none.
func (v value) at(pointer string) value {
	if pointer == "" {
		return v
	}
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		v = v.step(strings.NewReplacer("~1", "/", "~0", "~").Replace(step))
	}
	return v
}

func (v value) step(name string) value {
	if v.kind == array {
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(v.items) {
			return v.items[i]
		}
		return value{}
	}
	for _, of := range v.members {
		if of.name == name {
			return of.value
		}
	}
	return value{}
}

// scalar says whether v is one word and not a structure.
func (v value) scalar() bool { return v.kind != object && v.kind != array }

// count is the number of values in v.
func (v value) count() int {
	n := 1
	for _, of := range v.members {
		n += of.value.count()
	}
	for _, of := range v.items {
		n += of.count()
	}
	return n
}

// words are the strings of v: one, the items of a list, or several with commas.
func (v value) words() []string {
	if v.kind == array {
		var all []string
		for _, item := range v.items {
			if item.scalar() {
				all = append(all, item.words()...)
			}
		}
		return all
	}
	var all []string
	for word := range strings.SplitSeq(v.text, ",") {
		if word = strings.TrimSpace(word); word != "" {
			all = append(all, word)
		}
	}
	return all
}

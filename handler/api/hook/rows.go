package hook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxRows is what a person still reads in a message.
	maxRows = 300
	// maxRowRunes is what one row shows of its value, maxNameRunes of its name.
	maxRowRunes, maxNameRunes = 4000, 400
	// maxRowsBytes is what all rows of a payload take of a template, with room left for
	// what stands around them.
	maxRowsBytes = maxOutputBytes * 3 / 4
	// fewRunes are so few that maxRows of them fit, whatever they are.
	fewRunes = 60
)

// row is one line of a table: what it is, what it says, and where it leads if it is
// an address.
type row struct {
	Name, Text, URL string
}

// newRow shows HTML as its words.
func newRow(name, content string) row {
	if markup.MatchString(content) {
		content = prose(content)
	}
	return verbatimRow(name, content)
}

// verbatimRow makes no link of what is cut: it would lead nowhere.
func verbatimRow(name, content string) row {
	content = clip(content, maxRowRunes)
	return row{clip(name, maxNameRunes), content, webAddress(content)}
}

// bytesOf is the most that rows take in HTML.
func bytesOf(rows []row) int {
	n := 0
	for _, r := range rows {
		n += inHTML(r.Name) + inHTML(r.Text) + 5*len(r.URL)
	}
	return n
}

// inHTML is how long a text is in HTML, where each line is a round of a loop besides.
func inHTML(s string) int {
	n := len(s)
	for _, c := range []byte(s) {
		switch c {
		case '<', '>', '&', '"', '\'', '+':
			n += len("&#34;") - 1
		case '\n':
			n += 16
		}
	}
	return n
}

// shrinkToFit cuts the values until all rows fit: a person reads what is there, and the
// rest with the sender.
func shrinkToFit(all []row) []row {
	for runes := maxRowRunes / 2; bytesOf(all) > maxRowsBytes && runes > fewRunes/2; runes /= 2 {
		for i, r := range all {
			all[i].Name, all[i].Text = clip(r.Name, runes), clip(r.Text, runes)
			if len(all[i].Text) < len(r.Text) || len(r.URL) > 4*runes {
				all[i].URL = ""
			}
		}
	}
	return all
}

// rows lays any value out as a table, in its order, that a template can always show.
// The names of nested members are joined; a list of words is one row, and structures in
// a list are numbered.
func rows(v value) []row { return layOut(v, newRow) }

func layOut(v value, newRow func(name, content string) row) []row {
	if v.kind == null {
		return nil // it is not there
	}
	l := layout{newRow: newRow}
	l.add("", v)
	if len(l.rows) == 1 && l.rows[0].Name == "" { // no object, or an empty one
		l.rows[0].Name = "value"
	}
	if l.left > 0 {
		l.rows = append(l.rows, row{Name: "…", Text: fmt.Sprintf("and %d more", l.left)})
	}
	return shrinkToFit(l.rows)
}

type layout struct {
	newRow func(name, content string) row
	rows   []row
	left   int // that had no room
}

func (l *layout) add(name string, v value) {
	switch {
	case v.kind == object && len(v.members) > 0:
		for _, of := range v.members {
			l.add(joinName(name, of.name), of.value)
		}
	case v.kind == array && slices.ContainsFunc(v.items, func(item value) bool { return !item.scalar() }):
		for i, item := range v.items {
			l.add(joinName(name, strconv.Itoa(i+1)), item)
		}
	case len(l.rows) >= maxRows:
		l.left++
	default:
		l.rows = append(l.rows, l.newRow(name, v.line()))
	}
}

func joinName(outer, inner string) string {
	if outer == "" {
		return clip(inner, maxNameRunes)
	}
	return clip(outer+" › "+inner, maxNameRunes)
}

// line is v in one row.
func (v value) line() string {
	switch v.kind {
	case null:
		return "–"
	case array:
		words := make([]string, len(v.items))
		for i, item := range v.items {
			words[i] = item.line()
		}
		if len(words) == 0 {
			return "none"
		}
		return strings.Join(words, ", ")
	case object: // an empty one
		return "none"
	default:
		return v.text
	}
}

// facts makes rows of names and values in turn, without those that are empty.
func (b *budget) facts(pairs ...any) ([]row, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("facts takes names and values in turn")
	}
	var all []row
	for i := 0; i < len(pairs); i += 2 {
		name, err := b.text(pairs[i])
		if err != nil {
			return nil, err
		}
		content, err := b.text(pairs[i+1])
		if err != nil {
			return nil, err
		}
		if content != "" {
			all = append(all, newRow(name, content))
		}
	}
	return all, b.spendStep()
}

// pairs makes rows of an object, by name, without the names that are left out and
// without what is empty.
func (b *budget) pairs(v any, without ...string) ([]row, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, nil
	}
	m = maps.Clone(m)
	maps.DeleteFunc(m, func(name string, _ any) bool { return slices.Contains(without, name) })
	left := maxValues
	of, err := valueOf(m, 0, &left)
	if err != nil {
		return nil, err
	}
	return b.table(details(of, nil))
}

// structure writes a template's value as JSON, as far as it may be long and deep:
// a template can build one that holds itself many times over.
type structure struct {
	bytes.Buffer
}

const maxStructureDepth = 64

func (w *structure) write(v any, depth int) error {
	if depth > maxStructureDepth || w.Len() > maxValueBytes {
		return errValue
	}
	switch v := v.(type) {
	case map[string]any:
		w.WriteByte('{')
		for i, name := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				w.WriteByte(',')
			}
			w.quote(name)
			w.WriteByte(':')
			if err := w.write(v[name], depth+1); err != nil {
				return err
			}
		}
		w.WriteByte('}')
	case []any:
		w.WriteByte('[')
		for i, item := range v {
			if i > 0 {
				w.WriteByte(',')
			}
			if err := w.write(item, depth+1); err != nil {
				return err
			}
		}
		w.WriteByte(']')
	default:
		w.quote(v)
	}
	return nil
}

// quote writes a scalar; it always encodes.
func (w *structure) quote(v any) {
	e := json.NewEncoder(&w.Buffer)
	e.SetEscapeHTML(false)
	if e.Encode(v) == nil {
		w.Truncate(w.Len() - 1) // the encoder ends a line
	}
}

package hook

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// maxValueBytes bounds each string that a function makes: a loop that doubles a
// string must not fill the memory before it writes anything.
const maxValueBytes = 256 << 10

var errValue = fmt.Errorf("a value of the template is longer than %d bytes", maxValueBytes)

// functions are all that a template can call beside the functions in allowed. No function
// opens a file or a connection. Each spends the bytes that it reads or makes; text spends
// what it returns.
func (s scope) functions(b *budget) map[string]any {
	return map[string]any{
		"step": func() (bool, error) { return true, b.spendStep() },
		"text": b.text,
		// The payload, the hook and the delivery.
		"rows": func(pointer string) ([]row, error) { return b.table(s.rows(pointer)) },
		"details": func(pointer string, without ...string) ([]row, error) {
			return b.table(details(s.payload.at(pointer), without))
		},
		"brief": func(pointer string, without ...string) ([]row, error) {
			return b.table(brief(s.payload.at(pointer), without))
		},
		"at":       func(pointer string) any { return s.payload.at(pointer).plain() },
		"headline": func(pointer string) (string, error) { v := s.payload.at(pointer); return headline(v), b.walk(v) },
		"called": func(pointer string, without ...string) (string, error) {
			v := s.payload.at(pointer)
			return v.called(without), b.walk(v)
		},
		"names": func(list any) (string, error) { return b.join(", ", names(list)) },
		"distinct": func(list, pointer string) ([]any, error) {
			v := s.payload.at(list)
			return distinct(v, pointer), b.walk(v)
		},
		"hook":    func() string { return s.hook },
		"subject": func() string { return s.subject },
		"header":  func(name string) string { return header(s.header, name) },
		// Words.
		"print":   func(all ...any) (string, error) { return b.join("", all) },
		"printf":  b.printf,
		"join":    b.join,
		"phrase":  func(v any) (string, error) { t, err := b.text(v); return phrase(t), err },
		"capital": func(v any) (string, error) { t, err := b.text(v); return capital(t), err },
		"prose":   func(v any) (string, error) { t, err := b.text(v); return prose(t), err },
		"without": func(prefix string, v any) (string, error) {
			t, err := b.text(v)
			return strings.TrimPrefix(t, prefix), err
		},
		"lower":    func(v any) (string, error) { t, err := b.text(v); return strings.ToLower(t), err },
		"upper":    func(v any) (string, error) { t, err := b.text(v); return strings.ToUpper(t), err },
		"default":  func(other, v any) (string, error) { return b.first(v, other) },
		"first":    b.first,
		"clip":     func(n int, v any) (string, error) { t, err := b.text(v); return clip(t, n), err },
		"lines":    b.lines,
		"base":     func(v any) (string, error) { t, err := b.text(v); return path.Base("/" + t), err },
		"contains": b.contains,
		// Numbers, times, addresses.
		"number": func(v any) (float64, error) { t, err := b.text(v); return asNumber(t), err },
		"money":  func(amount, currency any) (string, error) { return b.money(amount, currency) },
		"date":   func(v any) (string, error) { t, err := b.text(v); return date(t), err },
		"span":   func(from, to any) (string, error) { return b.span(from, to) },
		"url":    func(v any) (string, error) { t, err := b.text(v); return webAddress(t), err },
		// Structures.
		"list":  func(items ...any) []any { return items },
		"head":  head,
		"json":  b.json,
		"dict":  dict,
		"facts": b.facts,
		"pairs": b.pairs,
		"count": b.count,
	}
}

// rows are those at a pointer. What people write into a form stands as they mean it.
func (s scope) rows(pointer string) []row {
	if s.form {
		return layOut(s.payload.at(pointer), verbatimRow)
	}
	return rows(s.payload.at(pointer))
}

// text is how a value is written: nothing for what is missing, JSON for a
// structure.
func (b *budget) text(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, b.spendBytes(len(v))
	case bool:
		return strconv.FormatBool(v), nil
	case int:
		return strconv.Itoa(v), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	}
	if err := b.spendStep(); err != nil {
		return "", err
	}
	var w structure
	err := w.write(v, 0)
	return w.String(), errors.Join(err, b.spendBytes(w.Len()))
}

// builder makes a string of bounded length.
type builder struct {
	*budget
	strings.Builder
}

func (w *builder) add(t string) error {
	if w.Len()+len(t) > maxValueBytes {
		return errValue
	}
	w.WriteString(t)
	return w.spendBytes(len(t))
}

// verbs are the verbs of fmt that printf knows: without an index, which could repeat a value
// any number of times, without a width from a value, and with a width of at most two digits.
var verbs = regexp.MustCompile(`%[-+# 0]*[0-9]{0,2}(?:\.[0-9]{0,2})?[a-zA-Z%]`)

func (b *budget) printf(format string, all ...any) (string, error) {
	out := builder{budget: b}
	for format != "" {
		at := verbs.FindStringIndex(format)
		if at == nil {
			at = []int{len(format), len(format)}
		}
		literal, verb := format[:at[0]], format[at[0]:at[1]]
		if strings.Contains(literal, "%") {
			return "", errors.New("printf takes verbs such as %s and %5.1f, with a width of at most two digits")
		}
		if err := out.add(literal); err != nil {
			return "", err
		}
		var of []any
		if len(all) > 0 && !strings.HasSuffix(verb, "%") && verb != "" {
			of, all = all[:1], all[1:]
		}
		t, err := b.format(verb, of...)
		if err == nil {
			err = out.add(t)
		}
		if err != nil {
			return "", err
		}
		format = format[at[1]:]
	}
	return out.String(), nil
}

// format writes one verb.
func (b *budget) format(verb string, of ...any) (string, error) {
	for i, v := range of {
		switch v.(type) {
		case nil, bool, int, float64:
			continue
		}
		t, err := b.text(v)
		if err != nil {
			return "", err
		}
		if len(t) > maxValueBytes {
			return "", errValue
		}
		of[i] = t
	}
	return fmt.Sprintf(verb, of...), nil
}

// lines are the lines of a text. Each line costs the memory that holds it.
func (b *budget) lines(v any) ([]string, error) {
	t, err := b.text(v)
	if err != nil {
		return nil, err
	}
	t = strings.TrimRight(t, "\r\n")
	if err := b.spendBytes(lineBytes * strings.Count(t, "\n")); err != nil {
		return nil, err
	}
	return strings.Split(t, "\n"), nil
}

const lineBytes = 16

func (b *budget) contains(part, v any) (bool, error) {
	t, err := b.text(v)
	of, partErr := b.text(part)
	return strings.Contains(t, of), errors.Join(err, partErr)
}

func (b *budget) join(separator string, v any) (string, error) {
	list, ok := v.([]any)
	if !ok {
		return b.text(v)
	}
	if err := b.spendStep(); err != nil {
		return "", err
	}
	out := builder{budget: b}
	for i, item := range list {
		t, err := b.text(item)
		if err == nil && i > 0 {
			err = out.add(separator)
		}
		if err == nil {
			err = out.add(t)
		}
		if err != nil {
			return "", err
		}
	}
	return out.String(), nil
}

// table is rows that were made of the payload.
func (b *budget) table(all []row) ([]row, error) {
	if err := b.spendStep(); err != nil {
		return nil, err
	}
	return all, b.spendBytes(bytesOf(all))
}

// walk takes the steps for a walk through v.
func (b *budget) walk(v value) error {
	if err := b.spendStep(); err != nil {
		return err
	}
	return b.spendBytes(lineBytes * v.count())
}

// first is the first of some values that is not empty.
func (b *budget) first(all ...any) (string, error) {
	for _, v := range all {
		if t, err := b.text(v); err != nil || t != "" {
			return t, err
		}
	}
	return "", nil
}

// json is the structure that a string is the JSON of; else what it was.
func (b *budget) json(v any) (any, error) {
	s, isString := v.(string)
	if !isString {
		return v, nil
	}
	if inner, ok := structureIn(s, maxUnfoldedBytes); ok {
		return inner.plain(), b.spendStep()
	}
	return v, b.spendStep()
}

// clip cuts s to n characters. The last character of a cut text is an ellipsis.
func clip(s string, n int) string {
	last, seen := 0, 0 // where the ellipsis would stand, and how many characters were seen
	for at := range s {
		if seen == n-1 {
			last = at
		}
		if seen++; seen > n && n > 0 {
			return strings.TrimRight(s[:last], " \t\r\n") + "…"
		}
	}
	return s
}

// webAddress is s if it leads to the web or to a mailbox, else "". One that was
// clipped leads nowhere.
func webAddress(s string) string {
	u, err := url.Parse(strings.TrimSpace(s))
	if err != nil || strings.Contains(s, "…") {
		return ""
	}
	switch strings.ToLower(u.Scheme) {
	case "http", "https":
		if u.Host == "" || u.User != nil {
			return ""
		}
	case "mailto":
		if u.Opaque == "" {
			return ""
		}
	default:
		return ""
	}
	return u.String()
}

// head are the first n items of a list.
func head(n int, v any) any {
	if list, ok := v.([]any); ok && n >= 0 && n < len(list) {
		return list[:n]
	}
	return v
}

func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("dict takes names and values in turn")
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, errors.New("a name of dict is no string")
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}

// count says how many objects of a list have this member.
func (b *budget) count(list any, name, want string) (int, error) {
	items, _ := list.([]any)
	n := 0
	for _, item := range items {
		if of, ok := item.(map[string]any); ok && of[name] == want {
			n++
		}
	}
	return n, b.spendBytes(len(items) * lineBytes)
}

package hook

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxValueBytes bounds each string that a function makes: a loop that doubles a
// string must not fill the memory before it writes anything.
const maxValueBytes = 256 << 10

var errValue = fmt.Errorf("a value of the template is longer than %d bytes", maxValueBytes)

// functions are all that a template can call beside those of allowed. None opens
// anything, and each that works through a structure takes a step first.
func (s scope) functions(b *budget) map[string]any {
	return map[string]any{
		"step": func() (bool, error) { return true, b.step() },
		"text": b.text,
		// The payload, the hook and the delivery.
		"rows": func(pointer string) ([]row, error) { return rows(s.payload.at(pointer)), b.step() },
		"details": func(pointer string, without ...string) ([]row, error) {
			return details(s.payload.at(pointer), without), b.step()
		},
		"at":       func(pointer string) any { return s.payload.at(pointer).plain() },
		"headline": func(pointer string) (string, error) { return headline(s.payload.at(pointer)), b.step() },
		"brief": func(pointer string, without ...string) ([]row, error) {
			return brief(s.payload.at(pointer), without), b.step()
		},
		"called": func(pointer string, without ...string) (string, error) {
			return s.payload.at(pointer).called(without), b.step()
		},
		"names":    func(list any) (string, error) { return b.join(", ", names(list)) },
		"distinct": func(list, pointer string) ([]any, error) { return distinct(s.payload.at(list), pointer), b.step() },
		"hook":     func() string { return s.hook },
		"subject":  func() string { return s.subject },
		"header":   func(name string) string { return header(s.header, name) },
		// Words.
		"print": b.print, "printf": b.printf, "join": b.join,
		"phrase":  func(v any) (string, error) { t, err := b.text(v); return phrase(t), err },
		"capital": func(v any) (string, error) { t, err := b.text(v); return capital(t), err },
		"prose":   func(v any) (string, error) { t, err := b.text(v); return prose(t), errors.Join(err, b.step()) },
		"without": func(prefix string, v any) (string, error) {
			t, err := b.text(v)
			return strings.TrimPrefix(t, prefix), err
		},
		"lower":   func(v any) (string, error) { t, err := b.text(v); return strings.ToLower(t), err },
		"upper":   func(v any) (string, error) { t, err := b.text(v); return strings.ToUpper(t), err },
		"default": func(other, v any) (string, error) { return b.otherwise(other, v) },
		"first":   b.first,
		"clip":    func(n int, v any) (string, error) { t, err := b.text(v); return clip(t, n), err },
		"lines": func(v any) ([]string, error) {
			t, err := b.text(v)
			return strings.Split(strings.TrimRight(t, "\r\n"), "\n"), err
		},
		"base": func(v any) (string, error) { t, err := b.text(v); return path.Base("/" + t), err },
		"contains": func(part, v any) (bool, error) {
			t, err := b.text(v)
			return strings.Contains(t, fmt.Sprint(part)), err
		},
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

// text is how a value is written: nothing for what is missing, JSON for a
// structure.
func (b *budget) text(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int:
		return strconv.Itoa(v), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	}
	if err := b.step(); err != nil {
		return "", err
	}
	var w structure
	err := w.write(v, 0)
	return w.String(), err
}

func (b *budget) print(all ...any) (string, error) {
	var out strings.Builder
	for _, v := range all {
		t, err := b.text(v)
		if err != nil {
			return "", err
		}
		if out.Len()+len(t) > maxValueBytes {
			return "", errValue
		}
		out.WriteString(t)
	}
	return out.String(), nil
}

// printf knows the verbs of fmt, but no width of more than two digits.
func (b *budget) printf(format string, all ...any) (string, error) {
	digits, size := 0, len(format)
	for _, c := range format {
		if digits++; c < '0' || c > '9' {
			digits = 0
		}
		if digits > 2 || c == '*' {
			return "", errors.New("printf takes a width of at most two digits")
		}
	}
	for i, v := range all {
		switch v.(type) {
		case nil, string, bool, int, float64:
		default:
			t, err := b.text(v)
			if err != nil {
				return "", err
			}
			all[i] = t
		}
		if t, ok := all[i].(string); ok {
			size += 4 * len(t) // %q and %x write up to so much
		}
	}
	if size > maxValueBytes {
		return "", errValue
	}
	return fmt.Sprintf(format, all...), nil
}

func (b *budget) join(separator string, v any) (string, error) {
	list, ok := v.([]any)
	if !ok {
		return b.text(v)
	}
	if err := b.step(); err != nil {
		return "", err
	}
	var out strings.Builder
	for i, item := range list {
		t, err := b.text(item)
		if err != nil {
			return "", err
		}
		if i > 0 {
			t = separator + t
		}
		if out.Len()+len(t) > maxValueBytes {
			return "", errValue
		}
		out.WriteString(t)
	}
	return out.String(), nil
}

func (b *budget) otherwise(other, v any) (string, error) {
	t, err := b.text(v)
	if err != nil || t != "" {
		return t, err
	}
	return b.text(other)
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
		return inner.plain(), b.step()
	}
	return v, b.step()
}

// clip cuts s to n characters, the last of which then is an ellipsis.
func clip(s string, n int) string {
	if n < 1 || utf8.RuneCountInString(s) <= n {
		return s
	}
	return strings.TrimRight(string([]rune(s)[:n-1]), " \t\r\n") + "…"
}

func asNumber(s string) float64 {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
		return 0
	}
	return n
}

// cents says how many decimals Stripe leaves out of an amount. Source:
// docs.stripe.com, "Supported currencies": zero-decimal and three-decimal ones.
func cents(currency string) int {
	switch {
	case slices.Contains([]string{"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"}, currency):
		return 0
	case slices.Contains([]string{"BHD", "JOD", "KWD", "OMR", "TND"}, currency):
		return 3
	}
	return 2
}

// money writes an amount in the smallest unit of its currency as people do.
func (b *budget) money(amount, currency any) (string, error) {
	digits, err := b.text(amount)
	if err != nil {
		return "", err
	}
	code, err := b.text(currency)
	code = strings.ToUpper(code)
	if _, numeral := seconds(digits); err != nil || !numeral || code == "" {
		return digits, err
	}
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	if n := cents(code); n > 0 {
		digits = strings.Repeat("0", max(0, n+1-len(digits))) + digits
		digits = digits[:len(digits)-n] + "." + digits[len(digits)-n:]
	}
	return sign + digits + " " + code, nil
}

// moment reads a time as senders write it: RFC 3339, or seconds since 1970. The
// year 1 is Go's way to say that there is none.
func moment(s string) (time.Time, bool) {
	if n, ok := seconds(s); ok && n > 0 && n < 1<<40 {
		return time.Unix(n, 0).UTC(), true
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	return t.UTC(), err == nil && t.Year() > 1
}

const dateLayout = "2 Jan 2006, 15:04:05 UTC"

func date(s string) string {
	if t, ok := moment(s); ok {
		return t.Format(dateLayout)
	}
	if strings.HasPrefix(s, "0001-01-01") {
		return ""
	}
	return s
}

// span is the time between two times; "" if one of them is none.
func (b *budget) span(from, to any) (string, error) {
	first, err := b.text(from)
	if err != nil {
		return "", err
	}
	last, err := b.text(to)
	start, ok := moment(first)
	end, both := moment(last)
	if err != nil || !ok || !both || end.Before(start) {
		return "", err
	}
	return end.Sub(start).Round(time.Second).String(), nil
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
	return n, b.step()
}

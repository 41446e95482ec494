package hook

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// maxUnfoldedBytes bounds the JSON within strings that one table lays out.
const maxUnfoldedBytes = 64 << 10

// details are the rows of a value for a reader: without the named members, without empty
// ones, and with JSON in strings laid out, as Azure writes it into the properties of events.
func details(v value, without []string) []row {
	if v.kind == object {
		v.members = slices.DeleteFunc(slices.Clone(v.members), func(m member) bool { return slices.Contains(without, m.name) })
	}
	left := maxUnfoldedBytes
	if v = unfold(v, &left); v.empty() {
		return nil
	}
	all := rows(v)
	if len(all) == 1 && all[0].Name == "" {
		all[0].Name = "value"
	}
	return all
}

// unfold is v without what is empty, and with the JSON of its strings instead of
// them, as far as left goes.
func unfold(v value, left *int) value {
	switch v.kind {
	case object:
		of := value{kind: object}
		for _, m := range v.members {
			if m.value = unfold(m.value, left); !m.value.empty() {
				of.members = append(of.members, m)
			}
		}
		return of
	case array:
		of := value{kind: array}
		for _, item := range v.items {
			if item = unfold(item, left); !item.empty() {
				of.items = append(of.items, item)
			}
		}
		return of
	case text:
		if inner, ok := structureIn(v.text, *left); ok {
			*left -= len(v.text)
			return unfold(inner, left)
		}
	}
	return v
}

// structureIn is the object or the list that s is the JSON of.
func structureIn(s string, limit int) (value, bool) {
	s = strings.TrimSpace(s)
	if len(s) > limit || !strings.HasPrefix(s, "{") && !strings.HasPrefix(s, "[") {
		return value{}, false
	}
	v, err := decode(context.Background(), []byte(s))
	return v, err == nil
}

// empty says whether v has nothing to show.
func (v value) empty() bool {
	switch v.kind {
	case null:
		return true
	case text:
		return strings.TrimSpace(v.text) == ""
	default:
		return !v.scalar() && len(v.members)+len(v.items) == 0
	}
}

// valueOf is the value that a template sees as v; members are sorted. A template can
// build what holds itself many times over, so depth and number are bounded.
func valueOf(v any, depth int, left *int) (of value, err error) {
	if *left--; *left < 0 || depth > maxStructureDepth {
		return value{}, errValue
	}
	switch v := v.(type) {
	case map[string]any:
		of.kind = object
		for _, name := range slices.Sorted(maps.Keys(v)) {
			inner, err := valueOf(v[name], depth+1, left)
			if err != nil {
				return value{}, err
			}
			of.members = append(of.members, member{name, inner})
		}
	case []any:
		of.kind = array
		for _, item := range v {
			inner, err := valueOf(item, depth+1, left)
			if err != nil {
				return value{}, err
			}
			of.items = append(of.items, inner)
		}
	case nil:
	default:
		of = value{kind: text, text: fmt.Sprint(v)}
	}
	return of, nil
}

// headlineMembers are the members that tell what an unknown payload is about, the most
// telling first.
var headlineMembers = []string{
	"subject", "title", "summary", "headline", "alertname", "ruleName", "name", "message", "msg", "text",
	"content", "description", "event", "eventType", "type", "action", "status", "state",
}

// headline is one line for an unknown payload: the most telling of its own
// members, else the first word in it; "" if it has none. A number tells nothing.
func headline(v value) string {
	if inner := v.step("payload"); inner.kind == object && len(v.members) == 1 {
		return headline(inner)
	}
	for _, name := range headlineMembers {
		for _, m := range v.members {
			if strings.EqualFold(m.name, name) && m.value.kind == text && !m.value.empty() {
				return firstLine(prose(m.value.text))
			}
		}
	}
	left := 0 // strings stay as they are
	for _, r := range rows(unfold(v, &left)) {
		if strings.ContainsFunc(r.Text, unicode.IsLetter) && !slices.Contains([]string{"none", "true", "false"}, r.Text) {
			return firstLine(r.Text)
		}
	}
	return ""
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return clip(strings.TrimSpace(line), 100)
}

// distinct are the different words at a pointer in each item of a list, in their
// order.
func distinct(list value, pointer string) []any {
	var all []any
	for _, item := range list.items {
		of := item.at(pointer)
		if of.scalar() && !of.empty() && !slices.Contains(all, any(of.text)) {
			all = append(all, of.text)
		}
	}
	return all
}

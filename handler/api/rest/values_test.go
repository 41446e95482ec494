package rest_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// json is a body: an example, an example with changes, or what the schema allows.
func (g *generator) json(content object) []byte {
	text, err := json.Marshal(g.example(content))
	if err != nil {
		return nil // a number that JSON has no word for
	}
	return text
}

func (g *generator) example(content object) any {
	schema := g.resolve(content["schema"])
	examples, _ := content["examples"].(object)
	if len(examples) == 0 || g.one(4) {
		return g.value(schema, 0)
	}
	example := examples[pick(g, slices.Sorted(maps.Keys(examples)))].(object)["value"]
	if g.one(2) {
		return example
	}
	return g.changed(example, schema)
}

// changed is v with some of its parts made anew, left out, doubled or of another
// type.
func (g *generator) changed(v any, schema object) any {
	switch v := v.(type) {
	case object:
		out := maps.Clone(v)
		properties, _ := schema["properties"].(object)
		for _, name := range slices.Sorted(maps.Keys(v)) {
			switch g.IntN(6) {
			case 0:
				delete(out, name)
			case 1:
				out[name] = g.value(g.resolve(properties[name]), 1)
			case 2, 3:
				out[name] = g.changed(v[name], g.resolve(properties[name]))
			}
		}
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			if g.one(8) {
				out[name] = g.value(g.resolve(properties[name]), 1)
			}
		}
		if g.one(12) {
			out[g.text()] = g.anything(1)
		}
		return out
	case []any:
		var out []any
		for _, item := range v {
			for range g.IntN(3) {
				out = append(out, g.changed(item, g.resolve(schema["items"])))
			}
		}
		return out
	}
	if g.one(3) {
		return g.anything(1)
	}
	return v
}

// value is what a schema allows, mostly.
func (g *generator) value(schema object, depth int) any {
	if schema == nil || depth > 6 || g.one(40) {
		return g.anything(depth)
	}
	if choice, ok := schema["oneOf"].([]any); ok {
		return g.value(g.resolve(pick(g, choice)), depth)
	}
	if choice, ok := schema["anyOf"].([]any); ok {
		return g.value(g.resolve(pick(g, choice)), depth)
	}
	if constant, ok := schema["const"]; ok {
		return constant
	}
	if values, ok := schema["enum"].([]any); ok {
		return pick(g, values)
	}
	if examples, ok := schema["examples"].([]any); ok && !g.one(4) {
		return pick(g, examples)
	}
	kind, _ := schema["type"].(string)
	if kinds, ok := schema["type"].([]any); ok {
		kind, _ = pick(g, kinds).(string)
	}
	switch kind {
	case "object":
		return g.members(schema, depth)
	case "array":
		list := []any{}
		for range g.IntN(4) {
			list = append(list, g.value(g.resolve(schema["items"]), depth+1))
		}
		return list
	case "string":
		return g.text()
	case "integer", "number":
		return g.number()
	case "boolean":
		return g.one(2)
	}
	return nil
}

func (g *generator) members(schema object, depth int) object {
	o := object{}
	properties, _ := schema["properties"].(object)
	required, _ := schema["required"].([]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if slices.Contains(required, any(name)) && !g.one(20) || g.one(3) {
			o[name] = g.value(g.resolve(properties[name]), depth+1)
		}
	}
	if more, ok := schema["additionalProperties"].(object); ok || g.one(30) {
		for range g.IntN(3) {
			o[g.text()] = g.value(g.resolve(more), depth+1)
		}
	}
	return o
}

// anything has nothing to do with a schema.
func (g *generator) anything(depth int) any {
	switch g.IntN(9) {
	case 0:
		return nil
	case 1:
		return g.one(2)
	case 2:
		return g.number()
	case 3:
		return []any{}
	case 4:
		return object{}
	case 5:
		if depth < 4 {
			return []any{g.anything(depth + 1), g.anything(depth + 1)}
		}
		return []any{nil}
	case 6:
		if depth < 4 {
			return object{g.text(): g.anything(depth + 1)}
		}
		return object{"": ""}
	case 7: // deep
		var v any = "x"
		for range g.IntN(300) {
			v = []any{v}
		}
		return v
	default:
		return g.text()
	}
}

func (g *generator) number() any {
	return pick(g, []any{0, 1, -1, 2, 255, 1 << 31, int64(1) << 53, -(int64(1) << 62), 0.5, 1e300, json.Number("1e999"), json.Number("-0")})
}

// words have harmed somebody's parser.
var words = []string{
	"", " ", "a", "0", "-1", "null", "undefined", "true", "NaN", "donotreply@example.com", "ann@example.com", "\"a b\"@example.com", "a@b@c", "@", "a@[127.0.0.1]",
	"ann@xn--bcher-kva.example", "ann@bücher.example", "Ann <ann@example.com>", "ann@example.com\r\nBcc: eve@example.com", "..", "../../etc/passwd", "%00", "\x00", "\u202e\u2066", "\ufeff",
	"😀", "ﬀ", "e\u0301\u0301\u0301", "https://example.com/", "cid:a", "<script>alert(1)</script>", "{{.}}", "${7*7}", "P30D", "P", "PT1H", "P999999999D", "2027-01-01T00:00:00Z", "0000-00-00T00:00:00Z",
	"11111111-1111-4111-8111-111111111111", "cG9zdGhvcm4=", "cG9z", "c", "====", "a.txt", "a/b", "text/plain", "image/png", "multipart/mixed", "application/octet-stream; x=\"\\\"\"", "de", "x-y-z-",
	"Content-Type", "To", "X-Header", "List-Unsubscribe", "cleanup", "me",
}

func (g *generator) text() string {
	switch g.IntN(12) {
	case 0:
		return strings.Repeat(pick(g, words), 1+g.IntN(400))
	case 1:
		runes := make([]rune, g.IntN(40))
		for i := range runes {
			runes[i] = rune(g.IntN(0x3000))
		}
		return string(runes)
	case 2:
		return pick(g, words) + pick(g, words)
	default:
		return pick(g, words)
	}
}

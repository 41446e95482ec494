package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// swagger.json is openapi.json in the words of OpenAPI 2.0, cut down to the
// operations that say how visible they are (x-ms-visibility) and to what a custom
// connector of Logic Apps and Power Automate understands. Nobody edits it.
func TestGeneratedSwagger(t *testing.T) {
	t.Parallel()
	front := filepath.Join("api", "rest")
	text, err := os.ReadFile(filepath.Join(front, "openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	var doc object
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	c := connector{t, doc, object{}}
	paths := c.paths()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	info := doc.at("info")
	if err := e.Encode(object{
		"swagger": "2.0", "host": "posthorn.example.com", "basePath": "/", "schemes": []string{"https"},
		"info":     object{"title": info["title"], "version": info["version"], "description": info["description"]},
		"consumes": []string{"application/json"}, "produces": []string{"application/json"},
		"paths": paths, "definitions": c.definitions,
		"securityDefinitions": object{"api_key": object{"type": "apiKey", "in": "header", "name": "X-API-Key"}},
		"security":            []object{{"api_key": []string{}}},
		"x-ms-capabilities":   object{"testConnection": object{"operationId": "WhoAmI", "parameters": object{}}},
	}); err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join(front, "swagger.json"), b.String())
}

// object is a part of the document.
type object map[string]any

// at goes down by names; what is not there is nil.
func (o object) at(names ...string) object {
	for _, n := range names {
		o, _ = asObject(o[n])
	}
	return o
}

func asObject(v any) (object, bool) {
	switch v := v.(type) {
	case map[string]any:
		return v, true
	case object:
		return v, true
	}
	return nil, false
}

// connector turns doc into OpenAPI 2.0 and collects the schemas that are needed.
type connector struct {
	t           *testing.T
	doc         object
	definitions object
}

func (c *connector) paths() object {
	paths := object{}
	for path := range c.doc.at("paths") {
		item := object{}
		for method := range c.doc.at("paths", path) {
			if o := c.doc.at("paths", path, method); o["x-ms-visibility"] != nil {
				item[method] = c.operation(o)
			}
		}
		if len(item) > 0 {
			paths[path] = item
		}
	}
	return paths
}

func (c *connector) operation(o object) object {
	id, _ := o["operationId"].(string)
	responses := object{}
	for status, r := range o.at("responses") {
		responses[status] = c.response(c.resolve(r))
	}
	out := object{
		"operationId": strings.ToUpper(id[:1]) + id[1:], "summary": o["summary"], "description": o["description"],
		"x-ms-visibility": o["x-ms-visibility"], "responses": responses,
	}
	var parameters []object
	list, _ := o["parameters"].([]any)
	for _, p := range list {
		if p := c.resolve(p); p["x-ms-visibility"] != "internal" {
			parameters = append(parameters, c.parameter(p))
		}
	}
	// Of the media types a connector has JSON alone.
	if body := o.at("requestBody", "content", "application/json"); body != nil {
		schema := c.schema(c.resolve(body["schema"]))
		if example := oneExample(body); example != nil {
			schema["example"] = example
		}
		parameters = append(parameters, object{"name": "body", "in": "body", "required": true, "schema": schema})
	}
	if parameters != nil {
		out["parameters"] = parameters
	}
	return out
}

func (c *connector) parameter(p object) object {
	out := c.schema(p.at("schema"))
	delete(out, "example") // a schema's word, which a parameter does not have
	for _, k := range []string{"name", "in", "required", "description", "x-ms-visibility"} {
		if v, ok := p[k]; ok {
			out[k] = v
		}
	}
	if p["in"] == "path" {
		out["x-ms-url-encoding"] = "single"
	}
	return out
}

func (c *connector) response(r object) object {
	out := object{"description": r["description"]}
	for _, media := range []string{"application/json", "application/problem+json"} {
		body := r.at("content", media)
		if body == nil {
			continue
		}
		if out["schema"] == nil {
			out["schema"] = c.schema(body.at("schema"))
		}
		if example := oneExample(body); example != nil {
			out["examples"] = object{"application/json": example}
		}
	}
	return out
}

// oneExample is the last name's example, so that it is always the same one.
func oneExample(body object) any {
	examples := body.at("examples")
	names := make([]string, 0, len(examples))
	for name := range examples {
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil
	}
	return examples.at(slices.Max(names))["value"]
}

// resolve follows a reference within the document.
func (c *connector) resolve(v any) object {
	o, _ := asObject(v)
	ref, ok := o["$ref"].(string)
	if !ok {
		return o
	}
	return c.doc.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
}

// schemaWords mean the same in both versions.
var schemaWords = []string{
	"description", "format", "default", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "pattern", "required", "x-ms-visibility",
}

// schema says in the older words what s says. A choice is refused, but for that
// between something and null, which a connector just leaves out.
func (c *connector) schema(s object) object {
	if ref, ok := s["$ref"].(string); ok && len(s) == 1 {
		name := ref[strings.LastIndexByte(ref, '/')+1:]
		if c.definitions[name] == nil {
			c.definitions[name] = object{} // ends a circle
			c.definitions[name] = c.schema(c.resolve(s))
		}
		return object{"$ref": "#/definitions/" + name}
	}
	out := object{}
	if _, ok := s["$ref"]; ok {
		out = c.schema(c.resolve(s))
	}
	if choice, ok := s["oneOf"].([]any); ok {
		out = c.schema(c.resolve(c.notNull(choice)))
	}
	for _, word := range schemaWords {
		if v, ok := s[word]; ok {
			out[word] = v
		}
	}
	c.typed(s, out)
	if title, ok := s["title"]; ok {
		out["x-ms-summary"] = title
	}
	if list, ok := s["examples"].([]any); ok {
		out["example"] = list[0]
	}
	if properties := s.at("properties"); properties != nil {
		all := object{}
		for name := range properties {
			all[name] = c.schema(properties.at(name))
		}
		out["properties"] = all
	}
	for _, word := range []string{"items", "additionalProperties"} {
		if inner := s.at(word); inner != nil {
			out[word] = c.schema(inner)
		}
	}
	return out
}

// typed gives out one type, and its values without null.
func (c *connector) typed(s, out object) {
	switch kind := s["type"].(type) {
	case string:
		out["type"] = kind
	case []any:
		kinds := slices.DeleteFunc(slices.Clone(kind), func(k any) bool { return k == "null" })
		if len(kinds) != 1 {
			c.t.Errorf("a connector knows no choice of types: %v", kind)
			return
		}
		out["type"] = kinds[0]
	}
	if values, ok := s["enum"].([]any); ok {
		out["type"] = "string"
		out["enum"] = slices.DeleteFunc(slices.Clone(values), func(v any) bool { return v == nil })
	}
	if s["contentEncoding"] == "base64" {
		out["format"] = "byte"
	}
}

// notNull is the one choice beside null.
func (c *connector) notNull(choice []any) any {
	rest := slices.DeleteFunc(slices.Clone(choice), func(v any) bool { o, _ := asObject(v); return o["type"] == "null" })
	if len(rest) != 1 {
		c.t.Errorf("a connector knows no choice: %v", choice)
		return object{}
	}
	return rest[0]
}

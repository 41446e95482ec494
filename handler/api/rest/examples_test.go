package rest_test

import (
	"bytes"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/pb33f/jsonschema/v6"
)

// specification is openapi.json, with a compiler for the schemas in it.
type specification struct {
	doc      object
	compiler *jsonschema.Compiler
}

func readSpecification(t *testing.T) specification {
	t.Helper()
	text, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource("openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	return specification{doc.(object), c}
}

// schema compiles the one at a place, written as a JSON pointer.
func (s specification) schema(t *testing.T, pointer string) *jsonschema.Schema {
	t.Helper()
	parts := strings.Split(pointer, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	schema, err := s.compiler.Compile("openapi.json#" + strings.Join(parts, "/"))
	if err != nil {
		t.Fatalf("%s: %v", pointer, err)
	}
	return schema
}

// resolve follows a reference within the document.
func (s specification) resolve(v any) object {
	o, _ := v.(object)
	ref, ok := o["$ref"].(string)
	if !ok {
		return o
	}
	o = s.doc
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		o, _ = o[name].(object)
	}
	return o
}

// A reader who copies an example of the document copies something that is right.
func TestExamplesAreValid(t *testing.T) {
	t.Parallel()
	s := readSpecification(t)
	n := 0
	s.walk(s.doc, "", func(at string, o object) {
		switch examples := o["examples"].(type) {
		case []any: // of a schema
			for i, value := range examples {
				n++
				if err := s.schema(t, at).Validate(value); err != nil {
					t.Errorf("%s/examples/%d: %v", at, i, err)
				}
			}
		case object: // of a body or a parameter
			for name, e := range examples {
				n++
				if err := s.schema(t, at+"/schema").Validate(e.(object)["value"]); err != nil {
					t.Errorf("%s/examples/%s: %v", at, name, err)
				}
			}
		}
		if value, ok := o["example"]; ok {
			n++
			if err := s.schema(t, at+"/schema").Validate(value); err != nil {
				t.Errorf("%s/example: %v", at, err)
			}
		}
	})
	if n < 20 {
		t.Errorf("the document has only %d examples", n)
	}
}

// walk visits all objects of the document but examples.
func (s specification) walk(v any, at string, visit func(at string, o object)) {
	switch v := v.(type) {
	case object:
		visit(at, v)
		for name, inner := range v {
			if name != "examples" && name != "example" {
				s.walk(inner, at+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(name), visit)
			}
		}
	case []any:
		for i, inner := range v {
			s.walk(inner, at+"/"+strconv.Itoa(i), visit)
		}
	}
}

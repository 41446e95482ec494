package rest_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-openapi/loads"
	"github.com/go-openapi/strfmt"
	"github.com/go-openapi/validate"
)

// object is a part of a document.
type object = map[string]any

// connector is what Logic Apps and Power Automate import, as the gateway serves it.
func connector(t *testing.T) (d *deployment, text string, doc object) {
	t.Helper()
	d = newDeployment(t, plenty)
	res := d.do(t, d.request(t, "GET", "/swagger.json", "", "Authorization", ""))
	if err := json.Unmarshal([]byte(res.text), &doc); err != nil {
		t.Fatal(err)
	}
	return d, res.text, doc
}

func TestSwaggerIsValid(t *testing.T) {
	t.Parallel()
	d, text, doc := connector(t)
	parsed, err := loads.Analyzed(json.RawMessage(text), "2.0")
	if err != nil {
		t.Fatal(err)
	}
	// Examples and defaults are held against their schemas too.
	if err := validate.Spec(parsed, strfmt.Default); err != nil {
		t.Error(err)
	}
	if address := "http://" + doc["host"].(string); address != d.server.URL || doc["schemes"].([]any)[0] != "http" {
		t.Errorf("it says %s, the gateway is at %s", address, d.server.URL)
	}
}

// Whatever else the importer accepts, each of these it does not, or not as meant.
// Sources: learn.microsoft.com, "Create a custom connector from an OpenAPI
// definition" and "OpenAPI extensions for custom connectors"; the schema and the
// list of operational standards in github.com/microsoft/PowerPlatformConnectors.
func TestSwaggerHasNothingThatTheImporterRefuses(t *testing.T) {
	t.Parallel()
	_, text, doc := connector(t)
	if len(text) >= 1<<20 {
		t.Errorf("%d bytes: it must be smaller than 1 MB", len(text))
	}
	if doc["swagger"] != "2.0" || doc["basePath"] != "/" {
		t.Errorf("swagger %v, basePath %v", doc["swagger"], doc["basePath"])
	}
	if !regexp.MustCompile(`^[^{}/ :\\]+(?::\d+)?$`).MatchString(doc["host"].(string)) {
		t.Errorf("host is %v", doc["host"])
	}
	formats := []any{"byte", "binary", "html", "email", "uri", "uuid", "date-time", "date-no-tz", "int32", "int64"}
	walk(doc, "", func(at string, o object) {
		if isNames(at) {
			return // its members are names of the API
		}
		for _, word := range []string{"oneOf", "anyOf", "allOf", "not", "nullable", "const", "examples", "contentEncoding", "$schema", "$defs", "if", "patternProperties"} {
			if _, ok := o[word]; ok && !(word == "examples" && strings.Contains(at, "/responses/")) {
				t.Errorf("%s: %s", at, word)
			}
		}
		if kind, ok := o["type"]; ok {
			if name, ok := kind.(string); !ok || name == "null" || name == "file" {
				t.Errorf("%s: type %v", at, kind)
			}
		}
		if format, ok := o["format"]; ok && !slices.Contains(formats, format) {
			t.Errorf("%s: format %v", at, format)
		}
		if ref, ok := o["$ref"].(string); ok && (!strings.HasPrefix(ref, "#/definitions/") || len(o) != 1) {
			t.Errorf("%s: %v", at, o)
		}
		if visibility, ok := o["x-ms-visibility"]; ok && !slices.Contains([]any{"important", "advanced", "internal"}, visibility) {
			t.Errorf("%s: visibility %v", at, visibility)
		}
		if o["x-ms-visibility"] == "internal" && o["required"] == true && o["default"] == nil {
			t.Errorf("%s: what is internal and required needs a default", at)
		}
		if o["type"] == "array" && o["items"] == nil {
			t.Errorf("%s: an array of what?", at)
		}
		if o["properties"] != nil && o["additionalProperties"] != nil {
			t.Errorf("%s: properties and additional ones", at)
		}
	})
}

// isNames says whether the members at a place are called by the API and not by
// OpenAPI, or are an example.
func isNames(at string) bool {
	return strings.HasSuffix(at, "/properties") || strings.Contains(at, "/example")
}

// A person who builds a workflow sees names, help and an example at each place.
func TestSwaggerIsReadable(t *testing.T) {
	t.Parallel()
	_, _, doc := connector(t)
	ids := map[string]bool{}
	walk(doc, "", func(at string, o object) {
		id, ok := o["operationId"].(string)
		if !ok || strings.HasPrefix(at, "/x-ms-capabilities") {
			return
		}
		summary, _ := o["summary"].(string)
		description, _ := o["description"].(string)
		if ids[id] || !regexp.MustCompile(`^[A-Z][A-Za-z0-9]+$`).MatchString(id) {
			t.Errorf("%s: operationId %s", at, id)
		}
		if summary == "" || len(summary) > 80 || strings.HasSuffix(summary, ".") || summary == description || !strings.HasSuffix(description, ".") {
			t.Errorf("%s: summary %q, description %q", at, summary, description)
		}
		ids[id] = true
		for _, p := range asList(o["parameters"]) {
			if p["in"] != "body" {
				readable(t, at+"/"+p["name"].(string), p)
			}
			if p["in"] == "path" && p["x-ms-url-encoding"] != "single" {
				t.Errorf("%s: a path's parameter is encoded once", at)
			}
		}
	})
	walk(doc, "", func(at string, o object) {
		if !strings.HasSuffix(at, "/properties") {
			return
		}
		for name, p := range o {
			if property := p.(object); property["$ref"] == nil {
				readable(t, at+"/"+name, property)
			}
		}
	})
	if len(ids) < 4 || !ids["WhoAmI"] || !ids["SendEmail"] || doc["x-ms-capabilities"].(object)["testConnection"].(object)["operationId"] != "WhoAmI" {
		t.Errorf("operations are %v", ids)
	}
}

func readable(t *testing.T, at string, o object) {
	t.Helper()
	title, _ := o["x-ms-summary"].(string)
	description, _ := o["description"].(string)
	if title == "" || title[:1] != strings.ToUpper(title[:1]) || strings.HasSuffix(title, ".") || !strings.HasSuffix(description, ".") || title == description {
		t.Errorf("%s: x-ms-summary %q, description %q", at, title, description)
	}
}

func asList(v any) (all []object) {
	list, _ := v.([]any)
	for _, o := range list {
		all = append(all, o.(object))
	}
	return all
}

// walk visits all objects of a document.
func walk(v any, at string, visit func(at string, o object)) {
	switch v := v.(type) {
	case object:
		visit(at, v)
		for name, inner := range v {
			walk(inner, at+"/"+name, visit)
		}
	case []any:
		for _, inner := range v {
			walk(inner, at, visit)
		}
	}
}

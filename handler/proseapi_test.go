package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// What the OpenAPI document describes is short, and says the words of the glossary.
func TestTheOpenAPIDocumentIsReadable(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("api", "rest", "openapi.json"))
	var document any
	if err = errors.Join(err, json.Unmarshal(text, &document)); err != nil {
		t.Fatal(err)
	}
	said := 0
	describe(document, "", func(at, text string) {
		said++
		for _, s := range longSentences(text) {
			t.Errorf("%s: a sentence has more than %d words: %s", at, sentenceWords, s)
		}
		if word := unsaid(codeSpan.ReplaceAllString(text, "")); word != "" {
			t.Errorf("%s: %s\n%s", at, word, text)
		}
	})
	if said < 200 {
		t.Errorf("the document has %d texts", said)
	}
}

// describe calls told with each text for readers in a part of an OpenAPI document, and
// with the JSON pointer of the text. Examples hold what callers write.
func describe(part any, at string, told func(at, text string)) {
	switch part := part.(type) {
	case []any:
		for i, p := range part {
			describe(p, at+"/"+strconv.Itoa(i), told)
		}
	case map[string]any:
		for name, p := range part {
			text, isText := p.(string)
			switch {
			case strings.HasPrefix(name, "example"):
			case isText && (name == "description" || name == "summary" || name == "title"):
				told(at+"/"+name, text)
			default:
				describe(p, at+"/"+name, told)
			}
		}
	}
}

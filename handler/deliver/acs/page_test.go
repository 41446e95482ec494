package acs_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Every block of Go in the page stands in example_test.go, which is compiled and run.
func TestPageShowsTheExamples(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/go-client.md")
	if err != nil {
		t.Fatal(err)
	}
	examples, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	indentation := regexp.MustCompile(`(?m)^\t+`)
	flat := indentation.ReplaceAllString(string(examples), "")
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 5 {
		t.Errorf("the page has %d blocks of Go", len(blocks))
	}
	for _, b := range blocks {
		if !strings.Contains(flat, indentation.ReplaceAllString(b[1], "")) {
			t.Errorf("not in example_test.go:\n%s", b[1])
		}
	}
}

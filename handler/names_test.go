package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	// keptName is a name of ours in Go or Bicep: of storage, of a metric, of a header.
	keptName = regexp.MustCompile(`["'](posthorn(?:[.-][a-z]+)+|posthorn[a-z]+|Posthorn(?:-[A-Z][a-z]+)+|Idempotency-[A-Z][a-z]+)["']`)
	spanName = regexp.MustCompile(`Tracer\.Start\(.*, "([a-z]+)"`)
	// builtNames stand in no literal as a whole, or in one that has no prefix of ours.
	builtNames = []string{"posthorn-callers", "posthorn-hooks", "ph_", "ph_hook_", "Operation-Id"}
	// otherNames are kept by nobody.
	otherNames = []string{"posthorn.example.com"}
)

func TestNamesThatAzureKeepsAreThoseOfThePage(t *testing.T) {
	t.Parallel()
	want := slices.Clone(builtNames)
	templates, err := filepath.Glob(filepath.Join(root, "function.json-templates", "*.json"))
	if err != nil || len(templates) == 0 {
		t.Fatalf("%d templates, %v", len(templates), err)
	}
	for _, file := range templates {
		want = append(want, strings.TrimSuffix(filepath.Base(file), ".json"))
	}
	for _, folder := range []string{"accept", "api", "decide", "deliver", "gateway", "operate", "wiring", "../infra"} {
		want = append(want, namesBelow(t, folder)...)
	}
	slices.Sort(want)
	want = slices.DeleteFunc(slices.Compact(want), func(name string) bool { return slices.Contains(otherNames, name) })
	page, err := os.ReadFile(filepath.Join(root, "docs", "names.md"))
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for line := range strings.Lines(string(page)) {
		if cell, ok := strings.CutPrefix(line, "| `"); ok {
			cell, _, _ = strings.Cut(cell, "` |")
			listed = append(listed, strings.Split(cell, "`, `")...)
		}
	}
	for _, name := range want {
		if !slices.Contains(listed, name) {
			t.Errorf("docs/names.md does not list %s", name)
		}
	}
	for _, name := range listed {
		if !slices.Contains(want, name) {
			t.Errorf("docs/names.md lists %s, which the code does not have", name)
		}
	}
}

// namesBelow are the names in the sources of a folder, without its tests.
func namesBelow(t *testing.T, folder string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(file string, _ fs.DirEntry, err error) error {
		if ext := filepath.Ext(file); err != nil || ext != ".go" && ext != ".bicep" || strings.HasSuffix(file, "_test.go") {
			return err
		}
		text, err := os.ReadFile(file)
		for _, kept := range []*regexp.Regexp{keptName, spanName} {
			for _, found := range kept.FindAllSubmatch(text, -1) {
				names = append(names, string(found[1]))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/version"
)

var importLine = regexp.MustCompile(`^(//)?\t?(import)?( ?\w+)? ?"` + regexp.QuoteMeta(version.Module) + `/[^"]+"\n$`)

// The code has the address of the project from one place. `make rename` changes that and the
// imports.
func TestTheAddressOfTheProjectStandsInOnePlace(t *testing.T) {
	t.Parallel()
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || path == filepath.Join("version", "version.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, version.Module) && !importLine.MatchString(line) {
				t.Errorf("%s: %s", path, strings.TrimSpace(line))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Azure's SDK is a matter of adapters: what stands elsewhere would name its errors and types.
func TestFewPackagesNameAzuresSDK(t *testing.T) {
	t.Parallel()
	allowed := regexp.MustCompile(`^handler/(store|deliver/acs|wiring|operate/azure|local|test)(/|$)`)
	for _, p := range packages(t) {
		for _, i := range p.Imports {
			if name := strings.TrimPrefix(p.ImportPath, module); strings.HasPrefix(i, "github.com/Azure/") && !allowed.MatchString(name) {
				t.Errorf("%s imports %s", name, i)
			}
		}
	}
}

var (
	makeCommand = regexp.MustCompile("(?m)(?:^|`)make ([a-z]+)")
	makeTarget  = regexp.MustCompile(`(?m)^([a-z]+):.*## `)
	updateFlag  = regexp.MustCompile(`flag\.Bool\("update"`)
)

// A page that names a command that is gone costs a newcomer the first hour.
func TestPagesNameCommandsOfTheMakefile(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	var there, named []string
	for _, m := range makeTarget.FindAllStringSubmatch(string(makefile), -1) {
		there = append(there, m[1])
	}
	pages, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, more...) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range makeCommand.FindAllStringSubmatch(string(text), -1) {
			if named = append(named, m[1]); !slices.Contains(there, m[1]) {
				t.Errorf("%s names make %s, which the Makefile has not", page, m[1])
			}
		}
	}
	if len(named) < 20 {
		t.Errorf("the pages name %v alone", named)
	}
}

// A person who changes an expected text has to know which tests write it anew.
func TestGoldenFilesAreInTheGuide(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile(filepath.Join(root, "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if command := "go test ./" + strings.TrimSuffix("handler/"+filepath.ToSlash(filepath.Dir(path)), "/.") + " -update`"; updateFlag.Match(text) && !strings.Contains(string(guide), command) {
			t.Errorf("%s writes golden files, and CONTRIBUTING.md does not say %s", path, command)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// drawing is what doc.go draws, as a block of Markdown.
func drawing(t *testing.T) string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for line := range strings.Lines(file.Doc.Text()) {
		if drawn, is := strings.CutPrefix(line, "\t"); is {
			b.WriteString(drawn)
		}
	}
	return "```\n" + b.String() + "```\n"
}

// floorsTable says the rule that TestNoImportRunsBackUp holds.
func floorsTable() string {
	var b strings.Builder
	b.WriteString("\nA package imports packages of its own row and of the rows below it, never of a row above:\n\n| row | packages below `handler` |\n| --- | --- |\n")
	for i, floor := range slices.Backward(floors) {
		var names []string
		for _, name := range floor {
			names = append(names, "`"+path.Join(".", name)+"`")
		}
		fmt.Fprintf(&b, "| %d | %s |\n", i+1, strings.Join(names, ", "))
	}
	b.WriteString("\n[`imports.golden`](../handler/imports.golden) lists every import, and a test holds both.\n")
	return strings.ReplaceAll(b.String(), "`.`", "`main.go`")
}

// supportsTests are packages that no drawing needs.
var supportsTests = regexp.MustCompile(`test$|/sim$|/contract$|^handler/(local|test|bench)/`)

// The drawing of the folders has each package of the product, and none that is gone.
func TestTheFoldersAreDrawn(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, tree, _ := strings.Cut(string(page), "## The folders")
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		if !supportsTests.MatchString(name) && !strings.Contains(tree, path.Base(name)+"/") {
			t.Errorf("docs/architecture.md does not draw %s", name)
		}
	}
	for _, m := range regexp.MustCompile(`([a-z.-]+)/`).FindAllStringSubmatch(tree[:strings.LastIndex(tree, "```")], -1) {
		found := false
		for _, above := range []string{".", "docs", "handler", "handler/*", "handler/*/*"} {
			matches, err := filepath.Glob(filepath.Join(root, above, m[1]))
			found = found || err == nil && len(matches) > 0
		}
		if !found {
			t.Errorf("docs/architecture.md draws %s, which is not there", m[1])
		}
	}
}

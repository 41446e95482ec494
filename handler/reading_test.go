package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// codeLink is a name of the code in a page, and the file to which it leads.
var codeLink = regexp.MustCompile("\\[`([A-Za-z.]+)`\\]\\((?:\\.\\./)*(handler/[^)]+\\.go)\\)")

// declared are the functions, types, constants and variables of a file, methods as Type.Name.
func declared(t *testing.T, file string) (names []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range parsed.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				name = receiver(d.Recv.List[0].Type) + "." + name
			}
			names = append(names, name)
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					names = append(names, s.Name.Name)
				case *ast.ValueSpec:
					for _, n := range s.Names {
						names = append(names, n.Name)
					}
				}
			}
		}
	}
	return names
}

// receiver is the name of a type that has methods.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// otherFile is the file of a folder in which a name stands; empty if none or several have it.
func otherFile(t *testing.T, folder, name string) (file string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if slices.Contains(declared(t, f), name) {
			if file != "" {
				return ""
			}
			file = f
		}
	}
	return file
}

// broken says what is wrong with a link to a name of the code; empty if it is right. moved is
// the file to which the name has moved.
func broken(t *testing.T, name, file string) (why, moved string) {
	t.Helper()
	path := filepath.Join(root, filepath.FromSlash(file))
	if _, err := os.Stat(path); err == nil && slices.Contains(declared(t, path), name) {
		return "", ""
	}
	if there := otherFile(t, filepath.Dir(path), name); there != "" {
		moved = strings.TrimPrefix(filepath.ToSlash(there), root+"/")
		return fmt.Sprintf("%s is not in %s any more, but in %s: run `make generate`", name, file, moved), moved
	}
	return fmt.Sprintf("%s is not in %s, and in no other file beside it: find its new name", name, file), ""
}

// TestGeneratedLinksLeadToTheCode holds each link of each page to a function or type. With
// -update, links to what has moved within its folder are written anew.
func TestGeneratedLinksLeadToTheCode(t *testing.T) {
	t.Parallel()
	pages := []string{filepath.Join(root, "CONTRIBUTING.md"), filepath.Join(root, "README.md")}
	for _, pattern := range []string{"docs/*.md", "docs/*/*.md"} {
		more, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, more...)
	}
	found := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		mended := string(text)
		for _, link := range codeLink.FindAllStringSubmatch(string(text), -1) {
			found++
			why, moved := broken(t, link[1], link[2])
			switch {
			case why == "":
			case *update && moved != "":
				mended = strings.ReplaceAll(mended, link[0], strings.Replace(link[0], link[2], moved, 1))
			default:
				t.Errorf("%s: %s", page, why)
			}
		}
		if mended != string(text) {
			golden(t, page, mended)
		}
	}
	if found < 40 {
		t.Errorf("the pages have %d links to the code: are they still written as [`Name`](../handler/file.go)?", found)
	}
}

// An answer that is longer than ten points is not read.
func TestReadingAnswersAreShort(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs", "reading.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, answer := range strings.Split(string(page), "\n## ")[1:] {
		question, body, _ := strings.Cut(answer, "\n")
		points := 0
		for line := range strings.Lines(body) {
			if regexp.MustCompile(`^\d+\. `).MatchString(line) {
				points++
			}
		}
		if points == 0 || points > 10 {
			t.Errorf("%q has %d points", question, points)
		}
	}
}

func TestBrokenLinksAreSaid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, symbol, file, want, moved string }{
		{"right", "root", "handler/house_test.go", "", ""},
		{"a method", "Gateway.Send", "handler/gateway/send.go", "", ""},
		{"another file", "root", "handler/main.go", "root is not in handler/main.go any more, but in handler/house_test.go: run `make generate`", "handler/house_test.go"},
		{"a file that is gone", "root", "handler/gone.go", "root is not in handler/gone.go any more, but in handler/house_test.go: run `make generate`", "handler/house_test.go"},
		{"a name that is gone", "gone", "handler/main.go", "gone is not in handler/main.go, and in no other file beside it: find its new name", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if why, moved := broken(t, c.symbol, c.file); why != c.want || moved != c.moved {
				t.Errorf("%q, %q", why, moved)
			}
		})
	}
}

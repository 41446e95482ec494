package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What an operator meets in the log and in the metrics stands in
// docs/operate/monitoring.md, and nothing else does.

var (
	firstCell  = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")
	metricName = regexp.MustCompile(`^posthorn(\.[a-z]+)+$`)
	level      = regexp.MustCompile(`^(Debug|Info|Warn|Error)(Context)?$|^LogAttrs$`)
)

// section is what stands on a page under a heading of the second level.
func section(t *testing.T, page, heading string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("%s has no section %q", page, heading)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	return rest
}

func firstCells(text string) map[string]bool {
	cells := map[string]bool{}
	for _, m := range firstCell.FindAllStringSubmatch(text, -1) {
		cells[m[1]] = true
	}
	return cells
}

// observable are the log messages and the names of metrics in the product's code.
func observable(t *testing.T) (messages, metrics map[string]bool) {
	t.Helper()
	messages, metrics = map[string]bool{}, map[string]bool{}
	files := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{"local", "test", "bench", "operate", "mem", "testdata"}, d.Name()) {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if message := logged(call); message != "" {
					messages[message] = true
				}
			} else if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING {
				if s, err := strconv.Unquote(text.Value); err == nil && metricName.MatchString(s) {
					metrics[s] = true
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return messages, metrics
}

// logged is the message that a call writes to a log, or "".
func logged(call *ast.CallExpr) string {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !level.MatchString(method.Sel.Name) {
		return ""
	}
	switch log := method.X.(type) {
	case *ast.Ident:
		if !strings.EqualFold(log.Name, "log") {
			return ""
		}
	case *ast.SelectorExpr:
		if !strings.EqualFold(log.Sel.Name, "log") {
			return ""
		}
	default:
		return ""
	}
	for _, arg := range call.Args {
		if text, ok := arg.(*ast.BasicLit); ok && text.Kind == token.STRING {
			s, _ := strconv.Unquote(text.Value)
			return s
		}
	}
	return ""
}

func TestThePageOfMonitoringHasEveryLogMessageAndMetric(t *testing.T) {
	t.Parallel()
	messages, metrics := observable(t)
	for heading, code := range map[string]map[string]bool{"Log messages": messages, "Metrics": metrics} {
		if len(code) < 8 {
			t.Fatalf("%s: the code has %v", heading, code)
		}
		page := firstCells(section(t, "docs/operate/monitoring.md", heading))
		for _, name := range slices.Sorted(maps.Keys(code)) {
			if !page[name] {
				t.Errorf("%s: the page lacks %q", heading, name)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(page)) {
			if !code[name] {
				t.Errorf("%s: the code has no %q", heading, name)
			}
		}
	}
}

package gateway_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// bugVariable names, in the environment of the tests, the bug that is in them.
const bugVariable = "POSTHORN_PLANTED_BUG"

// plantedTests are the tests with all planted bugs in them, compiled once: a function that has a
// bug stands there a second time with it, and calls its double if the environment says so.
type plantedTests struct {
	dir string // of what is compiled, one program a package, by its name
}

// edit is text to be put into a file.
type edit struct {
	at   int
	text string
}

func buildPlanted(t *testing.T) plantedTests {
	t.Helper()
	b := plantedTests{t.TempDir()}
	edits, replaced, packages := map[string][]edit{}, map[string]string{}, []string{}
	for i, p := range plantedBugs {
		packages = append(packages, "./"+p.where)
		both, folder := p.double(t, i)
		edits[p.file] = append(edits[p.file], both...)
		replaced[filepath.Dir(p.file)+"/planted_bug.go"] = fmt.Sprintf("package %s\n\nimport \"os\"\n\nvar plantedBug = os.Getenv(%q)\n", folder, bugVariable)
	}
	for file, all := range edits {
		text := source(t, file)
		slices.SortStableFunc(all, func(a, b edit) int { return cmp.Compare(b.at, a.at) })
		for _, e := range all {
			text = text[:e.at] + e.text + text[e.at:]
		}
		replaced[file] = text
	}
	slices.Sort(packages)
	b.build(t, replaced, slices.Compact(packages))
	return b
}

// test runs the tests that must see bug i.
func (b plantedTests) test(t *testing.T, i int, p planted) (out string, err error) {
	t.Helper()
	args := []string{"-test.failfast", "-test.timeout=10m", "-test.run", p.run}
	if strings.Contains(p.run, "CrashPoints") {
		args = append(args, strings.Fields(crashRuns)...)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(b.dir, filepath.Base(p.where)+".test"), args...)
	cmd.Dir = filepath.Join("..", p.where)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", bugVariable, i))
	text, err := cmd.CombinedOutput()
	return string(text), err
}

// build compiles the tests of packages with other text in some files below handler.
func (b plantedTests) build(t *testing.T, replaced map[string]string, packages []string) {
	t.Helper()
	overlay, kept := map[string]string{}, t.TempDir()
	for file, text := range replaced {
		there, err := filepath.Abs(filepath.Join("..", file))
		if err != nil {
			t.Fatal(err)
		}
		overlay[there] = filepath.Join(kept, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(overlay[there], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(kept, "overlay.json")
	if err := os.WriteFile(name, list, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"test", "-c", "-overlay", name, "-vet=off", "-ldflags=-s -w", "-o", b.dir + string(filepath.Separator)}
	cmd := exec.CommandContext(t.Context(), "go", append(args, packages...)...)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the tests with all bugs in them do not compile: %v\n%s", err, out)
	}
}

func source(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// double is what bug i adds to its file: a copy of the function with the bug, and the call
// of it. The bug must stand in a function whose arguments all have names.
func (p planted) double(t *testing.T, i int) (both []edit, folder string) {
	t.Helper()
	text := source(t, p.file)
	if n := strings.Count(text, p.old); n != 1 {
		t.Fatalf("%q stands %d times in %s", p.old, n, p.file)
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, p.file, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	offset := func(at token.Pos) int { return set.Position(at).Offset }
	from := strings.Index(text, p.old)
	to := from + len(p.old)
	for _, d := range file.Decls {
		f, is := d.(*ast.FuncDecl)
		if !is || offset(f.Pos()) > from || offset(f.End()) < to {
			continue
		}
		suffix := fmt.Sprintf("WithBug%d", i)
		call, ok := callOfDouble(f, suffix)
		if !ok {
			break
		}
		const head = "package x\n"
		wrong := head + text[offset(f.Pos()):from] + p.bug + text[to:offset(f.End())]
		set := token.NewFileSet()
		copied, err := parser.ParseFile(set, "", wrong, parser.SkipObjectResolution)
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		name := set.Position(copied.Decls[0].(*ast.FuncDecl).Name.End()).Offset
		return []edit{
			{offset(f.Body.Lbrace) + 1, fmt.Sprintf("\nif plantedBug == \"%d\" { %s }\n", i, call)},
			{len(text), "\n" + wrong[len(head):name] + suffix + wrong[name:] + "\n"},
		}, file.Name.Name
	}
	t.Fatalf("%q of %s stands in no function whose arguments all have names", p.old, p.file)
	return nil, ""
}

// callOfDouble is the statement by which a function does what its double does.
func callOfDouble(f *ast.FuncDecl, suffix string) (call string, ok bool) {
	names := func(list *ast.FieldList) (all []string, ok bool) {
		for _, field := range list.List {
			if len(field.Names) == 0 {
				return nil, false
			}
			for _, n := range field.Names {
				name := n.Name
				if _, many := field.Type.(*ast.Ellipsis); many {
					name += "..."
				}
				all = append(all, name)
			}
		}
		return all, !slices.Contains(all, "_")
	}
	call = f.Name.Name + suffix
	if f.Recv != nil {
		of, ok := names(f.Recv)
		if !ok {
			return "", false
		}
		call = of[0] + "." + call
	}
	arguments, ok := names(f.Type.Params)
	call += "(" + strings.Join(arguments, ", ") + ")"
	if f.Type.Results == nil {
		return call + "; return", ok
	}
	return "return " + call, ok
}

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// broken is the package of a file as every mutant that compiles leaves it: the
// lines that changed.
func broken(t *testing.T, body string) (lines []string) {
	t.Helper()
	dir := t.TempDir()
	text := "package p\n\n" + body
	for name, content := range map[string]string{"go.mod": "module example.com/p\n\ngo 1.26\n", "p.go": text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	s, err := load(t.Context(), ".")
	if err != nil {
		t.Fatal(err)
	}
	before := strings.Split(text, "\n")
	for _, m := range s.all() {
		_, changed, _, ok := s.write(m)
		if !ok {
			continue
		}
		for i, line := range strings.Split(string(changed), "\n") {
			if line != before[i] {
				lines = append(lines, strings.TrimSpace(m.rule+": "+strings.TrimSpace(line)))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func TestTheFaultsOfEveryRule(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       []string
	}{
		{"a comparison", "func f(a, b int) bool {\n\treturn a < b\n}", []string{"boundary: return a <= b", "negate: return a >= b"}},
		{"equality", "func f(a, b int) bool {\n\treturn a == b\n}", []string{"negate: return a != b"}},
		{"and", "func f(a, b bool) bool {\n\treturn a && b\n}", []string{"and/or: return a || b", "drop operand: return a", "drop operand: return b"}},
		{"a condition", "func f(a bool) int {\n\tif a {\n\t\treturn 1\n\t}\n\treturn 2\n}", []string{"negate: if !(a) {", "never: if false && (a) {"}},
		{"arithmetic", "func f(a, b int) int {\n\treturn a * b\n}", []string{"arithmetic: return a / b"}},
		{"strings are not counted", "func f(a, b string) string {\n\treturn a + b\n}", nil},
		{"counting", "func f(a int) int {\n\ta++\n\treturn a\n}", []string{"count: a--"}},
		{"a sum", "func f(a int) int {\n\ta += 2\n\treturn a\n}", []string{"arithmetic: a -= 2", "remove assignment: _ = 2"}},
		{"an assignment", "func f(a *int) {\n\t*a = 2\n}", []string{"remove assignment: _ = 2"}},
		{"an assignment of what is called", "func f(a *int, g func() int) {\n\t*a = g()\n}", []string{"remove assignment: _ = g()"}},
		{"a declaration stays", "func f() int {\n\ta := 2\n\treturn a\n}", nil},
		{"a call", "func f(g func()) {\n\tg()\n}", []string{"remove call:"}},
		{"a call with the only use of a variable", "func f(g func(int)) {\n\ta := 2\n\tg(a)\n}", []string{"remove call: _ = a"}},
		{"what is deferred", "func f(g func()) {\n\tdefer g()\n}", []string{"remove defer:"}},
		{"what goes beside", "func f(g func()) {\n\tgo g()\n}", []string{"remove go:"}},
		{"a loop", "func f() {\n\tfor {\n\t\tbreak\n\t}\n}", []string{"loop: continue"}},
		{"an error", "func f(err error) (int, error) {\n\treturn 1, err\n}", []string{"swallow error: return 1, nil"}},
		{"no error", "func f() error {\n\treturn nil\n}", nil},
		{"truth", "func f() bool {\n\treturn true\n}", []string{"truth: return false"}},
		{"a constant stays", "const a = 2 + 3", nil},
		{"a constant of a function stays", "func f() int {\n\tconst a = 2 + 3\n\treturn a\n}", nil},
		{"what would not compile", "func f(g func() (int, error)) error {\n\ta, err := g()\n\t_ = a\n\treturn err\n}", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := broken(t, c.body); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

const (
	goMod = "module example.com/p\n\ngo 1.26\n"
	code  = "package p\n\nfunc Least(a, b int) int {\n\tif a < b {\n\t\treturn a\n\t}\n\treturn b\n}\n\nfunc Other(a bool) bool {\n\treturn !a == true\n}\n"
	tests = "package p\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nfunc TestLeast(t *testing.T) {\n\tif Least(1, 2) != 1 || Least(2, 1) != 1 {\n" +
		"\t\tos.MkdirAll(\"testdata/seen\", 0o700)\n\t\tos.WriteFile(\"testdata/seen/a.fail\", nil, 0o600)\n\t\tt.Error()\n\t}\n}\n"
)

// A whole run over a small package: two faults are seen, one changes nothing, and
// those of the function that no test calls are counted apart.
func TestARunTellsWhatSurvives(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"go.mod": goMod, "p.go": code, "p_test.go": tests} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	o, err := parse([]string{"-n", "50", "."})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := run(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	said := out.String()
	for _, want := range []string{
		"survived    p.go:4:7: boundary: < -> <=\n",
		"not reached p.go:11:15: truth: true -> false\n", "not reached p.go:11:12: negate: == -> !=\n",
		"example.com/p: of 5 faults 2 were seen, 1 survived, 2 stand where no test comes: 40 % seen\n",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("want %q in:\n%s", want, said)
		}
	}
	if _, err := os.Stat("testdata"); err == nil {
		t.Error("what the tests noted is left")
	}
	if text, err := os.ReadFile("p.go"); err != nil || string(text) != code {
		t.Errorf("the source is changed: %v", err)
	}
}

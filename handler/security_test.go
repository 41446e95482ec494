package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each promise of SECURITY.md names the tests that hold it, and they exist: a function, or
// a part of the test of the whole product.
func TestPromisesOfSecurityAreHeld(t *testing.T) {
	t.Parallel()
	var tests strings.Builder
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		tests.Write(text)
		return err
	})
	page, pageErr := os.ReadFile(filepath.Join(root, "SECURITY.md"))
	if err != nil || pageErr != nil {
		t.Fatal(err, pageErr)
	}
	_, promised, _ := strings.Cut(string(page), "\n| promise | test |\n| --- | --- |\n")
	names := regexp.MustCompile("`([^`]+)`")
	promises := 0
	for line := range strings.Lines(promised) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 {
			break
		}
		promises++
		held := names.FindAllStringSubmatch(cells[2], -1)
		if len(held) == 0 {
			t.Errorf("nothing holds: %s", cells[1])
		}
		for _, name := range held {
			if !strings.Contains(tests.String(), "func "+name[1]+"(t *testing.T)") && !strings.Contains(tests.String(), `{"`+name[1]+`", p.test`) {
				t.Errorf("there is no test %s, which is to hold: %s", name[1], cells[1])
			}
		}
	}
	if promises < 10 {
		t.Errorf("only %d promises were found", promises)
	}
}

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
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

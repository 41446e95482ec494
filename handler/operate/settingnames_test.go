package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/settings"
)

// Every setting that this program names is one of the handler's, or one of its own.
func TestSettingsAreTheHandlers(t *testing.T) {
	t.Parallel()
	known := []string{
		"POSTHORN_", "POSTHORN_CONNECTION", "POSTHORN_KEY", // this program's
		"POSTHORN_QUEUE", "POSTHORN_QUEUE__", // the host's
	}
	for _, row := range settings.Table() {
		known = append(known, row.Variable)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`POSTHORN_[A-Z_]*`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names.FindAllString(string(text), -1) {
			if !strings.HasSuffix(file, "_test.go") && !slices.Contains(known, name) {
				t.Errorf("%s: %s is no setting", file, name)
			}
		}
	}
	if defaultOf(quotaSetting) != quotaCustom || defaultOf(acsVersion) == "" {
		t.Errorf("the defaults are %q and %q", defaultOf(quotaSetting), defaultOf(acsVersion))
	}
}

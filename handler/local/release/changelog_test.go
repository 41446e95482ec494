package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestNotesAreThoseOfTheVersion(t *testing.T) {
	t.Parallel()
	const changelog = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- Next.\n\n## [0.2.0] - 2027-02-01\n\n### Fixed\n\n- Second.\n\n" +
		"## [0.1.0] - 2027-01-01\n\n### Added\n\n- First.\n\n[Unreleased]: https://example.com\n[0.2.0]: https://example.com/2\n"
	for _, c := range []struct{ name, version, want string }{
		{"the newest", "v0.2.0", "### Fixed\n\n- Second.\n"},
		{"the oldest, without the addresses", "v0.1.0", "### Added\n\n- First.\n"},
		{"one to try", "v0.3.0-rc.1", "### Added\n\n- Next.\n"},
		{"one without a section", "v0.3.0", ""},
		{"none", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := changes(changelog, c.version)
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// kinds are the headings that Keep a Changelog has within a version.
var kinds = []string{"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}

// address is the line that says where the differences of a version are.
var address = regexp.MustCompile(`(?m)^\[([^\]]+)\]: https://`)

func TestTheChangelogHasItsForm(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, changelogFile))
	if err != nil {
		t.Fatal(err)
	}
	var versions, addresses []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		found := ofVersion.FindStringSubmatch(line)
		switch {
		case line == unreleased:
			versions = append(versions, "Unreleased")
		case found != nil:
			versions = append(versions, found[1])
		case strings.HasPrefix(line, "## "):
			t.Errorf("%q is no heading of a version", line)
		case strings.HasPrefix(line, "### ") && !slices.Contains(kinds, line[4:]):
			t.Errorf("%q is not one of %v", line, kinds)
		}
	}
	if len(versions) == 0 || versions[0] != "Unreleased" {
		t.Errorf("the versions are %v, and Unreleased is not the first", versions)
	}
	for _, a := range address.FindAllStringSubmatch(string(text), -1) {
		addresses = append(addresses, a[1])
	}
	if !slices.Equal(addresses, versions) {
		t.Errorf("the versions are %v, and there are addresses of %v", versions, addresses)
	}
}

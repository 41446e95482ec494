package main

import (
	"fmt"
	"regexp"
	"strings"
)

const (
	changelogFile = "CHANGELOG.md"
	notesFile     = "notes.md" // beside the folder of the release: what is new, for its page
)

// ofVersion is the heading of a version that has come out. Source: keepachangelog.com/en/1.1.0.
var ofVersion = regexp.MustCompile(`^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$`)

// unreleased is the heading of what comes with the next version.
const unreleased = "## [Unreleased]"

// changes are what the changelog says of a version. A version to try, such as v1.2.3-rc.1, has
// what stands under Unreleased.
func changes(changelog, version string) (string, error) {
	number, _, early := strings.Cut(strings.TrimPrefix(version, "v"), "-")
	var b strings.Builder
	inside := false
	for line := range strings.Lines(changelog) {
		heading := strings.TrimRight(line, "\n")
		switch found := ofVersion.FindStringSubmatch(heading); {
		case strings.HasPrefix(heading, "## "):
			inside = early && heading == unreleased || !early && found != nil && found[1] == number
		case strings.HasPrefix(heading, "[Unreleased]: "):
			inside = false // addresses stand at the end
		case inside:
			b.WriteString(line)
		}
	}
	text := strings.TrimSpace(b.String())
	if text == "" {
		return "", fmt.Errorf("%s has nothing about %s: give \"%s\" its version and date, as in \"## [1.2.3] - 2026-12-31\"", changelogFile, version, unreleased)
	}
	return text + "\n", nil
}

package pack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// NoticesFile and LicenseFile are in every zip: what others and what this project grant.
const (
	NoticesFile = "THIRD_PARTY_NOTICES.txt"
	LicenseFile = "LICENSE"
)

// Allowed are the kinds of licence that a module in a program may have, by their names in SPDX.
// Each of them lets a binary be given away together with its text.
var Allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT", "MIT-0"}

// Notices is the text of the licences of all that programs, such as ./handler, are made of on a
// system (GOOS, GOARCH): Go and each module, the folders included that have a licence of their
// own. A module without a licence, or with one of another kind, is an error.
func Notices(ctx context.Context, root, goos, goarch string, programs ...string) ([]byte, error) {
	parts, err := linked(ctx, root, goos, goarch, programs)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("The programs in this archive contain the following software of others.\n")
	var bad []error
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		texts, err := licences(parts[name])
		if err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", name, err))
		}
		fmt.Fprintf(&b, "\n%s\n%s\n", strings.Repeat("=", 80), name)
		for _, text := range texts {
			fmt.Fprintf(&b, "%s\n\n%s\n", strings.Repeat("-", 80), bytes.TrimSpace(text))
		}
	}
	return b.Bytes(), errors.Join(bad...)
}

// source is where a module lies, and its folders whose packages are in a program.
type source struct {
	root    string
	folders map[string]bool
}

// linked are the modules of programs by name and version, without this one.
func linked(ctx context.Context, root, goos, goarch string, programs []string) (map[string]*source, error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"list", "-deps", "-json=Dir,Module"}, programs...)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("the modules of %v: %w\n%s", programs, err, bytes.TrimSpace(said.Bytes()))
	}
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, err
	}
	all := map[string]*source{"Go " + runtime.Version(): {root: strings.TrimSpace(string(goroot))}}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			Dir    string
			Module *struct{ Path, Version, Dir string }
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		if p.Module == nil || p.Module.Version == "" {
			continue // Go's own, or this module
		}
		name := p.Module.Path + " " + p.Module.Version
		if all[name] == nil {
			all[name] = &source{p.Module.Dir, map[string]bool{}}
		}
		for dir := p.Dir; dir != p.Module.Dir && len(dir) > len(p.Module.Dir); dir = filepath.Dir(dir) {
			all[name].folders[dir] = true
		}
	}
}

var (
	licenceName = regexp.MustCompile(`(?i)^(licen[cs]e|copying|copyright)(\.(txt|md))?$`)
	noticeName  = regexp.MustCompile(`(?i)^(notice|patents)(\.(txt|md))?$`)
)

// licences are the texts of a module. The root of it must have one; a folder may.
func licences(s *source) ([][]byte, error) {
	var texts [][]byte
	licensed := false
	for _, dir := range append([]string{s.root}, slices.Sorted(maps.Keys(s.folders))...) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			licence := licenceName.MatchString(e.Name())
			if e.IsDir() || !licence && !noticeName.MatchString(e.Name()) {
				continue
			}
			text, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				return nil, err
			}
			texts = append(texts, bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")))
			kinds := Kinds(text)
			if licence && !allowed(kinds) && !strings.EqualFold(e.Name(), "COPYRIGHT") { // which names authors
				return texts, fmt.Errorf("%s is a licence of the kinds %v, and only %v are allowed", e.Name(), kinds, Allowed)
			}
			licensed = licensed || dir == s.root && allowed(kinds)
		}
	}
	if !licensed {
		return texts, errors.New("there is no licence in " + s.root)
	}
	return texts, nil
}

func allowed(kinds []string) bool {
	return len(kinds) > 0 && !slices.ContainsFunc(kinds, func(k string) bool { return !slices.Contains(Allowed, k) })
}

var (
	redistribution = regexp.MustCompile(`redistribution and use in source and binary forms, with or without modification, are permitted`)
	endorsement    = regexp.MustCompile(`neither the names? of|names? of .{0,80}may not be used to endorse`)
	advertising    = "all advertising materials"
	// others are words of licences that bind a person who gives a binary away, or limit its use.
	others = regexp.MustCompile(`gnu (lesser |affero |library )?general public|mozilla public|eclipse public|commons clause|business source license|server side public|elastic license|non-?commercial`)
)

// Kinds are the licences that a text has, by their names in SPDX; "other" stands for all that are
// not known. It knows them by sentences of theirs, so that names and years do not matter.
func Kinds(text []byte) []string {
	words := strings.ToLower(strings.Join(strings.Fields(string(text)), " "))
	var kinds []string
	add := func(kind string, is bool) {
		if is {
			kinds = append(kinds, kind)
		}
	}
	add("Apache-2.0", strings.Contains(words, "apache license version 2.0, january 2004"))
	bsd := redistribution.MatchString(words)
	add("BSD-3-Clause", bsd && endorsement.MatchString(words))
	add("BSD-2-Clause", bsd && !endorsement.MatchString(words))
	granted := strings.Contains(words, "permission is hereby granted, free of charge, to any person obtaining a copy")
	kept := strings.Contains(words, "this permission notice shall be included")
	add("MIT", granted && kept)
	add("MIT-0", granted && !kept)
	add("other", len(kinds) == 0 || others.MatchString(words) || strings.Contains(words, advertising))
	return kinds
}

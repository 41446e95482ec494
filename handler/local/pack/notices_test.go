package pack

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLicencesAreKnownByTheirSentences(t *testing.T) {
	t.Parallel()
	const (
		mit = "Permission is hereby granted, free of charge, to any person obtaining\na copy of this software"
		bsd = "Redistribution and use in source and binary forms, with or without\n  modification, are permitted"
	)
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"MIT", mit + " … this permission notice shall be\nincluded", []string{"MIT"}},
		{"MIT without attribution", mit, []string{"MIT-0"}},
		{"BSD of two clauses", bsd, []string{"BSD-2-Clause"}},
		{"BSD of three clauses", bsd + " … Neither the name of", []string{"BSD-3-Clause"}},
		{"BSD of four clauses", bsd + " … All advertising materials … Neither the name of", []string{"BSD-3-Clause", "other"}},
		{"Apache", "Apache License\n   Version 2.0, January 2004", []string{"Apache-2.0"}},
		{"two in one file", "Apache License Version 2.0, January 2004 … " + bsd, []string{"Apache-2.0", "BSD-2-Clause"}},
		{"MIT with a condition", mit + " … Commons Clause", []string{"MIT-0", "other"}},
		{"GPL", "GNU GENERAL PUBLIC LICENSE", []string{"other"}},
		{"nothing", "", []string{"other"}},
	} {
		if got := Kinds([]byte(c.text)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestModulesWithoutAnAllowedLicenceAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, file, text, want string }{
		{"no licence", "README.md", "MIT", "there is no licence"},
		{"an empty one", "LICENSE", "", "[other]"},
		{"another kind", "COPYING", "GNU Affero General Public License", "[other]"},
		{"authors alone", "COPYRIGHT", "Copyright 2020 A", "there is no licence"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := licences(&source{root: dir}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Everything that a program of a release is made of has a licence that allows it.
func TestEveryModuleOfTheProgramsHasALicence(t *testing.T) {
	t.Parallel()
	for _, goos := range []string{"linux", "windows", "darwin"} {
		text, err := Notices(t.Context(), root, goos, "amd64", "./handler", "./handler/operate", "./handler/local/emulator/cmd/emulator")
		if err != nil {
			t.Errorf("%s: %v", goos, err)
		}
		for _, part := range []string{"\nGo go1.", "\ngithub.com/google/uuid v", "The Apache Software Foundation", "Copyright (c) 2011 The Snappy-Go Authors"} {
			if !bytes.Contains(text, []byte(part)) {
				t.Errorf("%s: %q is missing", goos, part)
			}
		}
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// notes are the files below the testdata of some packages, as they were before any
// fault. Property tests write down there what made them fail, which must neither
// stay nor be told to the next fault.
type notes struct {
	dirs  []string
	known map[string]bool
}

// look takes the notes of the packages whose tests are run.
func look(ctx context.Context, packages []string) (notes, error) {
	out, err := exec.CommandContext(ctx, "go", append([]string{"list", "-f", "{{.Dir}}"}, packages...)...).Output()
	if err != nil {
		return notes{}, fmt.Errorf("go list %s: %w", strings.Join(packages, " "), err)
	}
	n := notes{known: map[string]bool{}}
	for line := range strings.Lines(string(out)) {
		n.dirs = append(n.dirs, filepath.Join(strings.TrimSpace(line), "testdata"))
	}
	return n, n.each(func(name string) error { n.known[name] = true; return nil })
}

// tidy removes what was not there before.
func (n notes) tidy() error {
	return n.each(func(name string) error {
		if n.known[name] {
			return nil
		}
		return os.Remove(name)
	})
}

// each calls visit for all files and directories, those inside before their own.
func (n notes) each(visit func(name string) error) error {
	for _, dir := range n.dirs {
		var all []string
		err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
			if err == nil {
				all = append(all, name)
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for i := len(all) - 1; i >= 0; i-- {
			if err := visit(all[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

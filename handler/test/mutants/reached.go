package main

import (
	"context"
	"fmt"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// reached are the blocks of a package, by file, as a coverage profile has them.
type reached map[string][]block

type block struct{ fromLine, fromColumn, toLine, toColumn, statements, count int }

// measure runs the tests without a fault, which must pass, and says what they
// reach.
func measure(ctx context.Context, o options, importPath, dir string) (reached, error) {
	profile := filepath.Join(dir, "profile")
	if said, err := o.test(ctx, "-coverpkg", importPath, "-coverprofile", profile).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("the tests fail without a fault: %w\n%s", err, said)
	}
	text, err := os.ReadFile(profile)
	if err != nil {
		return nil, err
	}
	r := reached{}
	for line := range strings.Lines(string(text)) {
		colon := strings.LastIndexByte(line, ':')
		var b block
		if _, err := fmt.Sscanf(line[colon+1:], "%d.%d,%d.%d %d %d", &b.fromLine, &b.fromColumn, &b.toLine, &b.toColumn, &b.statements, &b.count); err == nil {
			r[line[:colon]] = append(r[line[:colon]], b)
		}
	}
	return r, nil
}

// has says whether a test reaches a position. What no block holds is reached as
// far as anyone can tell.
func (r reached) has(importPath string, at token.Position) bool {
	held := false
	for _, b := range r[path.Join(importPath, filepath.Base(at.Filename))] {
		after := at.Line > b.fromLine || at.Line == b.fromLine && at.Column >= b.fromColumn
		before := at.Line < b.toLine || at.Line == b.toLine && at.Column <= b.toColumn
		if after && before {
			if b.count > 0 {
				return true
			}
			held = true
		}
	}
	return !held
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// source is a package, read and type-checked without its tests.
type source struct {
	path  string // of the import
	names []string
	texts map[string][]byte
	trees map[string]*ast.File
	set   *token.FileSet
	info  *types.Info
	deps  types.Importer
}

// listed is what `go list` says of a package.
type listed struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
}

// load reads the package that a pattern names, which must be one.
func load(ctx context.Context, pattern string) (*source, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles", pattern)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list %s: %w", pattern, err)
	}
	exports := map[string]string{}
	var last listed // what was asked for comes after all that it needs
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list %s: %w", pattern, err)
		}
		exports[p.ImportPath], last = p.Export, p
	}
	s := &source{path: last.ImportPath, texts: map[string][]byte{}, trees: map[string]*ast.File{}, set: token.NewFileSet()}
	s.deps = importer.ForCompiler(s.set, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	for _, file := range last.GoFiles {
		name := filepath.Join(last.Dir, file)
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		tree, err := parser.ParseFile(s.set, name, text, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		s.names, s.texts[name], s.trees[name] = append(s.names, name), text, tree
	}
	s.info = &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
	return s, s.check(s.trees, s.info)
}

// check type-checks trees, which go in the order of their names.
func (s *source) check(trees map[string]*ast.File, info *types.Info) error {
	files := make([]*ast.File, 0, len(s.names))
	for _, name := range s.names {
		files = append(files, trees[name])
	}
	_, err := (&types.Config{Importer: s.deps}).Check(s.path, s.set, files, info)
	return err
}

// all are the mutants of the package, file by file.
func (s *source) all() (found []mutant) {
	for _, name := range s.names {
		tree := s.trees[name]
		found = append(found, mutants(s.set.File(tree.Pos()), tree, s.texts[name], s.info)...)
	}
	return found
}

// write is the text of the file with a mutant in it; ok is false for one that does
// not compile.
func (s *source) write(m mutant) (name string, text []byte, taken edit, ok bool) {
	file := s.set.File(m.at)
	name = file.Name()
	for _, e := range m.edits {
		text = slices.Concat(s.texts[name][:file.Offset(e.start)], []byte(e.text), s.texts[name][file.Offset(e.end):])
		tree, err := parser.ParseFile(s.set, name, text, parser.SkipObjectResolution)
		if err != nil {
			continue
		}
		trees := map[string]*ast.File{}
		for n, t := range s.trees {
			trees[n] = t
		}
		trees[name] = tree
		if s.check(trees, nil) == nil {
			return name, text, e, true
		}
	}
	return name, nil, edit{}, false
}

// shown is a mutant as a reader looks for it: FILE:LINE, the rule, what stands
// there and what stood there instead.
func (s *source) shown(m mutant, e edit) string {
	file := s.set.File(m.at)
	at := file.Position(m.at)
	name := at.Filename
	if here, err := os.Getwd(); err == nil {
		if short, err := filepath.Rel(here, name); err == nil {
			name = short
		}
	}
	old := s.texts[at.Filename][file.Offset(e.start):file.Offset(e.end)]
	return fmt.Sprintf("%s:%d:%d: %s: %s -> %s", name, at.Line, at.Column, m.rule, line(old), line([]byte(e.text)))
}

// line is a text on one line, cut to what one can read.
func line(text []byte) string {
	const longest = 60
	words := []rune(string(bytes.Join(bytes.Fields(text), []byte(" "))))
	switch {
	case len(words) == 0:
		return "(nothing)"
	case len(words) > longest:
		return string(words[:longest]) + "…"
	}
	return string(words)
}

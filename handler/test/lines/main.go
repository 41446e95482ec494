// Command lines counts the product's lines that are neither blank nor comment, by folder.
// In: commits of this repository. Out: a table with a column for each commit, and one for the
// working tree. Tests and their support do not count.
//
// It judges nothing. CONTRIBUTING.md says what the figure is for.
package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"go/scanner"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

// folders are counted, each on a line of its own.
var folders = []string{"handler/accept", "handler/api", "handler/decide", "handler/deliver", "handler/gateway"}

func main() {
	if err := run(".", os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "lines:", err)
		os.Exit(1)
	}
}

// run prints a column for each commit of the repository in root, and one for its working tree.
func run(root string, commits []string, out io.Writer) error {
	var columns []map[string]int
	for _, commit := range commits {
		counts, err := ofCommit(root, commit)
		if err != nil {
			return fmt.Errorf("%s: %w", commit, err)
		}
		columns = append(columns, counts)
	}
	now, err := ofTree(root)
	if err != nil {
		return err
	}
	columns = append(columns, now)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "lines\t"+strings.Join(append(commits, "now"), "\t")+"\t")
	for _, folder := range append(folders, "") {
		fmt.Fprint(w, cmp.Or(folder, "all"), "\t")
		for _, counts := range columns {
			fmt.Fprint(w, counts[folder], "\t")
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

// ofTree counts the files of a directory, by folder. All of them stand under "".
func ofTree(root string) (map[string]int, error) {
	counts := map[string]int{}
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(root, folder), func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !counted(filepath.ToSlash(file)) {
				return err
			}
			text, err := os.ReadFile(file) //nolint:gosec // a checkout of one's own
			if err != nil {
				return err
			}
			n, err := lines(text)
			counts[folder] += n
			counts[""] += n
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return counts, nil
}

// ofCommit is ofTree for what git keeps. A folder that the commit does not have has no lines.
func ofCommit(root, commit string) (map[string]int, error) {
	cmd := exec.Command("git", "archive", commit, "handler") //nolint:noctx,gosec // Ctrl-C reaches git by itself; git takes one argument, no shell
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	archive, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for t := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return counts, nil
		}
		if err != nil {
			return nil, err
		}
		for _, folder := range folders {
			if !strings.HasPrefix(h.Name, folder+"/") || !counted(h.Name) {
				continue
			}
			text, err := io.ReadAll(t)
			if err != nil {
				return nil, err
			}
			n, err := lines(text)
			if err != nil {
				return nil, err
			}
			counts[folder] += n
			counts[""] += n
		}
	}
}

// counted reports whether a file, with slashes, is the product's: no test, and in no folder of
// their support.
func counted(file string) bool {
	if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
		return false
	}
	for dir := path.Dir(file); dir != "." && dir != "/"; dir = path.Dir(dir) {
		if base := path.Base(dir); strings.HasSuffix(base, "test") || base == "contract" || strings.HasSuffix(dir, "gateway/sim") {
			return false
		}
	}
	return true
}

// lines counts those with a token on them that are not blank: a text of several lines may have
// blank ones.
func lines(text []byte) (int, error) {
	var s scanner.Scanner
	var failed scanner.ErrorList
	file := token.NewFileSet().AddFile("", -1, len(text))
	s.Init(file, text, failed.Add, 0)
	code := map[int]bool{}
	for {
		pos, kind, literal := s.Scan()
		if kind == token.EOF {
			break
		}
		if kind == token.SEMICOLON && literal == "\n" {
			continue // the scanner's own
		}
		first := file.Line(pos)
		for i, line := range strings.Split(literal, "\n") {
			if i == 0 || strings.TrimSpace(line) != "" {
				code[first+i] = true
			}
		}
	}
	return len(code), failed.Err()
}

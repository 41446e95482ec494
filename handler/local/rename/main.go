// Command rename gives the project another address. In: the path of the Go module and the
// address of the repository. Out: every mention of the old ones is changed in the files that
// git lists: go.mod, imports, docs, JSON, workflows.
//
// The old ones are those of package version. The name Posthorn, its settings and its resources
// stay as they are.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"go/format"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/posthorn/posthorn/handler/version"
)

func main() {
	module := flag.String("module", "", "the new path of the Go module, such as example.com/acme/mailer")
	repository := flag.String("repository", "", "the new address of the repository; without it, https:// and the path of the module")
	flag.Parse()
	old := address{version.Module, version.Repository}
	if err := run(".", old, address{*module, *repository}); err != nil {
		fmt.Fprintln(os.Stderr, "rename:", err)
		os.Exit(1)
	}
}

// address is where the project is found.
type address struct{ module, repository string }

func run(root string, old, to address) error {
	if to.repository == "" {
		to.repository = "https://" + to.module
	}
	if err := to.check(); err != nil {
		return err
	}
	names, err := listed(root)
	if err != nil {
		return err
	}
	return rename(root, names, old, to)
}

var (
	modules      = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+(/[A-Za-z0-9][A-Za-z0-9._-]*)+$`)
	repositories = regexp.MustCompile(`^https://[a-z0-9-]+(\.[a-z0-9-]+)+(/[A-Za-z0-9][A-Za-z0-9._-]*)+$`)
	higher       = regexp.MustCompile(`/v[0-9]+$`)
)

func (a address) check() error {
	if !modules.MatchString(a.module) || higher.MatchString(a.module) {
		return fmt.Errorf("%q is no path of a module: say make rename MODULE=example.com/acme/mailer", a.module)
	}
	if !repositories.MatchString(a.repository) {
		return fmt.Errorf("%q is no address of a repository: say REPOSITORY=https://github.com/acme/mailer", a.repository)
	}
	return nil
}

// path is the repository's name at its host, such as acme/mailer.
func (a address) path() string {
	u, err := url.Parse(a.repository)
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(u.Path, "/")
}

// raw is where files are downloaded one by one. A version and the name of the file follow.
func (a address) raw() string {
	if strings.HasPrefix(a.repository, "https://github.com/") {
		return "https://raw.githubusercontent.com/" + a.path()
	}
	return a.repository + "/raw"
}

// listed are the files of the project, those that are not committed yet included.
func listed(root string) ([]string, error) {
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard") //nolint:noctx // Ctrl-C reaches git by itself
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("the files of git: %w", err)
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 }), nil
}

// rename changes the files of these names in root. A file that is deleted is passed over.
func rename(root string, names []string, old, to address) error {
	for _, name := range names {
		file := filepath.Join(root, name)
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		changed := replace(text, old, to)
		if bytes.Equal(text, changed) {
			continue
		}
		if strings.HasSuffix(name, ".go") {
			if changed, err = format.Source(changed); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, changed, info.Mode()); err != nil { //nolint:gosec // names are those that git lists
			return err
		}
	}
	return nil
}

// replace changes all mentions in one pass, so that none of the new ones is taken for an old one.
// The longest form goes first, and the name of another project that begins alike stays.
func replace(text []byte, old, to address) []byte {
	forms := map[string]string{old.raw(): to.raw(), old.repository: to.repository, old.module: to.module}
	pattern := regexp.MustCompile(`(` + regexp.QuoteMeta(old.raw()) + `|` + regexp.QuoteMeta(old.repository) + `|` + regexp.QuoteMeta(old.module) + `)\b`)
	text = pattern.ReplaceAllFunc(text, func(found []byte) []byte { return []byte(forms[string(found)]) })
	repo := regexp.MustCompile(`(--repo )` + regexp.QuoteMeta(old.path()) + `\b`)
	return repo.ReplaceAll(text, []byte("${1}"+to.path()))
}

package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/local/pack"
	"github.com/posthorn/posthorn/handler/version"
)

const root = "../../.."

// published are the files of a release: links on pages and in azure.yaml lead to some of them.
var published = []string{
	"SHA256SUMS", "azuredeploy.json", "posthorn-linux-amd64.zip", "posthorn-linux-arm64.zip",
	"posthorn-tools-darwin-amd64.zip", "posthorn-tools-darwin-arm64.zip", "posthorn-tools-linux-amd64.zip", "posthorn-tools-linux-arm64.zip",
	"posthorn-tools-windows-amd64.zip", "posthorn-tools-windows-arm64.zip", "posthorn.cdx.json",
}

// newRelease compiles nothing: a program is its name and system.
func newRelease(t *testing.T) *release {
	t.Helper()
	return &release{
		root: root, dir: filepath.Join(t.TempDir(), "release"), version: "v1.2.3", repository: version.Repository, systems: systems, out: io.Discard,
		build: func(_ context.Context, _ *release, program string, s system, file string) error {
			return os.WriteFile(file, []byte(program+" "+s.os+" "+s.arch), 0o600)
		},
		notices: func(_ context.Context, _, goos, goarch string, programs ...string) ([]byte, error) {
			return fmt.Appendln(nil, goos, goarch, programs), nil
		},
		bill: func(_ context.Context, _ *release, file string) error { return os.WriteFile(file, []byte("{}"), 0o600) },
	}
}

// written are the files of a folder.
func written(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, e := range entries {
		if all[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func unzipped(t *testing.T, data []byte) (content map[string]string, modes map[string]fs.FileMode) {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	content, modes = map[string]string{}, map[string]fs.FileMode{}
	for _, f := range z.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		content[f.Name], modes[f.Name] = string(text), f.Mode()
	}
	return content, modes
}

func TestReleaseHasAllFilesAndTheirSums(t *testing.T) {
	t.Parallel()
	r := newRelease(t)
	if err := r.write(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := written(t, r.dir)
	if got := slices.Sorted(maps.Keys(all)); !slices.Equal(got, published) {
		t.Errorf("got  %v\nwant %v", got, published)
	}
	var sums []string
	for line := range strings.Lines(string(all[sumsFile])) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		want := sha256.Sum256(all[name])
		if sum != hex.EncodeToString(want[:]) {
			t.Errorf("the sum of %s is %s", name, sum)
		}
		sums = append(sums, name)
	}
	if !slices.Equal(sums, published[1:]) {
		t.Errorf("there are sums of %v", sums)
	}
	if err := r.write(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !maps.EqualFunc(all, written(t, r.dir), bytes.Equal) {
		t.Error("a second run writes other files")
	}
}

func TestZipsHoldProgramsOfTheirSystem(t *testing.T) {
	t.Parallel()
	r := newRelease(t)
	if err := r.write(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := written(t, r.dir)
	for _, s := range systems {
		ending := map[string]string{"windows": ".exe"}[s.os]
		content, modes := unzipped(t, all["posthorn-tools-"+s.os+"-"+s.arch+".zip"])
		if want := map[string]fs.FileMode{"LICENSE": 0o644, pack.NoticesFile: 0o644, "posthorn" + ending: 0o755, "posthorn-emulator" + ending: 0o755}; !maps.Equal(modes, want) {
			t.Errorf("%v: %v", s, modes)
		}
		if got := content["posthorn"+ending]; got != "./handler/operate "+s.os+" "+s.arch {
			t.Errorf("%v: posthorn is %s", s, got)
		}
		if got, want := content[pack.NoticesFile], fmt.Sprintln(s.os, s.arch, "[./handler/operate ./handler/local/emulator/cmd/emulator]"); got != want {
			t.Errorf("%v: the notices are those of %s", s, got)
		}
		if s.os != "linux" {
			continue
		}
		content, modes = unzipped(t, all["posthorn-linux-"+s.arch+".zip"])
		if modes["handler"] != 0o755 || modes["host.json"] != 0o644 || modes["emails-send/function.json"] != 0o644 || content["handler"] != "./handler linux "+s.arch || content[pack.NoticesFile] != "linux "+s.arch+" [./handler]\n" {
			t.Errorf("%v: %v", s, modes)
		}
	}
}

// The template of a release deploys that release, and is otherwise the one that is committed.
func TestTemplateDeploysItsRelease(t *testing.T) {
	t.Parallel()
	r := newRelease(t)
	if err := r.write(t.Context()); err != nil {
		t.Fatal(err)
	}
	const address = version.Repository + "/releases/download/v1.2.3/posthorn-linux-amd64.zip"
	got := string(written(t, r.dir)[templateFile])
	var template struct {
		Parameters map[string]struct{ DefaultValue any }
	}
	if err := json.Unmarshal([]byte(got), &template); err != nil || template.Parameters["packageUri"].DefaultValue != address {
		t.Errorf("%v, %v", template.Parameters["packageUri"], err)
	}
	committed, err := os.ReadFile(filepath.Join(root, "infra", templateFile))
	if err != nil || strings.Replace(got, address, "", 1) != string(committed) {
		t.Errorf("more than the address differs, %v", err)
	}
}

func TestWrongVersionsAreRefused(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"", "1.2.3", "v1.2", "v1.2.3+dirty", "v01.2.3", "v2.0.0", "v1.2.3\n", "main"} {
		r := newRelease(t)
		r.version = version
		if err := r.write(t.Context()); err == nil || !strings.Contains(err.Error(), "VERSION=v1.2.3") {
			t.Errorf("%q: %v", version, err)
		}
		if _, err := os.Stat(r.dir); err == nil {
			t.Errorf("%q: something was written", version)
		}
	}
}

// A tag is all that a program needs to know its version, and a change in the checkout is seen.
func TestProgramsSayTheVersionOfTheTag(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds the programs")
	}
	r := newRelease(t)
	r.root, r.version, r.build, r.systems = checkout(t, "v1.9.8"), "v1.9.8", compile, []system{{runtime.GOOS, runtime.GOARCH}}
	if err := r.write(t.Context()); err != nil {
		t.Fatal(err)
	}
	all, ran := written(t, r.dir), 0
	for file, data := range all {
		if filepath.Ext(file) != ".zip" {
			continue
		}
		content, modes := unzipped(t, data)
		for name, program := range content {
			if modes[name] != 0o755 {
				continue
			}
			path := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(path, []byte(program), 0o700); err != nil {
				t.Fatal(err)
			}
			said, err := exec.CommandContext(t.Context(), path, "--version").Output()
			if err != nil || !strings.HasSuffix(string(said), " v1.9.8\n") {
				t.Errorf("%s of %s says %q, %v", name, file, said, err)
			}
			ran++
		}
	}
	if want := map[bool]int{true: 3, false: 2}[runtime.GOOS == "linux"]; ran != want {
		t.Errorf("%d programs were tried, and not %d", ran, want)
	}
	if err := os.WriteFile(filepath.Join(r.root, "LICENSE"), []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.write(t.Context()); err == nil || !strings.Contains(err.Error(), "this checkout makes v1.9.8+dirty, and not v1.9.8") {
		t.Errorf("with a change: %v", err)
	}
}

// checkout is a repository of its own with what programs are made of.
func checkout(t *testing.T, tag string) string {
	t.Helper()
	dir := t.TempDir()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || d.Name() == "dist" || len(name) > 2 && strings.HasPrefix(d.Name(), ".")):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(dir, name), 0o700)
		case !d.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name), data, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	// A hook of git, which may run these tests, names its own repository.
	environ := slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "GIT_") })
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"commit", "-qm", "All"}, {"tag", tag}} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = dir
		cmd.Env = append(slices.Clone(environ), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
			"GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.com", "GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.com")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	return dir
}

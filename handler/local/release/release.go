package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/posthorn/posthorn/handler/local/pack"
)

// system is one that programs are built for, by Go's names.
type system struct{ os, arch string }

var systems = []system{
	{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}, {"windows", "amd64"}, {"windows", "arm64"},
}

// tools are the programs that people run themselves, by their names in the zip.
var tools = []struct{ name, program string }{
	{"posthorn", "./handler/operate"},
	{"posthorn-emulator", "./handler/local/emulator/cmd/emulator"}, // with its inbox
}

// Names of the files that do not depend on a system.
const (
	templateFile = "azuredeploy.json"
	billFile     = "posthorn.cdx.json"
	sumsFile     = "SHA256SUMS" // the form of sha256sum
)

// release is one that is written.
type release struct {
	root, dir, version, repository string
	systems                        []system
	build                          func(ctx context.Context, r *release, program string, s system, file string) error
	notices                        func(ctx context.Context, root, goos, goarch string, programs ...string) ([]byte, error)
	bill                           func(ctx context.Context, r *release, file string) error
	out                            io.Writer // what is done
}

// versions are those that Go takes from a tag: from v2 on the path of the module has to say so.
var versions = regexp.MustCompile(`^v[01]\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$`)

// write makes all files anew.
func (r *release) write(ctx context.Context) error {
	if !versions.MatchString(r.version) {
		return fmt.Errorf("%q is no version of this module, which has v0 and v1 alone: say -version v1.2.3, or make release VERSION=v1.2.3", r.version)
	}
	if err := os.RemoveAll(r.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(r.dir, 0o750); err != nil {
		return err
	}
	built, err := os.MkdirTemp("", "posthorn-release-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(built) }()
	for _, s := range r.systems {
		if s.os == "linux" {
			if err := r.app(ctx, s, built); err != nil {
				return err
			}
		}
		if err := r.tools(ctx, s, built); err != nil {
			return err
		}
	}
	if err := r.template(); err != nil {
		return err
	}
	r.tell(billFile)
	if err := r.bill(ctx, r, filepath.Join(r.dir, billFile)); err != nil {
		return err
	}
	return r.sums()
}

func (r *release) tell(file string) { fmt.Fprintln(r.out, "writing", file) }

// appFile is the zip that Azure Functions runs.
func appFile(arch string) string { return "posthorn-linux-" + arch + ".zip" }

func (r *release) app(ctx context.Context, s system, built string) error {
	handler := filepath.Join(built, pack.Handler+"-"+s.arch)
	r.tell(appFile(s.arch))
	if err := r.build(ctx, r, "./handler", s, handler); err != nil {
		return err
	}
	notices, err := r.legal(ctx, s, handler, "./handler")
	if err != nil {
		return err
	}
	return r.file(appFile(s.arch), func(w io.Writer) error { return pack.Zip(w, r.root, handler, notices) })
}

// legal writes the notices of programs into a file beside the one that was built.
func (r *release) legal(ctx context.Context, s system, built string, programs ...string) (file string, err error) {
	text, err := r.notices(ctx, r.root, s.os, s.arch, programs...)
	if err != nil {
		return "", err
	}
	file = built + "." + pack.NoticesFile
	return file, os.WriteFile(file, text, 0o600)
}

// tools writes the programs for one system.
func (r *release) tools(ctx context.Context, s system, built string) error {
	name := "posthorn-tools-" + s.os + "-" + s.arch + ".zip"
	r.tell(name)
	ending := ""
	if s.os == "windows" {
		ending = ".exe"
	}
	var programs []string
	for _, t := range tools {
		programs = append(programs, t.program)
	}
	notices, err := r.legal(ctx, s, filepath.Join(built, name), programs...)
	if err != nil {
		return err
	}
	files := pack.Legal(r.root, notices)
	for _, t := range tools {
		source := filepath.Join(built, t.name+"-"+s.os+"-"+s.arch+ending)
		if err := r.build(ctx, r, t.program, s, source); err != nil {
			return err
		}
		files = append(files, pack.File{Name: t.name + ending, Source: source, Mode: 0o755})
	}
	return r.file(name, func(w io.Writer) error { return pack.Write(w, files) })
}

// defaultPackage is where the template says which zip it deploys: none.
var defaultPackage = regexp.MustCompile(`("packageUri": \{\s*"type": "string",\s*"defaultValue": )""`)

// template writes azuredeploy.json, which deploys the zip of this release.
func (r *release) template() error {
	text, err := os.ReadFile(filepath.Join(r.root, "infra", templateFile))
	if err != nil {
		return err
	}
	// A module has a parameter of that name too, without a default.
	if n := len(defaultPackage.FindAll(text, -1)); n != 1 {
		return fmt.Errorf("infra/%s has %d parameters packageUri with an empty default, and should have one", templateFile, n)
	}
	address := r.repository + "/releases/download/" + r.version + "/" + appFile("amd64")
	r.tell(templateFile)
	return r.file(templateFile, func(w io.Writer) error {
		_, err := w.Write(defaultPackage.ReplaceAll(text, []byte(`${1}"`+address+`"`)))
		return err
	})
}

// sums writes the sums of all other files.
func (r *release) sums() error {
	entries, err := os.ReadDir(r.dir) // in the order of names
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(r.dir, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(data), e.Name())
	}
	r.tell(sumsFile)
	return r.file(sumsFile, func(w io.Writer) error {
		_, err := io.WriteString(w, b.String())
		return err
	})
}

// file writes one of the release, once all of it is there.
func (r *release) file(name string, fill func(io.Writer) error) error {
	var b bytes.Buffer
	if err := fill(&b); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.WriteFile(filepath.Join(r.dir, name), b.Bytes(), 0o644) //nolint:gosec // to be published
}

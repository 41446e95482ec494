// Package pack lays a function app out as the Functions host wants it. In: the
// project's folder. Out: a static handler, and beside it host.json and
// NAME/function.json of each template, in a directory or in a zip to deploy.
//
// It deploys nothing. The zip is written here, because the handler must be
// executable in it and the zip tools of many systems forget that; the host sets
// the bit on some plans only. The same input gives the same zip, byte by byte.
//
// Sources: learn.microsoft.com, "Azure Functions custom handlers", section
// Deploying; Azure/azure-functions-host, WorkerProcess.cs,
// AssignUserExecutePermissionsIfNotExists.
package pack

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Handler is the name of the executable; host.json says the same.
const Handler = "handler"

// Build compiles a program, such as ./handler, for a system (GOOS, GOARCH; "" is this
// machine's) into the file out, static and without debugging information. More flags of go
// build may be given.
func Build(ctx context.Context, root, program, goos, goarch, out string, flags ...string) error {
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	args := append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", out}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, program)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s does not build: %w\n%s", program, err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}

// epoch is the first time that a zip can hold.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// File is one of a zip.
type File struct {
	Name   string // in the zip, with slashes
	Source string // where its content is read
	Mode   fs.FileMode
}

// files are those of an app whose handler was built into handler.
func files(root, handler string) ([]File, error) {
	const templates, ext = "function.json-templates", ".json"
	found, err := filepath.Glob(filepath.Join(root, templates, "*"+ext))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errors.New("there are no templates in " + filepath.Join(root, templates))
	}
	all := []File{{Handler, handler, 0o755}, {"host.json", filepath.Join(root, "host.json"), 0o644}}
	for _, f := range found {
		name := strings.TrimSuffix(filepath.Base(f), ext)
		all = append(all, File{name + "/function.json", f, 0o644})
	}
	return all, nil
}

// Legal are the files that every zip has: this project's licence, and the notices of others.
func Legal(root, notices string) []File {
	return []File{{LicenseFile, filepath.Join(root, LicenseFile), 0o644}, {NoticesFile, notices, 0o644}}
}

// Dir writes the app into the directory dir and removes what an older layout has
// left of functions there. The handler may be there already.
func Dir(root, handler, dir string) error {
	all, err := files(root, handler)
	if err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(dir, "*", "function.json"))
	if err != nil {
		return err
	}
	for _, f := range old {
		if err := os.RemoveAll(filepath.Dir(f)); err != nil {
			return err
		}
	}
	for _, f := range all {
		to := filepath.Join(dir, filepath.FromSlash(f.Name))
		if to == filepath.Clean(f.Source) {
			continue
		}
		data, err := os.ReadFile(f.Source)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			return err
		}
		if err := os.WriteFile(to, data, f.Mode); err != nil { //nolint:gosec // names are those of the templates
			return err
		}
	}
	return nil
}

// Zip writes the app to w, with this project's licence and the notices of others in a file.
func Zip(w io.Writer, root, handler, notices string) error {
	all, err := files(root, handler)
	if err != nil {
		return err
	}
	return Write(w, append(all, Legal(root, notices)...))
}

// Write makes a zip of files. Their times are not in it, so that the same files give the same
// zip.
func Write(w io.Writer, all []File) error {
	z := zip.NewWriter(w)
	for _, f := range all {
		h := &zip.FileHeader{Name: f.Name, Method: zip.Deflate, Modified: epoch}
		h.SetMode(f.Mode)
		part, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(f.Source)
		if err != nil {
			return err
		}
		if _, err := part.Write(data); err != nil {
			return err
		}
	}
	return z.Close()
}

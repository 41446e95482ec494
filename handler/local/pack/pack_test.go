package pack

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

const root = "../../.."

func TestTheZipIsWhatTheHostWants(t *testing.T) {
	t.Parallel()
	handler := filepath.Join(t.TempDir(), "built")
	if err := os.WriteFile(handler, []byte("binary"), 0o600); err != nil {
		t.Fatal(err)
	}
	notices := filepath.Join(t.TempDir(), "notices")
	if err := os.WriteFile(notices, []byte("MIT"), 0o600); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Zip(&b, root, handler, notices); err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]fs.FileMode{}
	for _, f := range z.File {
		got[f.Name] = f.Mode()
	}
	want := map[string]fs.FileMode{Handler: 0o755, "host.json": 0o644, LicenseFile: 0o644, NoticesFile: 0o644}
	templates, _ := filepath.Glob(root + "/function.json-templates/*.json")
	for _, f := range templates {
		name := filepath.Base(f)
		want[name[:len(name)-len(".json")]+"/function.json"] = 0o644
	}
	if !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	var again bytes.Buffer
	if err := Zip(&again, root, handler, notices); err != nil || !bytes.Equal(b.Bytes(), again.Bytes()) {
		t.Error("a second zip differs", err)
	}
}

func TestADirectoryForgetsAFunctionThatIsNoMore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := filepath.Join(dir, "old", "function.json")
	handler := filepath.Join(dir, Handler)
	for _, f := range []string{old, handler} {
		if err := os.MkdirAll(filepath.Dir(f), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, []byte("x"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := Dir(root, handler, dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("the old function is still there")
	}
	for _, name := range []string{"host.json", "cleanup/function.json", "emails-send/function.json", Handler} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestTheHandlerIsStatic(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds the handler")
	}
	out := filepath.Join(t.TempDir(), Handler)
	if err := Build(t.Context(), root, "./handler", "linux", runtime.GOARCH, out); err != nil {
		t.Fatal(err)
	}
	f, err := elf.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	libraries, _ := f.ImportedLibraries()
	interpreted := slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
	if len(libraries) > 0 || interpreted {
		t.Errorf("libraries %v, interpreter %t", libraries, interpreted)
	}
}

func TestAHandlerThatDoesNotBuildSaysWhy(t *testing.T) {
	t.Parallel()
	if err := Build(t.Context(), t.TempDir(), "./handler", "", "", filepath.Join(t.TempDir(), "h")); err == nil {
		t.Error("built from nothing")
	}
}

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/posthorn/posthorn/handler/version"
)

const root = "../../.."

var acme = address{"example.com/acme/mailer", "https://github.com/acme/mailer"}

func TestEveryFormOfTheAddressIsChanged(t *testing.T) {
	t.Parallel()
	old := address{"example.org/old/name", "https://github.com/old/name"}
	for _, c := range []struct{ name, text, want string }{
		{"an import", `import "example.org/old/name/handler"`, `import "example.com/acme/mailer/handler"`},
		{"a link", "(https://github.com/old/name/issues)", "(https://github.com/acme/mailer/issues)"},
		{"a file", "https://raw.githubusercontent.com/old/name/v1.2.3/f", "https://raw.githubusercontent.com/acme/mailer/v1.2.3/f"},
		{"a command", "gh attestation verify f --repo old/name", "gh attestation verify f --repo acme/mailer"},
		{"the end of a sentence", "See https://github.com/old/name.", "See https://github.com/acme/mailer."},
		{"another project", "https://github.com/old/names", "https://github.com/old/names"},
		{"a folder", "docs/old/name", "docs/old/name"},
	} {
		if got := string(replace([]byte(c.text), old, acme)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestWrongAddressesAreRefused(t *testing.T) {
	t.Parallel()
	for _, to := range []address{
		{"", ""}, {"mailer", ""}, {"acme/mailer", ""}, {"example.com", ""}, {"example.com/acme/mailer/v2", ""},
		{"https://example.com/acme", ""}, {"example.com/a b", ""}, {acme.module, "github.com/acme/mailer"}, {acme.module, "https://github.com"},
	} {
		if err := run(t.TempDir(), address{version.Module, version.Repository}, to); err == nil {
			t.Errorf("%v was taken", to)
		}
	}
}

// A copy of the project gets another address, builds, and does not know the old one any more.
func TestARenamedProjectBuilds(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("compiles all packages anew")
	}
	names, err := listed(root)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range names {
		copyFile(t, filepath.Join(root, name), filepath.Join(dir, name))
	}
	old := address{version.Module, version.Repository}
	if err := rename(dir, names, old, acme); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, _ := os.ReadFile(filepath.Join(dir, name))
		for _, gone := range []string{old.module, old.repository, old.raw(), "--repo " + old.path()} {
			if bytes.Contains(text, []byte(gone)) {
				t.Errorf("%s still has %s", name, gone)
			}
		}
	}
	for _, module := range []string{".", filepath.Join("handler", "test", "goclients")} {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", os.DevNull, "./...")
		cmd.Dir = filepath.Join(dir, module)
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", module, err, said)
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if os.IsNotExist(err) {
		return // deleted, and not committed yet
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

package test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// go test keeps a pass while the sources of the tests stay as they are. Those of
// the product are none of them here: these tests build it in another process. So
// `make test` must run them anew each time, or it would pass on what is broken.
//
// GOFLAGS plants the bug, and go test's cache does not know of it either.
func TestWhatBreaksAfterAPassIsSeen(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("runs make test")
	}
	flags, err := exec.CommandContext(t.Context(), "go", "env", "GOFLAGS").Output()
	if err != nil {
		t.Fatal(err)
	}
	makeTest := func(more string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "make", "-o", "setup", "test", "PKG=./handler/test", "ARGS=-run=TestProduct/wrong_settings")
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "GOFLAGS="+strings.TrimSpace(string(flags))+" "+more)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := makeTest(""); err != nil {
		t.Fatalf("the product as it is: %v\n%s", err, out)
	}
	if out, err := makeTest("-overlay=" + endsAtOnce(t)); err == nil || !strings.Contains(out, "--- FAIL: TestProduct/wrong_settings") {
		t.Errorf("a product that does nothing: %v\n%s", err, out)
	}
}

// endsAtOnce is an overlay with a main that ends well before it begins.
func endsAtOnce(t *testing.T) string {
	t.Helper()
	file, err := filepath.Abs("../main.go")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const begin = "\nfunc main() {\n"
	if strings.Count(string(text), begin) != 1 {
		t.Fatalf("%q does not stand once in main.go", begin)
	}
	dir := t.TempDir()
	broken, overlay := filepath.Join(dir, "main.go"), filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {file: broken}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		broken:  strings.Replace(string(text), begin, begin+"\tos.Exit(0)\n", 1),
		overlay: string(list),
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return overlay
}

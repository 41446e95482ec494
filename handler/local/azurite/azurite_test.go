package azurite_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"github.com/posthorn/posthorn/handler/local/azurite"
	"github.com/posthorn/posthorn/handler/local/azurite/azuritetest"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/table"
	"github.com/posthorn/posthorn/handler/test/require"
)

func TestDataAndCertificateOutliveARestart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "storage")
	first := start(t, dir)
	before, err := os.ReadFile(first.CertFile)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rows(t, first).Insert(t.Context(), store.Entity{Partition: "p", Row: "r"}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(first.Stop(), first.Stop()); err != nil {
		t.Fatal(err)
	}
	<-first.Done()
	second := start(t, dir)
	if _, _, err := rows(t, second).Get(t.Context(), "p", "r"); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	if after, err := os.ReadFile(second.CertFile); err != nil || string(after) != string(before) {
		t.Errorf("another certificate, error %v", err)
	}
}

func start(t *testing.T, dir string) *azurite.Azurite {
	t.Helper()
	a, err := azurite.Start(t.Context(), azurite.Config{NodeModules: azuritetest.NodeModules(t), Dir: dir})
	azuritetest.Check(t, err)
	t.Cleanup(func() {
		if err := a.Stop(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func rows(t *testing.T, a *azurite.Azurite) *table.Table {
	t.Helper()
	transport, err := azurite.Transport(a.CertFile)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := table.Open(a.Table, "rows", azuritetest.Credential{}, &aztables.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: &http.Client{Transport: transport}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestPortThatIsTakenIsNamed(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	address := listener.Addr().(*net.TCPAddr)
	_, err = azurite.Start(t.Context(), azurite.Config{NodeModules: azuritetest.NodeModules(t), QueuePort: address.Port})
	if errors.Is(err, azurite.ErrNotInstalled) {
		azuritetest.Check(t, err)
	}
	_, port, _ := net.SplitHostPort(address.String())
	if want := "port " + port + " is taken: end the program that uses it, or choose another port"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// script stands in for Azurite.
func script(t *testing.T, text string) azurite.Config {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		require.Missing(t, require.Azurite)
	}
	modules := t.TempDir()
	dir := filepath.Join(modules, "azurite", "dist", "src")
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "azurite.js"), []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	return azurite.Config{NodeModules: modules, Dir: t.TempDir()}
}

func TestEarlyEndIsToldWithItsOutput(t *testing.T) {
	t.Parallel()
	_, err := azurite.Start(t.Context(), script(t, `console.log("begun"); console.error("no such thing"); process.exit(0)`))
	if err == nil || !strings.Contains(err.Error(), "ended before it was ready") ||
		!strings.Contains(err.Error(), "begun") || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("error %v", err)
	}
}

func TestStartThatTakesTooLongLeavesNoProcess(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cfg := script(t, `require("fs").writeFileSync("pid", String(process.pid)); setInterval(() => {}, 1000)`)
	go func() {
		defer cancel()
		for ctx.Err() == nil {
			if pid, err := os.ReadFile(filepath.Join(cfg.Dir, "pid")); err == nil && len(pid) > 0 {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	if _, err := azurite.Start(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	pid, err := os.ReadFile(filepath.Join(cfg.Dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skip("there is no /proc to look for the process in")
	}
	if _, err := os.Stat("/proc/" + string(pid)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("process %s is still there", pid)
	}
}

func TestNotInstalled(t *testing.T) {
	t.Parallel()
	_, err := azurite.Start(t.Context(), azurite.Config{NodeModules: t.TempDir()})
	if !errors.Is(err, azurite.ErrNotInstalled) {
		t.Errorf("error %v, want %v", err, azurite.ErrNotInstalled)
	}
}

func TestTokenHasTheClaimsThatAzuriteReads(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, time.November, 23, 14, 0, 0, 0, time.UTC)
	parts := strings.Split(azurite.Token("https://storage.azure.com", from, from.Add(time.Hour)), ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts, want 3", len(parts))
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"aud": "https://storage.azure.com",
		"iss": "https://sts.windows.net/00000000-0000-0000-0000-0000000000a1/",
		"tid": "00000000-0000-0000-0000-0000000000a1",
		"oid": "00000000-0000-0000-0000-0000000000b2",
		"sub": "00000000-0000-0000-0000-0000000000b2",
		"iat": 1795442400.0, "nbf": 1795442400.0, "exp": 1795446000.0,
		"ver": "1.0",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("claims %v, want %v", got, want)
	}
}

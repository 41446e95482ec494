package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/local/host"
	"github.com/posthorn/posthorn/handler/local/pack"
	"github.com/posthorn/posthorn/handler/local/queues"
)

const (
	// gatewayStart is how long the gateway may take until storage and ACS answer.
	gatewayStart = time.Minute
	// funcStop is how long Core Tools may take to end.
	funcStop = 10 * time.Second
	// callerName is who the samples are from, and what it may send as.
	callerName   = "local"
	callerSender = "donotreply@example.com"
)

// underHost runs the app in dir on l under the stand-in for the Functions host.
func underHost(ctx context.Context, c config, g gatewayRun, l net.Listener, output io.Writer, log *slog.Logger) error {
	queue, err := queues.At("https://"+c.queueHost(), c.certFile())
	if err != nil {
		return err
	}
	h, err := host.New(host.Config{Dir: g.dir, Env: g.env, Output: output, Log: log, Queue: queue})
	if err != nil {
		return err
	}
	return h.Serve(ctx, l)
}

// underFunc runs the app in dir under Azure Functions Core Tools. Timers and
// queues are left out: their host wants storage of its own, and would not trust
// Azurite's certificate. So what waits goes on waiting.
func underFunc(ctx context.Context, c config, dir string, l net.Listener, output io.Writer) error {
	if err := errors.Join(removeTriggers(dir), writeLocalSettings(c, dir)); err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(c.Gateway)
	if err != nil {
		return err
	}
	l.Close() // func wants to listen itself
	cmd := exec.CommandContext(ctx, "func", "start", "--port", port)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = output, output
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = funcStop
	if err := cmd.Run(); ctx.Err() == nil {
		return fmt.Errorf("func has ended: %w", err)
	}
	return nil
}

// removeTriggers leaves of the app in dir the functions that HTTP calls.
func removeTriggers(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*", "function.json"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if bytes.Contains(text, []byte(`"httpTrigger"`)) {
			continue
		}
		if err := os.RemoveAll(filepath.Dir(file)); err != nil {
			return err
		}
	}
	return nil
}

func writeLocalSettings(c config, dir string) error {
	values := map[string]string{"FUNCTIONS_WORKER_RUNTIME": "custom", "AzureWebJobsSecretStorageType": "files"}
	for _, setting := range c.gatewayEnv(nil) {
		name, value, _ := strings.Cut(setting, "=")
		values[name] = value
	}
	data, err := json.MarshalIndent(map[string]any{"IsEncrypted": false, "Values": values}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "local.settings.json"), data, 0o600)
}

// writeEnv leaves the gateway's settings for a shell, so that the operator's
// commands can be tried: `. .local/env`.
func writeEnv(c config) error {
	var b strings.Builder
	for _, setting := range c.gatewayEnv(nil) {
		name, value, _ := strings.Cut(setting, "=")
		fmt.Fprintf(&b, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	}
	return os.WriteFile(c.path("env"), []byte(b.String()), 0o600)
}

// layOut builds the handler and puts the app into dir.
func layOut(ctx context.Context, dir string) error {
	handler := filepath.Join(dir, pack.Handler)
	if err := pack.Build(ctx, ".", "", "", handler); err != nil {
		return err
	}
	return pack.Dir(".", handler, dir)
}

// awaitGateway returns once the gateway reaches storage and ACS.
func awaitGateway(ctx context.Context, c config) error {
	ctx, cancel := context.WithTimeout(ctx, gatewayStart)
	defer cancel()
	last := "it did not answer"
	for {
		status, body, err := get(ctx, c.publicURL()+"/readyz", "")
		switch {
		case err == nil && status == http.StatusOK:
			return nil
		case err == nil:
			last = string(body)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the gateway is not ready (%s): look into %s", strings.TrimSpace(last), c.path("log"))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func get(ctx context.Context, url, key string) (status int, body []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	return do(r)
}

func do(r *http.Request) (status int, body []byte, err error) {
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// secrets prove the caller: a key, and a connection string for ACS's SDKs.
type secrets struct{ key, connection string }

// ensureCaller returns the secrets of an earlier run while they hold, else those
// of a caller made anew.
func ensureCaller(ctx context.Context, c config, handler string, env []string) (secrets, error) {
	if s, ok := readSecrets(c); ok {
		status, _, err := get(ctx, c.publicURL()+"/emails/operations/00000000-0000-4000-8000-000000000000", s.key)
		if err != nil {
			return secrets{}, err
		}
		if status != http.StatusUnauthorized {
			return s, nil
		}
	}
	said, err := callers(ctx, handler, env, "add", callerName, "--sender", callerSender, "--recipient-domain", "*", "--hmac", "--entra-app", deskApp)
	if err != nil { // it is there, and its key is lost
		var again error
		if said, again = callers(ctx, handler, env, "rotate", callerName); again != nil {
			return secrets{}, fmt.Errorf("the caller %s cannot be made: %w", callerName, errors.Join(err, again))
		}
	}
	key, connection, _ := strings.Cut(strings.TrimSpace(said), "\n")
	s := secrets{key, connection}
	return s, errors.Join(os.WriteFile(c.path("key"), []byte(s.key+"\n"), 0o600),
		os.WriteFile(c.path("connection-string"), []byte(s.connection+"\n"), 0o600))
}

func readSecrets(c config) (secrets, bool) {
	key, keyErr := os.ReadFile(c.path("key"))
	connection, err := os.ReadFile(c.path("connection-string"))
	// The connection string names the gateway's address, which may have changed.
	if keyErr != nil || err != nil || !strings.HasPrefix(string(connection), "endpoint="+c.publicURL()+"/;") {
		return secrets{}, false
	}
	return secrets{strings.TrimSpace(string(key)), strings.TrimSpace(string(connection))}, true
}

func callers(ctx context.Context, handler string, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, handler, append([]string{"callers"}, args...)...)
	cmd.Env = env
	var complaint strings.Builder
	cmd.Stderr = &complaint
	said, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(complaint.String()))
	}
	return string(said), nil
}

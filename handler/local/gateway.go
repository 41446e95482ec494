package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
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
	// funcStop is how long Core Tools may take to end.
	funcStop = 10 * time.Second
	// callerName is who the samples are from, and what it may send as.
	callerName   = "local"
	callerSender = "donotreply@example.com"
)

// underHost runs the app in dir on l under the stand-in for the Functions host.
func underHost(outer context.Context, c config, g gatewayRun, l net.Listener, output io.Writer, log *slog.Logger) error {
	queue, err := queues.At("https://"+c.queueHost(), c.certFile())
	if err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(outer)
	defer end(nil)
	h, err := host.New(host.Config{
		Dir: g.dir, Env: g.env, Output: output, Log: log, Queue: queue,
		StartTime: patience, Closed: end, // unlike in Azure, somebody sits before it
	})
	if err != nil {
		return err
	}
	err = h.Serve(ctx, l)
	if err == nil && outer.Err() == nil {
		err = cmp.Or(context.Cause(ctx), errors.New("its listener failed"))
	}
	return err
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
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil //nolint:nilerr // it was told to end
	case err != nil:
		return fmt.Errorf("func has ended: %w", err)
	}
	return errors.New("func has ended by itself")
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
func layOut(ctx context.Context, dir string, out io.Writer) error {
	handler := filepath.Join(dir, pack.Handler)
	if err := during(out, "the compiler", func() error { return pack.Build(ctx, ".", "", "", handler) }); err != nil {
		return err
	}
	return pack.Dir(".", handler, dir)
}

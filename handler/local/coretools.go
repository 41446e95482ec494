package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const (
	// funcStop is how long Core Tools may take to end.
	funcStop = 10 * time.Second
	// storageKey is everybody's key of Azurite, and no secret. Source:
	// learn.microsoft.com, "Use the Azurite emulator", section Well-known storage
	// account and key.
	storageKey = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// underFunc runs the app in dir under Azure Functions Core Tools, which have a host
// of their own. Its part for queues and timers is written in .NET, which believes
// Azurite's certificate by a variable on Linux alone: elsewhere both are left out,
// and what waits goes on waiting.
func underFunc(ctx context.Context, c config, g gatewayRun, l net.Listener, output io.Writer) error {
	if err := writeLocalSettings(c, g.dir, g.env); err != nil {
		return err
	}
	if runtime.GOOS != "linux" {
		if err := removeTriggers(g.dir); err != nil {
			return err
		}
	}
	_, port, err := net.SplitHostPort(c.Gateway)
	if err != nil {
		return err
	}
	l.Close() // func wants to listen itself
	cmd := exec.CommandContext(ctx, "func", "start", "--port", port)
	cmd.Dir = g.dir
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+c.certFile()) // beside the system's folder of certificates
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

// hostEnv is what the Functions host itself reads. Its storage holds the locks of
// timers, its keys are in files. POSTHORN_QUEUE is the connection of the queue's
// functions: an account in the host name, as the gateway has it, would hide the
// queue's name from .NET.
func (c config) hostEnv() []string {
	service := func(kind string, port int) string {
		return ";" + kind + "Endpoint=https://" + c.port(port) + "/devstoreaccount1"
	}
	connection := "DefaultEndpointsProtocol=https;AccountName=devstoreaccount1;AccountKey=" + storageKey +
		service("Blob", c.BlobPort) + service("Queue", c.QueuePort) + service("Table", c.TablePort)
	return []string{
		"FUNCTIONS_WORKER_RUNTIME=custom",
		"AzureWebJobsSecretStorageType=files",
		"AzureWebJobsStorage=" + connection,
		"POSTHORN_QUEUE=" + connection,
	}
}

func writeLocalSettings(c config, dir string, env []string) error {
	values := settingsIn(env)
	for _, setting := range c.hostEnv() {
		name, value, _ := strings.Cut(setting, "=")
		values[name] = value
	}
	data, err := json.MarshalIndent(map[string]any{"IsEncrypted": false, "Values": values}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "local.settings.json"), data, 0o600)
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

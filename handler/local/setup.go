package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/posthorn/posthorn/handler/local/azurite"
)

const (
	oldestNode = 20
	// npmLines of npm's output are shown when it fails.
	npmLines = 12
	// modules is where npm keeps what a lock file lists.
	modules = "node_modules"
)

// npmFolder is a folder with a package.json and its lock file.
type npmFolder struct {
	dir  string
	what string // is in it, for people
}

var (
	azuriteFolder = npmFolder{azurite.Folder, "Azurite, the emulator of Azure Storage"}
	clientsFolder = npmFolder{"handler/test/clients", "the mail clients of the tests"}
)

// setup installs what is missing in a folder, or older than its lock file.
func setup(ctx context.Context, c config, out io.Writer, f npmFolder) error {
	if err := checkNode(ctx); err != nil {
		return err
	}
	if f.installed() {
		return nil
	}
	fmt.Fprintf(out, "Installing %s. This happens once and takes a minute or two.\n", f.what)
	cmd := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund")
	cmd.Dir = f.dir
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	var said []byte
	err := during(out, "npm", func() (err error) {
		said, err = cmd.CombinedOutput()
		return err
	})
	if logErr := writeLog(c, "npm.log", said); logErr != nil {
		return logErr
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("npm is missing: it belongs to Node.js; install Node.js 20 or newer from https://nodejs.org and run the command again")
	case err != nil:
		return fmt.Errorf("npm could not install %s (%w). Correct what it says and run the command again; all of it is in %s.\n\n%s",
			f.what, err, c.path("log/npm.log"), lastLines(said, npmLines))
	}
	return f.markInstalled()
}

func checkNode(ctx context.Context) error {
	said, err := exec.CommandContext(ctx, "node", "--version").Output()
	if err != nil {
		return errors.New("Node.js is missing, which runs Azurite: install Node.js 20 or newer from https://nodejs.org and run the command again")
	}
	version := strings.TrimSpace(string(said))
	major, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < oldestNode {
		return fmt.Errorf("Node.js %s is too old for Azurite: install Node.js %d or newer from https://nodejs.org and run the command again", version, oldestNode)
	}
	return nil
}

func (f npmFolder) lockFile() string { return filepath.Join(f.dir, "package-lock.json") }
func (f npmFolder) modules() string  { return filepath.Join(f.dir, modules) }

// stamp is the lock file that was installed, written when npm has finished. (Times
// of files say nothing: a checkout renews them.)
func (f npmFolder) stamp() string { return filepath.Join(f.modules(), ".installed-lock.json") }

func (f npmFolder) installed() bool {
	want, err := os.ReadFile(f.lockFile())
	if err != nil {
		return false
	}
	got, err := os.ReadFile(f.stamp())
	return err == nil && bytes.Equal(got, want)
}

func (f npmFolder) markInstalled() error {
	data, err := os.ReadFile(f.lockFile())
	if err != nil {
		return err
	}
	return os.WriteFile(f.stamp(), data, 0o600) //nolint:gosec // the paths are constants
}

func writeLog(c config, name string, data []byte) error {
	if err := os.MkdirAll(c.path("log"), 0o700); err != nil {
		return err
	}
	return os.WriteFile(c.path("log/"+name), data, 0o600)
}

func lastLines(text []byte, n int) []byte {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-n):], []byte("\n"))
}

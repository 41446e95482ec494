package world

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// programTime is the longest that a program may take to start or to end. It
// bounds a hang, it measures nothing.
const programTime = 30 * time.Second

// Program is a running process and all that it has written.
type Program struct {
	Cmd            *exec.Cmd
	Stdout, Stderr Output
	ended          chan struct{}
}

// Output is written by a process while a test reads it.
type Output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// String is what was written so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// root is the folder of the module.
func root(tb testing.TB) string {
	tb.Helper()
	mod, err := exec.CommandContext(tb.Context(), "go", "env", "GOMOD").Output()
	if err != nil {
		tb.Fatal(err)
	}
	return filepath.Dir(strings.TrimSpace(string(mod)))
}

// build compiles a package of the module as `make build` does.
func build(tb testing.TB, pkg, name string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	cmd := exec.CommandContext(tb.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, pkg)
	cmd.Dir = root(tb)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("go build %s: %v\n%s", pkg, err, out)
	}
	return path
}

// Start runs a program until the end of the test at the latest. env is all of its
// environment.
func Start(tb testing.TB, env []string, path string, args ...string) *Program {
	tb.Helper()
	p := &Program{Cmd: exec.CommandContext(context.WithoutCancel(tb.Context()), path, args...), ended: make(chan struct{})}
	p.Cmd.Env = env
	p.Cmd.Stdout, p.Cmd.Stderr = &p.Stdout, &p.Stderr
	if err := p.Cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.Cmd.Wait() // told by exitCode
	}()
	tb.Cleanup(func() { p.Kill(tb) })
	return p
}

// Run runs a program to its end.
func Run(tb testing.TB, env []string, path string, args ...string) *Program {
	tb.Helper()
	p := Start(tb, env, path, args...)
	p.ExitCode(tb)
	return p
}

// ExitCode waits for the end; -1 stands for a signal.
func (p *Program) ExitCode(tb testing.TB) int {
	tb.Helper()
	select {
	case <-p.ended:
	case <-time.After(programTime):
		tb.Fatalf("%s has not ended; it wrote %s", p.Cmd, p.Stderr.String())
	}
	return p.Cmd.ProcessState.ExitCode()
}

// Terminate is SIGTERM, which the program may take its time over.
func (p *Program) Terminate(tb testing.TB) {
	tb.Helper()
	p.signal(tb, syscall.SIGTERM)
}

// Kill is SIGKILL and returns when the process is no more.
func (p *Program) Kill(tb testing.TB) {
	tb.Helper()
	p.signal(tb, os.Kill)
	p.ExitCode(tb)
}

func (p *Program) signal(tb testing.TB, s os.Signal) {
	tb.Helper()
	if err := p.Cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		tb.Error(err)
	}
}

// Await asks again and again until done says so, more rarely the longer that takes: a
// question costs storage's time, which all tests share.
func Await(tb testing.TB, what string, done func(ctx context.Context) bool) {
	tb.Helper()
	// A test's own context is over while its clean-up runs.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), programTime)
	defer cancel()
	for wait := 5 * time.Millisecond; !done(ctx); wait = min(2*wait, 80*time.Millisecond) {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			tb.Fatalf("waited in vain for %s", what)
		}
	}
}

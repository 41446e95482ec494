package test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// programTime is the longest that a program may take to start or to end. It
// bounds a hang, it measures nothing.
const programTime = 30 * time.Second

// program is a running process and all that it has written.
type program struct {
	cmd            *exec.Cmd
	stdout, stderr output
	ended          chan struct{}
}

// output is written by a process while a test reads it.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// build compiles a package of the module as `make build` does.
func build(tb testing.TB, pkg, name string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	cmd := exec.CommandContext(tb.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, pkg)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("go build %s: %v\n%s", pkg, err, out)
	}
	return path
}

// start runs a program until the end of the test at the latest. env is all of its
// environment; nil means the test's own.
func start(tb testing.TB, env []string, path string, args ...string) *program {
	tb.Helper()
	p := &program{cmd: exec.Command(path, args...), ended: make(chan struct{})}
	p.cmd.Env = env
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // told by exitCode
	}()
	tb.Cleanup(func() { p.kill(tb) })
	return p
}

// run runs a program to its end.
func run(tb testing.TB, env []string, path string, args ...string) *program {
	tb.Helper()
	p := start(tb, env, path, args...)
	p.exitCode(tb)
	return p
}

// exitCode waits for the end; -1 stands for a signal.
func (p *program) exitCode(tb testing.TB) int {
	tb.Helper()
	select {
	case <-p.ended:
	case <-time.After(programTime):
		tb.Fatalf("%s has not ended; it wrote %s", p.cmd, p.stderr.String())
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *program) terminate(tb testing.TB) {
	tb.Helper()
	p.signal(tb, syscall.SIGTERM)
}

// kill is SIGKILL and returns when the process is no more.
func (p *program) kill(tb testing.TB) {
	tb.Helper()
	p.signal(tb, os.Kill)
	p.exitCode(tb)
}

func (p *program) signal(tb testing.TB, s os.Signal) {
	tb.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		tb.Error(err)
	}
}

// await asks again and again until done says so.
func await(tb testing.TB, what string, done func(ctx context.Context) bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), programTime)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tb.Fatalf("waited in vain for %s", what)
		}
	}
}

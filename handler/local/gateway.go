package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/local/host"
	"github.com/posthorn/posthorn/handler/local/pack"
	"github.com/posthorn/posthorn/handler/local/queues"
)

const (
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
		Names: c.names(), StartTime: patience, Closed: end, // unlike in Azure, somebody sits before it
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

// writeEnv leaves the gateway's settings for a shell, and where the programs are, so
// that the operator's commands can be tried: `. .local/env`.
func writeEnv(c config, env []string) error {
	var b strings.Builder
	values := settingsIn(env)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(&b, "export %s=%s\n", name, quoted(values[name]))
	}
	fmt.Fprintf(&b, "export PATH=%s:\"$PATH\"\n", quoted(c.path("bin")+":"+c.path("app")))
	return os.WriteFile(c.path("env"), []byte(b.String()), 0o600)
}

// quoted is a text as a word of a shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// layOut builds the handler and the operator's program, and puts the app into dir.
func layOut(ctx context.Context, dir, operate string, out io.Writer) error {
	handler := filepath.Join(dir, pack.Handler)
	if err := during(out, "the compiler", func() error {
		return errors.Join(pack.Build(ctx, ".", "./handler", "", "", handler), pack.Build(ctx, ".", "./handler/operate", "", "", operate))
	}); err != nil {
		return err
	}
	return pack.Dir(".", handler, dir)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/posthorn/posthorn/handler/settings"
	"github.com/posthorn/posthorn/handler/version"
	"github.com/posthorn/posthorn/handler/wiring"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Environ(), os.Stdout)
	stop()
	if err != nil {
		// Exit code 0 would tell the host that all is well and that no restart is
		// needed. The host keeps the last lines of standard error.
		fmt.Fprintln(os.Stderr, "posthorn:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args, environ []string, out io.Writer) error {
	if slices.Equal(args, []string{"--version"}) {
		_, err := fmt.Fprintln(out, "handler", version.String())
		return err
	}
	if len(args) > 0 {
		return fmt.Errorf("the handler only serves, and takes no words such as %q: the program posthorn has the operator's commands", args[0])
	}
	return serve(ctx, environ, out)
}

// drainTime is how long a request may go on after SIGTERM. Azure's host gives no
// SIGTERM at all, so no promise rests on it.
const drainTime = 25 * time.Second

// serve listens first, because the host waits for an answer on / before anything
// else, and then builds the program, which makes no request.
func serve(ctx context.Context, environ []string, out io.Writer) error {
	s, err := settings.Load(environ)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	// The collector works harder before the plan's memory is used up. GOMEMLIMIT,
	// where it is set, is somebody's choice.
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(wiring.CollectorBytes(s.MemoryMB))
	}
	log := wiring.NewLog(out, s.LogLevel)
	app, err := wiring.New(s, log)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           app.Handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	failed := make(chan error, 1)
	log.Info("serving", "address", listener.Addr().String(), "version", version.String())
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	return errors.Join(server.Shutdown(ctx), app.Close(ctx))
}

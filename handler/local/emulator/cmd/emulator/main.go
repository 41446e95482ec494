// Command emulator is ACS Email on one's own computer: the emulator on one port, an
// inbox with what was sent on another. See README.md two folders up.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/posthorn/posthorn/handler/local/emulator"
	"github.com/posthorn/posthorn/handler/local/guard"
	"github.com/posthorn/posthorn/handler/local/inbox"
	"github.com/posthorn/posthorn/handler/version"
)

// shutdownTime is what calls under way get to end.
const shutdownTime = 2 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "emulator:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	if o.version {
		_, err := fmt.Fprintln(stdout, "emulator", version.String())
		return err
	}
	apiPort, err := listen(ctx, "-listen", o.listen)
	if err != nil {
		return err
	}
	defer func() { _ = apiPort.Close() }()
	inboxPort, err := listen(ctx, "-inbox", o.inbox)
	if err != nil {
		return err
	}
	defer func() { _ = inboxPort.Close() }()

	endpoint := o.scheme() + "://" + apiPort.Addr().String()
	connection := "endpoint=" + endpoint + "/;accesskey=" + o.key
	logger := slog.New(slog.DiscardHandler)
	if o.verbose {
		logger = slog.New(slog.NewTextHandler(stderr, nil))
	}
	box, err := inbox.New(inbox.Config{Dir: o.dir, MaxMessages: o.maxMessages, MaxBytes: o.maxBytes, Hint: hint(connection), Logger: logger})
	if err != nil {
		return err
	}
	o.config.Deliver, o.config.Logger = box.Add, logger
	api, err := emulator.New(o.config)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(stdout, screen, endpoint, "http://"+inboxPort.Addr().String(), connection, describe(o))
	return serve(ctx, o, api, box, apiPort, inboxPort)
}

const screen = `
  ACS Email emulator

  Emulator    %s
  Inbox       %s

  Connection string for the SDKs
  %s

  Limits      %s
  Ctrl-C ends it.

`

func hint(connection string) string {
	return "Connection string for the official SDKs:\n\n" + connection
}

func describe(o options) string {
	l := o.config.Limits
	if l == (emulator.Limits{}) {
		return "none (-preset custom or managed sets Azure's)"
	}
	return fmt.Sprintf("send %s, status %s", describeLimit(l.Send), describeLimit(l.Status))
}

func describeLimit(l emulator.Limit) string {
	word := func(n int) string {
		if n == 0 {
			return "any number"
		}
		return strconv.Itoa(n)
	}
	return word(l.PerMinute) + " a minute and " + word(l.PerHour) + " an hour"
}

func listen(ctx context.Context, name, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is in use by another program; end that one or choose another address with %s", address, name)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s (%s): %w", address, name, err)
	}
	return l, nil
}

// serve runs both servers until ctx ends or one of them fails.
func serve(ctx context.Context, o options, api *emulator.Emulator, box *inbox.Inbox, apiPort, inboxPort net.Listener) error {
	names := guard.Names{More: guard.Hosts(o.names, o.listen, o.inbox), Setting: "the flag -names"}
	apiServer := &http.Server{Handler: names.Only(api), ReadHeaderTimeout: 10 * time.Second}
	boxServer := &http.Server{Handler: names.Only(box), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 2)
	go func() {
		if o.certificate != "" {
			failed <- apiServer.ServeTLS(apiPort, o.certificate, o.certificateKey)
			return
		}
		failed <- apiServer.Serve(apiPort)
	}()
	go func() { failed <- boxServer.Serve(inboxPort) }()

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	api.Close()
	box.Close()
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	for _, s := range []*http.Server{apiServer, boxServer} {
		if s.Shutdown(ending) != nil {
			_ = s.Close()
		}
	}
	return err
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"time"
)

// run starts the parts in the order of who needs whom, shows the screen, and
// ends them in the opposite order when ctx ends.
func run(ctx context.Context, c config, environ []string, out io.Writer, coreTools bool) error {
	data, err := own(c)
	if err != nil {
		return err
	}
	defer func() { _ = data.Close() }()
	ports, err := claim(ctx, c)
	if err != nil {
		return err
	}
	defer ports.close()
	if err := setup(ctx, c, out, azuriteFolder); err != nil {
		return err
	}
	fmt.Fprintln(out, "Starting ...")
	ends, err := startParts(ctx, c, ports, out)
	defer func() {
		for _, end := range slices.Backward(ends) {
			end()
		}
	}()
	if err != nil {
		return err
	}
	env, dir := c.gatewayEnv(environ), c.path("app")
	if coreTools {
		dir = filepath.Join("dist", "app")
	}
	operate := c.path("bin/posthorn")
	if err := layOut(ctx, dir, operate, out); err != nil {
		return err
	}
	return runGateway(ctx, c, ports.gateway, gatewayRun{dir, operate, env, coreTools}, out)
}

// startParts starts what the gateway needs. The functions that end the parts are
// returned with an error too.
func startParts(ctx context.Context, c config, ports *listeners, out io.Writer) (ends []func(), err error) {
	if err := createMasterKey(c.path("master.key")); err != nil {
		return nil, err
	}
	file, err := openLog(c, "local.log")
	if err != nil {
		return nil, err
	}
	ends = append(ends, func() { file.Close() })
	log := slog.New(slog.NewJSONHandler(file, nil))
	var storage func()
	err = during(out, "Azurite", func() error {
		storage, err = startStorage(ctx, c, log)
		return err
	})
	if err != nil {
		return ends, err
	}
	ends = append(ends, storage)
	files, err := downloads(c, log)
	if err != nil {
		return ends, err
	}
	entra, err := newTenant(c)
	if err != nil {
		return ends, err
	}
	ends = append(ends, serve(ports.downloads, files, log), serve(ports.identity, c.names().Only(identity(time.Now, entra)), log))
	post, err := serveMail(c, ports, log)
	if err != nil {
		return ends, err
	}
	return append(ends, post), nil
}

type gatewayRun struct {
	dir, operate string // the app's folder, and the operator's program
	env          []string
	coreTools    bool
}

// runGateway runs the gateway until ctx ends or it fails, and meanwhile sends the
// samples and shows the screen.
func runGateway(ctx context.Context, c config, l net.Listener, g gatewayRun, out io.Writer) error {
	output, err := openLog(c, "gateway.log")
	if err != nil {
		return err
	}
	defer output.Close()
	said, err := openLog(c, "host.log")
	if err != nil {
		return err
	}
	defer said.Close()
	work, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() {
		if g.coreTools {
			served <- underFunc(work, c, g, l, output)
			return
		}
		served <- underHost(work, c, g, l, output, slog.New(slog.NewJSONHandler(said, nil)))
	}()
	greeted := make(chan error, 1)
	go func() {
		greeted <- greet(work, c, g.env, api{url: c.publicURL(), http: http.DefaultClient}, g.command, out)
	}()
	select {
	case err = <-served:
		stop()
		<-greeted //nolint:errcheck // its error is that work has ended
		return ended(err, c)
	case err = <-greeted:
	}
	if err == nil {
		select {
		case err = <-served:
			return ended(err, c)
		case <-ctx.Done():
			fmt.Fprintln(out, "\nEnding ...")
		}
	}
	stop()
	return errors.Join(err, <-served)
}

func ended(err error, c config) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the gateway has ended: %w\nIts log is %s", err, short(c.path("log/gateway.log")))
}

// greet makes the caller, sends the samples and shows the screen. A sample that
// fails is told there and ends nothing.
func greet(ctx context.Context, c config, env []string, a api, operate operator, out io.Writer) error {
	if err := a.awaitReady(ctx, c, out); err != nil {
		return err
	}
	if err := writeEnv(c, env); err != nil {
		return err
	}
	s, err := a.ensureCaller(ctx, c, operate, out)
	if err != nil {
		return err
	}
	a.key = s.key
	all, err := samples()
	if err != nil {
		return err
	}
	sent := make([]outcome, len(all))
	for i, m := range all {
		sent[i] = outcome{m.Subject, a.deliver(ctx, m, out)}
	}
	if ctx.Err() == nil {
		show(out, c, s, sent)
	}
	return ctx.Err()
}

// Command local is Posthorn on one computer: Azurite for storage, the emulator of ACS
// Email with its inbox, a managed identity, a stand-in for the Functions host and
// the gateway itself, started by one command and ended by Ctrl-C. In: the
// environment (POSTHORN_LOCAL_*, see config.go) and what to do. Out: one screen;
// what the parts say goes to files in .local/log.
//
// It also lays the app out for deployment (package). It is no part of the product
// and is for one developer. Every program on this machine may do all.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"

	"github.com/posthorn/posthorn/handler/local/pack"
	"github.com/posthorn/posthorn/handler/version"
)

const usage = `usage: local run                    start everything, in the project's folder
       local func                   the same, under Azure Functions Core Tools
       local setup                  install Azurite if it is missing or old
       local reset                  remove all data, unless a run uses it
       local package [-arch ARCH]   write dist/posthorn-linux-ARCH.zip`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := command(ctx, os.Args[1:], os.Environ(), os.Stdout)
	interrupted := ctx.Err() != nil
	stop()
	if err != nil && !interrupted {
		fmt.Fprintf(os.Stderr, "\n%v\n", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args, environ []string, out io.Writer) error {
	if slices.Equal(args, []string{"--version"}) {
		_, err := fmt.Fprintln(out, "local", version.String())
		return err
	}
	c, err := readConfig(environ)
	if err != nil {
		return err
	}
	if _, err := os.Stat("function.json-templates"); err != nil {
		return errors.New("run this in the project's folder, or use make")
	}
	if len(args) == 0 {
		return errors.New(usage)
	}
	switch args[0] {
	case "run":
		return run(ctx, c, environ, out, false)
	case "func":
		if _, err := exec.LookPath("func"); err != nil {
			return errors.New("Azure Functions Core Tools 4 are not installed, so there is no func command. `make run` needs none; to install them see https://learn.microsoft.com/azure/azure-functions/functions-run-local")
		}
		return run(ctx, c, environ, out, true)
	case "reset":
		return reset(c)
	case "setup":
		return errors.Join(setup(ctx, c, out, azuriteFolder), setup(ctx, c, out, clientsFolder))
	case "package":
		return writePackage(ctx, args[1:], out)
	}
	return errors.New(usage)
}

// writePackage builds the app for Linux and writes it as a zip.
func writePackage(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("package", flag.ContinueOnError)
	arch := flags.String("arch", runtime.GOARCH, "amd64 or arm64")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *arch != "amd64" && *arch != "arm64" {
		return errors.New("Azure Functions runs amd64 and arm64")
	}
	name := filepath.Join("dist", "posthorn-linux-"+*arch)
	handler := filepath.Join(name, pack.Handler)
	if err := pack.Build(ctx, ".", "./handler", "linux", *arch, handler); err != nil {
		return err
	}
	notices := filepath.Join(name, pack.NoticesFile)
	text, err := pack.Notices(ctx, ".", "linux", *arch, "./handler")
	if err != nil {
		return err
	}
	if err := os.WriteFile(notices, text, 0o644); err != nil { //nolint:gosec // to be published
		return err
	}
	if err := writeZip(name+".zip", handler, notices); err != nil {
		return err
	}
	fmt.Fprintln(out, name+".zip")
	return nil
}

func writeZip(file, handler, notices string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(pack.Zip(f, ".", handler, notices), f.Close())
}

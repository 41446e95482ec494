// Package azurite runs Azurite, the emulator of Azure Storage, for the local
// set-up and for tests.
//
// A folder of node_modules and of data go in; a running Azurite comes out, which
// speaks HTTPS with tokens only, as the product does, and answers under names like
// https://devstoreaccount1.blob.localhost:PORT: the SDK takes the account from the
// first label of the host and signs with it. Tables have the account in the path, since
// Azurite finds it there alone in a transaction. It installs nothing (make setup does)
// and holds no opinion about who may use which account: Azurite believes any token.
//
// The options are those of Azurite 3.37.0. Its certificate is our own, made here.
package azurite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// ErrNotInstalled says that Node.js or Azurite is not there; the text around it
// says what to do.
var ErrNotInstalled = errors.New("Azurite is not installed")

// StopTime is how long Azurite has to write its data before it is killed.
const StopTime = 5 * time.Second

// Folder has the package.json that npm installs Azurite by, from the top of the project.
const Folder = "handler/local/azurite"

// Config says how to run Azurite.
type Config struct {
	NodeModules string // the folder that npm ci filled
	Dir         string // where data and certificate are kept; "" keeps nothing
	// The ports on 127.0.0.1; 0 takes a free one.
	BlobPort, QueuePort, TablePort int
}

// Azurite is a running process.
type Azurite struct {
	// Blob, Queue and Table are endpoints without a slash at the end.
	Blob, Queue, Table string
	// CertFile is the PEM file of the only certificate that the endpoints show.
	CertFile string

	cmd  *exec.Cmd
	out  *output
	temp string // removed at the end; "" if there is none
	done chan struct{}
}

// Start runs Azurite and returns when all three services listen. ctx ends the wait,
// not the process that Start returned.
func Start(ctx context.Context, cfg Config) (*Azurite, error) {
	node, script, err := find(cfg.NodeModules)
	if err != nil {
		return nil, err
	}
	a := &Azurite{out: newOutput(), done: make(chan struct{})}
	dir := cfg.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "azurite"); err != nil {
			return nil, err
		}
		a.temp = dir
	}
	if err := a.run(node, script, dir, cfg); err != nil {
		return nil, errors.Join(err, a.clean())
	}
	select {
	case <-a.out.listening:
	case <-a.done:
		return nil, errors.Join(a.out.failure(), a.clean())
	case <-ctx.Done():
		return nil, errors.Join(fmt.Errorf("Azurite did not start in time: %w", ctx.Err()), a.Stop())
	}
	a.Blob, a.Queue, a.Table = a.out.endpoint("Blob"), a.out.endpoint("Queue"), a.out.tables()
	return a, nil
}

func find(modules string) (node, script string, err error) {
	if node, err = exec.LookPath("node"); err != nil {
		return "", "", fmt.Errorf("%w: it needs Node.js 20 or newer, which was not found", ErrNotInstalled)
	}
	script = filepath.Join(modules, "azurite", "dist", "src", "azurite.js")
	if _, err := os.Stat(script); err != nil {
		return "", "", fmt.Errorf("%w: run `make setup`", ErrNotInstalled)
	}
	return node, script, nil
}

func (a *Azurite) run(node, script, dir string, cfg Config) error {
	cert, key, err := certificate(dir, time.Now())
	if err != nil {
		return err
	}
	a.CertFile = cert
	args := []string{script, "--silent", "--disableTelemetry",
		"--skipApiVersionCheck", // the SDK speaks newer versions than Azurite knows
		"--oauth", "basic", "--cert", cert, "--key", key,
		"--blobHost", "127.0.0.1", "--blobPort", strconv.Itoa(cfg.BlobPort),
		"--queueHost", "127.0.0.1", "--queuePort", strconv.Itoa(cfg.QueuePort),
		"--tableHost", "127.0.0.1", "--tablePort", strconv.Itoa(cfg.TablePort)}
	if cfg.Dir == "" {
		args = append(args, "--inMemoryPersistence")
	} else {
		args = append(args, "--location", dir)
	}
	a.cmd = exec.Command(node, args...) //nolint:noctx // node from PATH with our own arguments; Stop ends it, gently
	a.cmd.Dir = dir
	a.cmd.Env = append(os.Environ(), "AZURITE_ACCOUNTS=") // only devstoreaccount1
	a.cmd.Stdout, a.cmd.Stderr = a.out, a.out
	a.cmd.SysProcAttr = processAttributes()
	a.cmd.WaitDelay = time.Second
	if err := a.cmd.Start(); err != nil {
		return fmt.Errorf("start Azurite: %w", err)
	}
	go func() {
		defer close(a.done)
		_ = a.cmd.Wait() // how it ended is told by what it wrote
	}()
	return nil
}

// Done is closed when the process has ended, for whatever reason.
func (a *Azurite) Done() <-chan struct{} { return a.done }

// Stop ends the process, at the latest after StopTime. It may be called twice.
func (a *Azurite) Stop() error {
	_ = a.cmd.Process.Signal(terminate) // fails if it has ended already
	select {
	case <-a.done:
	case <-time.After(StopTime):
		_ = a.cmd.Process.Kill()
		<-a.done
	}
	return a.clean()
}

func (a *Azurite) clean() error {
	if a.temp == "" {
		return nil
	}
	return os.RemoveAll(a.temp)
}

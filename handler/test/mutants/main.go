// Package main breaks a package on purpose, one small fault at a time, and says
// which faults its tests do not see.
//
// In: a package, and how many faults. Out: a line for each fault that survives,
// with its file and line, and a count of all. The faults are chosen by a seed, all
// of them compile, and the source stays as it is: the tests run with an overlay.
// A fault in a line that no test reaches is not tried, and counted apart.
//
// It judges nothing: many a survivor changes nothing that can be seen, such as the
// size of a page. It is no part of the product.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

// options are what the command line says.
type options struct {
	pattern string
	tests   []string // packages whose tests are run
	count   int
	seed    uint64
	timeout time.Duration
	files   string
	args    []string // more for go test
	notes   notes
}

func main() {
	o, err := parse(os.Args[1:])
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		err = run(ctx, o, os.Stdout)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.IntVar(&o.count, "n", 60, "try at most `N` faults")
	flags.Uint64Var(&o.seed, "seed", 1, "which faults are tried, and in which order")
	flags.DurationVar(&o.timeout, "timeout", 0, "a fault that makes the tests last longer is seen; 0 is ten times what they last")
	flags.StringVar(&o.files, "files", "*.go", "only faults in files that this pattern matches")
	tests := flags.String("tests", "", "packages whose tests are run, with commas; the package's own if empty")
	extra := flags.String("args", "", "arguments for go test, such as '-short -run CleanUp'")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() != 1 {
		return o, errors.New("one package is needed, such as ./handler/decide/record")
	}
	o.pattern, o.args = flags.Arg(0), strings.Fields(*extra)
	o.tests = []string{o.pattern}
	if *tests != "" {
		o.tests = strings.Split(*tests, ",")
	}
	return o, nil
}

// run prepares, then tries the faults.
func run(ctx context.Context, o options, out io.Writer) error {
	s, err := load(ctx, o.pattern)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if o.notes, err = look(ctx, o.tests); err != nil {
		return err
	}
	begun := time.Now()
	reached, err := measure(ctx, o, s.path, dir)
	if err != nil {
		return err
	}
	if o.timeout == 0 {
		o.timeout = max(20*time.Second, 10*time.Since(begun))
	}
	return o.tryAll(ctx, s, reached, dir, out)
}

// tryAll tries as many faults as are asked for, and reports.
func (o options) tryAll(ctx context.Context, s *source, reached reached, dir string, out io.Writer) error {
	all := s.all()
	random := rand.New(rand.NewPCG(o.seed, 0)) //nolint:gosec // the same faults for the same seed
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	var seen, survived, missed int
	for _, m := range all {
		if seen+survived+missed == o.count {
			break
		}
		at := s.set.Position(m.at)
		if ok, err := filepath.Match(o.files, filepath.Base(at.Filename)); err != nil {
			return fmt.Errorf("-files: %w", err)
		} else if !ok {
			continue
		}
		name, text, e, ok := s.write(m)
		if !ok {
			continue
		}
		if !reached.has(s.path, at) {
			missed++
			fmt.Fprintln(out, "not reached", s.shown(m, e))
			continue
		}
		switch caught, err := o.try(ctx, dir, name, text); {
		case err != nil:
			return err
		case caught:
			seen++
		default:
			survived++
			fmt.Fprintln(out, "survived   ", s.shown(m, e))
		}
	}
	total := seen + survived + missed
	fmt.Fprintf(out, "%s: of %d faults %d were seen, %d survived, %d stand where no test comes: %d %% seen\n",
		s.path, total, seen, survived, missed, 100*seen/max(1, total))
	return nil
}

// test is a run of go test with more arguments; vet has no say in it.
func (o options) test(ctx context.Context, more ...string) *exec.Cmd {
	args := append([]string{"test", "-vet=off", "-count=1", "-failfast"}, o.args...)
	return exec.CommandContext(ctx, "go", append(append(args, more...), o.tests...)...)
}

// try says whether the tests see a file with a fault.
func (o options) try(ctx context.Context, dir, name string, text []byte) (seen bool, err error) {
	changed, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(changed, text, 0o600); err != nil {
		return false, err
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": {name: changed}})
	if err != nil {
		return false, err
	}
	if err := os.WriteFile(overlay, list, 0o600); err != nil {
		return false, err
	}
	said, err := o.test(ctx, "-overlay", overlay, "-timeout", o.timeout.String()).CombinedOutput()
	if err := o.notes.tidy(); err != nil {
		return false, err
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if strings.Contains(string(said), "[build failed]") {
		return false, fmt.Errorf("a fault that should compile does not: %s", said)
	}
	return err != nil, nil
}

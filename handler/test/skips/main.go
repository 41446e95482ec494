// Command skips runs `go test` with the arguments that it is given. It prints what
// go test would, and after that which tests were skipped and why: go test itself
// says so of none. With -strict a test fails the run if it was skipped and is not
// in the list of those that may be.
//
// It is for the Makefile and judges nothing else: a test passes or fails as go test
// says.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/posthorn/posthorn/handler/version"
)

const module = version.Module + "/"

// allowed are the tests that may be skipped where everything is there that tests
// need, each with the reason.
var allowed = map[string]string{
	"handler/accept/wire TestChild": "is the process whose memory BenchmarkReader measures",
}

func main() {
	strict := flag.Bool("strict", false, "fail if a test was skipped that is not in the list")
	flag.Parse()
	if err := run(flag.Args(), *strict, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run is go test with these arguments. Its output comes as packages end.
func run(args []string, strict bool, out io.Writer) error {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...) //nolint:noctx // Ctrl-C reaches go test by itself
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	r := &report{out: out}
	err = errors.Join(r.read(events), cmd.Wait())
	r.sum()
	if bad := r.refused(); strict && len(bad) > 0 {
		err = errors.Join(err, fmt.Errorf("these tests must not be skipped: %s", strings.Join(bad, ", ")))
	}
	return err
}

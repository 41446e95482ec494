package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// event is a line of `go test -json`. Source: go doc test2json, go help buildjson.
type event struct {
	Action, Package, Test, Output string
}

// skip is a test that was skipped, and what it said.
type skip struct{ test, why string }

// report makes of events what go test prints without -json, and remembers what
// was skipped.
type report struct {
	out                     io.Writer
	said                    map[string][]string // by a test that has not ended
	passed, failed, skipped int
	skips                   []skip
}

// read takes all events. A line that is none is printed as it is.
func (r *report) read(events io.Reader) error {
	r.said = map[string][]string{}
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			r.line(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) line(line string) {
	var e event
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		fmt.Fprint(r.out, line)
		return
	}
	name := strings.TrimPrefix(e.Package, module) + " " + e.Test
	switch {
	case e.Action == "build-output", e.Action == "output" && e.Test == "":
		if e.Output != "PASS\n" { // go test says ok for a package
			fmt.Fprint(r.out, e.Output)
		}
	case e.Action == "output":
		if !strings.HasPrefix(e.Output, "=== ") {
			r.said[name] = append(r.said[name], e.Output)
		}
	case e.Action == "fail" && e.Test == "": // what has not ended tells why
		for _, open := range slices.Sorted(maps.Keys(r.said)) {
			if strings.HasPrefix(open, name) {
				r.tell(open)
			}
		}
	case e.Test != "":
		r.end(e.Action, name)
	}
}

// end is the end of a test.
func (r *report) end(how, name string) {
	switch how {
	case "fail":
		r.failed++
		r.tell(name)
	case "skip":
		r.skipped++
		r.skips = append(r.skips, skip{name, reason(r.said[name])})
	case "pass":
		r.passed++
	default: // run, pause, cont: it has not ended
		return
	}
	delete(r.said, name)
}

func (r *report) tell(name string) {
	for _, line := range r.said[name] {
		fmt.Fprint(r.out, line)
	}
	delete(r.said, name)
}

// reason is the sentence of t.Skip, without the place where it stands.
func reason(said []string) string {
	for _, line := range said {
		if _, sentence, ok := strings.Cut(strings.TrimSpace(line), ".go:"); ok {
			_, sentence, _ = strings.Cut(sentence, ": ")
			return sentence
		}
	}
	return "says no reason"
}

// sum prints how many tests there were, and each that was skipped.
func (r *report) sum() {
	fmt.Fprintf(r.out, "%d tests and subtests passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	for _, s := range r.skips {
		fmt.Fprintf(r.out, "  skipped: %s: %s\n", s.test, s.why)
	}
}

// refused are the tests that were skipped and must not be.
func (r *report) refused() (tests []string) {
	for _, s := range r.skips {
		if _, ok := allowed[s.test]; !ok {
			tests = append(tests, s.test)
		}
	}
	return tests
}

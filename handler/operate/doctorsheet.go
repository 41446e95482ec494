package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/operate/dns"
)

// finding is one thing that is right, doubtful or wrong.
type finding struct {
	Area  string    `json:"area"`
	Level dns.Level `json:"level"`
	Says  string    `json:"says"`
	Do    string    `json:"do"` // empty only if green; lines that can be pasted begin with "az " or "posthorn "
}

// area collects the findings of one part of a deployment.
type area struct {
	name string
	all  []finding
}

func (a *area) add(l dns.Level, do, says string, args ...any) {
	a.all = append(a.all, finding{a.name, l, fmt.Sprintf(says, args...), do})
}

func (a *area) green(says string, args ...any)      { a.add(dns.Green, "", says, args...) }
func (a *area) yellow(do, says string, args ...any) { a.add(dns.Yellow, do, says, args...) }
func (a *area) red(do, says string, args ...any)    { a.add(dns.Red, do, says, args...) }

// absentError says that Azure has no such thing. It is a sentence without its end.
type absentError string

func (e absentError) Error() string { return string(e) }

// unread tells why something is not known. What is not there is red, with how to make
// it; all else is yellow, and never green.
func (a *area) unread(what string, err error, do string) {
	absent, isAbsent := errors.AsType[absentError](err)
	fault, isFault := errors.AsType[*azure.Error](err)
	switch {
	case isAbsent:
		a.red(do, "%s", absent)
	case errors.Is(err, errUnasked):
		a.yellow("Correct the errors above, and run doctor again.", "%s: not checked", what)
	case errors.Is(err, context.DeadlineExceeded):
		a.yellow("Run doctor again.", "%s: not checked: no answer in time", what)
	case !isFault:
		a.yellow("Run doctor again.", "%s: not checked: %s", what, err)
	case fault.Kind == azure.NotFound:
		a.red(do, "%s: it does not exist", what)
	case fault.Kind == azure.Forbidden:
		a.yellow(roleAdvice(fault), "%s: not checked: your account lacks the right", what)
	case fault.Status == 0 && strings.HasPrefix(do, "Check"): // an address of the settings
		a.yellow(do+" Then run doctor again.", "%s: not checked: no answer: %s", what, fault.Message)
	default:
		a.yellow("Run doctor again.", "%s: not checked: %s", what, fault)
	}
}

// known gives what was read, or tells why it is not known.
func known[T any](a *area, r read[T], what, do string) (value T, ok bool) {
	if !r.done {
		r.err = errUnasked
	}
	if r.err != nil {
		a.unread(what, r.err, do)
		return value, false
	}
	return r.value, true
}

// sheet writes all findings. It fails if one is red.
func (c *console) sheet(of string, asJSON bool, all []finding) (err error) {
	count := map[dns.Level]int{}
	for _, f := range all {
		count[f.Level]++
	}
	if asJSON {
		err = c.asJSON(all)
	} else {
		fmt.Fprintf(c.out, "%s: %d red, %d yellow, %d green\n\n", of, count[dns.Red], count[dns.Yellow], count[dns.Green])
		err = c.table(all)
	}
	if err == nil && count[dns.Red] > 0 {
		err = fmt.Errorf("%d of %d findings are red", count[dns.Red], len(all))
	}
	return err
}

// table writes the findings: what is red, what is yellow, each with what to do, and what
// is green in a few lines an area.
func (c *console) table(all []finding) error {
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	for _, level := range []dns.Level{dns.Red, dns.Yellow} {
		for _, f := range all {
			if f.Level != level {
				continue
			}
			fmt.Fprintln(w, cells(c.mark(level), f.Area, f.Says))
			arrow := "-> "
			for line := range strings.SplitSeq(cmp.Or(f.Do, "Run doctor again."), "\n") {
				fmt.Fprintln(w, cells(c.paint(level, ""), "", arrow+line))
				arrow = "   "
			}
		}
	}
	right := map[string][]string{}
	for _, f := range all {
		if f.Level == dns.Green {
			right[f.Area] = append(right[f.Area], f.Says)
		}
	}
	for _, f := range all {
		level, name := c.mark(dns.Green), f.Area
		for _, line := range wrapped(right[f.Area]) {
			fmt.Fprintln(w, cells(level, name, line))
			level, name = c.paint(dns.Green, ""), ""
		}
		delete(right, f.Area)
	}
	return w.Flush()
}

// wrapped joins parts into lines of a width that most terminals have.
func wrapped(parts []string) (lines []string) {
	const width = 78
	for i, p := range parts {
		if i < len(parts)-1 {
			p += ","
		}
		if n := len(lines); n > 0 && len(lines[n-1])+1+len(p) <= width {
			lines[n-1] += " " + p
		} else {
			lines = append(lines, p)
		}
	}
	return lines
}

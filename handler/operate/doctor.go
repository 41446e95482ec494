package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/operate/dns"
)

// doctorTime is for all questions of one page.
const doctorTime = 90 * time.Second

type doctorCommand struct {
	JSON bool `name:"json" help:"The same as JSON."`
}

func (doctorCommand) Help() string {
	return "It changes nothing. What could not be looked at is yellow. The exit code is 1 if a line is red.\n\n" +
		examples("posthorn doctor", "posthorn doctor --json")
}

func (cmd *doctorCommand) Run(ctx context.Context, c *console) error {
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	client, err := c.arm()
	if err != nil {
		return err
	}
	if _, later, err := c.settings(); err == nil && later == nil {
		return c.page("the environment's settings", cmd.JSON, c.lookHere(ctx, client))
	}
	at, err := c.connection()
	if err != nil {
		return err
	}
	f, err := c.examine(ctx, client, at)
	if err != nil {
		return err
	}
	return c.page(at.Site.Name(), cmd.JSON, f.findings())
}

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
		a.yellow("Mend what is said above, and run it again.", "%s: not checked", what)
	case errors.Is(err, context.DeadlineExceeded):
		a.yellow("Run it again.", "%s: not checked: there was no answer in time", what)
	case !isFault:
		a.yellow("Run it again.", "%s: not checked: %s", what, err)
	case fault.Kind == azure.NotFound:
		a.red(do, "%s: it is not there", what)
	case fault.Kind == azure.Forbidden:
		a.yellow(unlocked(fault), "%s: not checked: your account may not look", what)
	default:
		a.yellow("Run it again.", "%s: not checked: %s", what, fault)
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

// page writes all findings. It fails if one is red.
func (c *console) page(of string, asJSON bool, all []finding) error {
	count := map[dns.Level]int{}
	for _, f := range all {
		count[f.Level]++
	}
	var err error
	if asJSON {
		e := json.NewEncoder(c.out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		err = e.Encode(all)
	} else {
		err = c.table(all)
	}
	switch summary := fmt.Sprintf("%s: %d red, %d yellow, %d green", of, count[dns.Red], count[dns.Yellow], count[dns.Green]); {
	case err != nil:
		return err
	case count[dns.Red] > 0:
		return errors.New(summary)
	default:
		c.tell("%s.", summary)
		return nil
	}
}

// table writes the findings by area: what is not green a line each, with what to do
// below; what is green in one line.
func (c *console) table(all []finding) error {
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].Area == all[0].Area {
			n++
		}
		var right []string
		for _, f := range all[:n] {
			if f.Level == dns.Green {
				right = append(right, f.Says)
				continue
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", f.Level, f.Area, f.Says)
			for line := range strings.SplitSeq(cmp.Or(f.Do, "-"), "\n") {
				fmt.Fprintf(w, "\t\t  %s\n", line)
			}
		}
		level, name := dns.Green.String(), all[0].Area
		for _, line := range wrapped(right) {
			fmt.Fprintf(w, "%s\t%s\t%s\n", level, name, line)
			level, name = "", ""
		}
		all = all[n:]
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

// askDNS asks the servers that this computer finds.
func askDNS(ctx context.Context, d dns.Domain) dns.Report { return dns.New(nil, nil).Check(ctx, d) }

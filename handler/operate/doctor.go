package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/posthorn/posthorn/handler/operate/dns"
)

// doctorTime is for all questions of one page.
const doctorTime = 90 * time.Second

// doctorCommand says what is right and what is wrong, and what to do.
type doctorCommand struct {
	Domain string `placeholder:"NAME" help:"Check only the DNS of this domain. Needs no deployment."`
	resolving
	JSON  bool `help:"Print JSON."`
	Probe bool `help:"Ask Azure what only Azure can answer: \"posthorn doctor --probe --help\"."` // read by probing
}

func (doctorCommand) Help() string {
	return "doctor changes nothing. A check that could not run is yellow. The exit code is 1 if a line is red.\n\n" +
		examples("posthorn doctor", "posthorn doctor --domain example.com")
}

func (cmd *doctorCommand) Run(ctx context.Context, c *console) error {
	if cmd.Domain != "" {
		return cmd.domain(ctx, c)
	}
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	client, err := c.arm()
	if err != nil {
		return err
	}
	_, later, unset := c.settings()
	const here = "The settings of the environment"
	if unset == nil && later == nil {
		return c.sheet(here, cmd.JSON, c.lookHere(ctx, client))
	}
	at, err := c.connection()
	if err != nil && c.has(tableEndpoint) { // somebody has begun to set all
		return c.sheet(here, cmd.JSON, wrongSettings(unset))
	}
	if err != nil {
		return err
	}
	f, err := c.examine(ctx, client, at, cmd.look(c))
	if err != nil {
		return err
	}
	return c.sheet(at.Site.Name(), cmd.JSON, f.findings())
}

// look asks DNS. Without a resolver nothing is found.
func (cmd *doctorCommand) look(c *console) func(context.Context, dns.Domain) dns.Report {
	if c.dns != nil {
		return c.dns
	}
	return func(ctx context.Context, d dns.Domain) dns.Report {
		checker, err := cmd.checker(ctx, c)
		if err != nil {
			return dns.Report{Domain: d.Name}
		}
		return checker.Check(ctx, d)
	}
}

// verdict is one line of a doctor's page.
type verdict struct {
	Area     string
	Level    dns.Level
	Sentence string
	Remedy   string   // what to do, a step a line
	Evidence []string // where it shows, a line each
}

// page writes verdicts, the worst first, and says in one line how many there are. What to
// do is written once behind several that want the same.
func (c *console) page(title string, all []verdict) error {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b verdict) int { return cmp.Compare(b.Level, a.Level) })
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	count := map[dns.Level]int{}
	for _, v := range all {
		count[v.Level]++
	}
	fmt.Fprintf(w, "%s: %d red, %d yellow, %d green\n\n", title, count[dns.Red], count[dns.Yellow], count[dns.Green])
	for i, v := range all {
		if i+1 < len(all) && all[i+1].Remedy == v.Remedy {
			v.Remedy = ""
		}
		fmt.Fprintln(w, cells(c.mark(v.Level), v.Area, v.Sentence))
		arrow := "-> "
		for _, line := range slices.Concat(lines(v.Remedy), v.Evidence) {
			fmt.Fprintln(w, cells(c.paint(v.Level, ""), "", arrow+line))
			arrow = "   "
		}
	}
	return w.Flush()
}

func lines(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

// mark is a level as a word with a mark, so that no colour is needed to read it.
func (c *console) mark(l dns.Level) string {
	return c.paint(l, [...]string{"+", "!", "x"}[l]+" "+l.String())
}

// paint colours a cell. Every cell of a column is painted, or its width would differ.
func (c *console) paint(l dns.Level, text string) string {
	if !c.colour {
		return text
	}
	return [...]string{"\x1b[32m", "\x1b[33m", "\x1b[31m"}[l] + text + "\x1b[0m"
}

// colours says whether a terminal with this environment shows colours.
// https://no-color.org
func colours(environ []string) bool {
	of := map[string]string{}
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		of[name] = value
	}
	return of["NO_COLOR"] == "" && of["TERM"] != "dumb" && (runtime.GOOS != "windows" || of["WT_SESSION"] != "" || of["TERM"] != "")
}

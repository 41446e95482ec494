package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/operate/dns"
)

// console is where the operator sits.
type console struct {
	environ []string
	in      io.Reader
	out     io.Writer // data
	said    io.Writer // what was done, and what went wrong
	person  bool      // whether somebody can answer
	colour  bool      // whether out shows colours
	dial    dns.Dial  // to name servers; nil in life
	// arm builds the client of Azure Resource Manager; it makes no request.
	arm func() (*azure.Client, error)
	// dns looks at a domain's records; nil in life.
	dns func(context.Context, dns.Domain) dns.Report
	// sleep waits for d, or fails once ctx ends.
	sleep func(ctx context.Context, d time.Duration) error
	now   func() time.Time
}

// sleep waits by the clock of the computer.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// isTerminal says whether somebody may sit behind f. The null device looks like it.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	null, nullErr := os.Stat(os.DevNull)
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && (nullErr != nil || !os.SameFile(info, null))
}

// tell writes a line for people.
func (c *console) tell(format string, args ...any) {
	fmt.Fprintf(c.said, format+"\n", args...)
}

// confirm asks for what cannot be undone, which question tells.
func (c *console) confirm(yes bool, question string) error {
	if yes {
		return nil
	}
	if c.person {
		fmt.Fprintf(c.said, "%s Type yes: ", question)
		answer, err := bufio.NewReader(c.in).ReadString('\n')
		if strings.TrimSpace(answer) == "yes" {
			return nil
		}
		if err == nil {
			return errNothingDone
		}
	}
	return usageError(question + " It cannot be undone, and no terminal can confirm it: add --yes.")
}

// listing is the flag of every list.
type listing struct {
	JSON bool `help:"Print a JSON array instead of a table."`
}

// show writes rows as JSON, or as a table of the columns of each.
func show[T any](c *console, l listing, rows []T, head string, columns func(T) []string) error {
	if l.JSON {
		if rows == nil {
			rows = []T{}
		}
		return c.asJSON(rows)
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, head)
	for _, r := range rows {
		fmt.Fprintln(w, cells(columns(r)...))
	}
	return w.Flush()
}

// asJSON writes one value.
func (c *console) asJSON(v any) error {
	e := json.NewEncoder(c.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// details writes names with what they stand for, without those that stand for nothing.
func (c *console) details(pairs ...[2]string) error {
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	for _, p := range pairs {
		if p[1] != "" {
			fmt.Fprintln(w, cells(p[0], p[1]))
		}
	}
	return w.Flush()
}

// orDash is a list for a column, which must not be empty.
func orDash(list []string) string {
	if len(list) == 0 {
		return "-"
	}
	return strings.Join(list, ",")
}

// variable is one of the environment's; the last counts.
func (c *console) variable(name string) (value string) {
	for _, v := range c.environ {
		if of, is, _ := strings.Cut(v, "="); of == name {
			value = is
		}
	}
	return value
}

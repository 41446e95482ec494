package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/posthorn/posthorn/handler/operate/dns"
)

// domain asks DNS alone.
func (cmd *doctorCommand) domain(ctx context.Context, c *console) error {
	name, ok := dns.Name(cmd.Domain)
	if !ok {
		return usageError(fmt.Sprintf("--domain: %q is no domain. Name one such as example.com.", cmd.Domain))
	}
	checker, err := cmd.checker(ctx, c)
	if err != nil {
		return err
	}
	c.tell("Asking the name servers of %s. This takes at most %.0fs.", name, dns.CheckTime.Seconds())
	r := checker.Check(ctx, dns.Domain{Name: name})
	if err := ctx.Err(); err != nil {
		return err
	}
	return c.judge(r, cmd.JSON)
}

// judge writes what DNS says of a domain, and fails where something is red or nothing is
// known.
func (c *console) judge(report dns.Report, asJSON bool) (err error) {
	if asJSON {
		err = c.asJSON(struct {
			Level dns.Level `json:"level"`
			dns.Report
		}{report.Level(), report})
	} else {
		err = c.page(report.Domain+at(report), verdicts(report))
	}
	switch red := red(report); {
	case err != nil:
		return err
	case red > 0:
		return fmt.Errorf("%d of %d findings on %s are red", red, len(report.Findings), report.Domain)
	case !report.Asked():
		return awayError("no name server of " + report.Domain + " answers. Nothing is known.")
	}
	return nil
}

// at says how many servers answered.
func at(r dns.Report) string {
	answered := 0
	for _, s := range r.Servers {
		if s.Answered {
			answered++
		}
	}
	if len(r.Servers) == 0 {
		return ""
	}
	return fmt.Sprintf(", as %d of %d name servers say", answered, len(r.Servers))
}

// verdicts are the findings of DNS as lines of a page. What servers said is shown where
// it differs.
func verdicts(r dns.Report) (all []verdict) {
	for _, f := range r.Findings {
		v := verdict{Area: cmp.Or(string(f.Kind), "DNS"), Level: f.Level, Sentence: f.Sentence, Remedy: f.Remedy}
		for _, e := range f.Evidence {
			if f.Differs() {
				v.Evidence = append(v.Evidence, e.Server+": "+e.Answer)
			}
		}
		all = append(all, v)
	}
	return all
}

func red(r dns.Report) (n int) {
	for _, f := range r.Findings {
		if f.Level == dns.Red {
			n++
		}
	}
	return n
}

package main

import (
	"context"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/operate/dns"
)

// reporting is the flag of what is about one thing.
type reporting struct {
	JSON bool `help:"Print a JSON object instead of text."`
}

type checkDomain struct {
	domainName
	resolving
	reporting
}

func (checkDomain) Help() string {
	return examples("posthorn domain check example.com", "posthorn domain check example.com --json --resolver 192.0.2.53")
}

func (cmd *checkDomain) Run(ctx context.Context, c *console, cl cloud) error {
	d, err := cmd.own(ctx, cl)
	if err != nil {
		return err
	}
	report, err := cmd.ask(ctx, c, d)
	if err != nil {
		return err
	}
	return c.judge(report, cmd.JSON)
}

// found shows what DNS says of one kind of record, who says it, and why it is not right.
func (c *console) found(report dns.Report, kind, why string) {
	var all []dns.Finding
	for _, f := range report.Findings {
		if f.Kind == dns.Kind(kind) {
			all = append(all, f)
		}
	}
	differ := slices.ContainsFunc(all, dns.Finding.Differs)
	for _, f := range all {
		if unsure := strings.HasSuffix(f.Code, "-unsure"); unsure && differ {
			continue // only because they differ
		}
		c.tell("  %s: %s", f.Level, f.Sentence)
		if f.Sentence == why {
			why = ""
		}
		for _, e := range f.Evidence {
			if f.Differs() || strings.HasSuffix(f.Code, "-unsure") {
				c.tell("    %s: %s", e.Server, e.Answer)
			}
		}
	}
	if why != "" && !differ {
		c.tell("  %s", why)
	}
}

package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/posthorn/posthorn/handler/operate/dns"
)

// reporting is the flag of what is about one thing.
type reporting struct {
	JSON bool `help:"A JSON object in place of text."`
}

// asJSON writes an object.
func (c *console) asJSON(v any) error {
	e := json.NewEncoder(c.out)
	e.SetIndent("", "  ")
	return e.Encode(v)
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
	if cmd.JSON {
		err = c.asJSON(report)
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

// found shows what DNS says of one kind of record, and who says it.
func (c *console) found(report dns.Report, kind string) {
	for _, v := range verdicts(report) {
		if v.Area != kind {
			continue
		}
		c.tell("  %s: %s", v.Level, v.Sentence)
		for _, line := range v.Evidence {
			c.tell("    %s", line)
		}
	}
}

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"

	"github.com/posthorn/posthorn/handler/operate/dns"
)

// domain asks DNS alone.
func (cmd *doctorCommand) domain(ctx context.Context, c *console) error {
	name, ok := dns.Name(cmd.Domain)
	if !ok {
		return usageError(fmt.Sprintf("--domain: %q is no domain. Name one such as example.com.", cmd.Domain))
	}
	asker, err := cmd.asker(ctx, c)
	if err != nil {
		return err
	}
	c.tell("Asking the name servers of %s. This takes at most %s.", name, dns.CheckTime)
	r := asker.Check(ctx, dns.Domain{Name: name})
	if err := ctx.Err(); err != nil {
		return err
	}
	if cmd.JSON {
		e := json.NewEncoder(c.out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		err = e.Encode(struct {
			Level dns.Level `json:"level"`
			dns.Report
		}{r.Level(), r})
	} else {
		err = c.page(name+at(r), verdicts(r))
	}
	switch red := red(r); {
	case err != nil:
		return err
	case red > 0:
		return fmt.Errorf("%d of %d findings on %s are red", red, len(r.Findings), name)
	case !r.Asked():
		return awayError("no name server of " + name + " answers. Nothing is known.")
	}
	return nil
}

// asker is that of the flags.
func (cmd *doctorCommand) asker(ctx context.Context, c *console) (*dns.Asker, error) {
	resolvers := dns.System(ctx)
	if cmd.Resolver != "" {
		host, port, err := net.SplitHostPort(cmd.Resolver)
		if err != nil {
			host, port = strings.Trim(cmd.Resolver, "[]"), "53"
		}
		if host == "" || strings.Contains(host, "/") {
			return nil, usageError(fmt.Sprintf("--resolver: %q is no HOST:PORT.", cmd.Resolver))
		}
		resolvers = []string{net.JoinHostPort(host, port)}
	}
	if len(resolvers) == 0 {
		return nil, usageError("this computer names no resolver: say --resolver HOST:PORT.")
	}
	dial := c.dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return dns.New(resolvers, func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, port, _ := net.SplitHostPort(address); port == "53" && address != resolvers[0] {
			address = net.JoinHostPort(host, cmp.Or(cmd.Port, port))
		}
		return dial(ctx, network, address)
	}), nil
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

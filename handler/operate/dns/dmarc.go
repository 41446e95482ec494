package dns

import (
	"context"
	"fmt"
	"slices"
	"strings"

	second "github.com/emersion/go-msgauth/dmarc"
	miekg "github.com/miekg/dns"
)

// checkDMARC judges the record of the domain, or else the one that it inherits.
func (c *check) checkDMARC(ctx context.Context) {
	name := "_dmarc." + c.domain.Name
	c.judge(KindDMARC, c.look(ctx, name, miekg.TypeTXT), likeDMARC, func(g group) []Finding {
		if len(g.values) == 0 {
			return c.withoutDMARC(ctx, name)
		}
		return c.judgeDMARC(ctx, c.domain.Name, g.values)
	})
	c.block(KindDMARC, "ACS never ends the verification of DMARC, and links without it.")
}

// withoutDMARC judges what a domain without a record of its own inherits.
func (c *check) withoutDMARC(ctx context.Context, name string) []Finding {
	if org := organization(c.domain.Name); org != c.domain.Name {
		values, what := c.values(ctx, "_dmarc."+org, miekg.TypeTXT)
		if values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return !likeDMARC(v) }); len(values) > 0 {
			return c.judgeDMARC(ctx, org, values)
		}
		if what < absent {
			return []Finding{{Level: Yellow, Code: "dmarc-unknown", Sentence: "There is no DMARC record at " + shown(name) + ", and _dmarc." + shown(org) + " gives no answer.", Remedy: "Run doctor again."}}
		}
	}
	f := Finding{Level: Yellow, Code: "dmarc-missing", Sentence: "There is no DMARC record. Large receivers want one. Microsoft wants one before raising a quota.",
		Remedy: "Add a TXT record at " + name + ": v=DMARC1; p=none; rua=mailto:dmarc@" + c.domain.Name}
	for _, doubled := range []string{name + "." + c.zone, name + "." + c.domain.Name} {
		if c.stands(ctx, doubled, miekg.TypeTXT, likeDMARC) {
			f.Level, f.Code, f.Record = Red, "dmarc-doubled", doubled
			f.Sentence, f.Remedy = "The DMARC record is at "+shown(doubled)+": the provider added the name of the zone.", "Move it: type "+relative(name, c.zone)+" as the name."
			return []Finding{f}
		}
	}
	if c.stands(ctx, c.domain.Name, miekg.TypeTXT, dmarcBegin.MatchString) {
		f.Level, f.Code, f.Sentence, f.Remedy = Red, "dmarc-wrong-name", "The DMARC record is at the domain itself, where receivers do not look.", "Move it: type "+relative(name, c.zone)+" as the name."
	}
	return []Finding{f}
}

// judgeDMARC judges the records at _dmarc of owner.
func (c *check) judgeDMARC(ctx context.Context, owner string, values []string) (all []Finding) {
	valid := slices.DeleteFunc(slices.Clone(values), func(v string) bool { return !dmarcBegin.MatchString(v) })
	if len(valid) > 1 {
		return []Finding{{Level: Red, Code: "dmarc-two-records", Sentence: fmt.Sprintf("There are %d DMARC records. Receivers then ignore all of them.", len(valid)), Remedy: "Keep one."}}
	}
	text := values[0]
	if len(valid) == 1 {
		text = valid[0]
	}
	d := parseDMARC(text)
	for _, f := range d.flaws {
		all = append(all, Finding{Level: f.level, Code: f.code, Sentence: f.sentence, Remedy: f.remedy})
	}
	all = append(all, c.reportsOf(ctx, owner, d)...)
	if slices.ContainsFunc(d.flaws, func(f flaw) bool { return f.code != "dmarc-reports" }) {
		return all
	}
	policy, from := d.policy, ""
	if owner != c.domain.Name {
		policy, from = d.subdomains, ", inherited from "+owner
	}
	c.policy = &policyFound{policy, d.strictSPF, d.strictDKIM}
	good := Finding{Level: Green, Code: "dmarc-good", Sentence: fmt.Sprintf("The DMARC policy is %s%s.", policy, from)}
	if policy == "none" {
		good.Sentence += " It only asks for reports."
	}
	all = append(all, good)
	if _, err := second.Parse(text); err != nil {
		all = append(all, Finding{Level: Green, Code: "dmarc-unusual", Sentence: "The DMARC record is valid, but some receivers may not read it (" + shown(strings.TrimPrefix(err.Error(), "dmarc: ")) + ").",
			Remedy: "Write it without blanks around \"=\", and in small letters: v=DMARC1; p=" + d.policy + "; …"})
	}
	return all
}

// reportsOf asks domains that get reports of another organization whether they agreed.
// RFC 7489, section 7.1.
func (c *check) reportsOf(ctx context.Context, owner string, d dmarc) (all []Finding) {
	for _, domain := range d.reports {
		if organization(domain) == organization(owner) {
			continue
		}
		name := owner + "._report._dmarc." + domain
		values, what := c.values(ctx, name, miekg.TypeTXT)
		f := Finding{Level: Yellow, Code: "dmarc-reports-refused", Sentence: shown(domain) + " has not agreed to receive DMARC reports on " + owner + ". They are dropped.",
			Remedy: "Ask it for a TXT record at " + shown(name) + ": v=DMARC1\nOr name another address."}
		switch {
		case slices.ContainsFunc(values, dmarcBegin.MatchString):
			continue
		case what < absent:
			f.Code, f.Sentence, f.Remedy = "dmarc-reports-unknown", "Whether "+shown(domain)+" receives DMARC reports is unknown: it gives no answer.", "Run doctor again."
		}
		all = append(all, f)
	}
	return all
}

// policyFound is what DMARC asks of mail, once it is known.
type policyFound struct {
	policy                string
	strictSPF, strictDKIM bool
}

// checkAlignment says whether mail of ACS passes DMARC: by DKIM with the domain's own
// name, or by SPF with the name of the return path.
func (c *check) checkAlignment() {
	if c.policy == nil {
		return
	}
	path := c.domain.MailFrom
	aligned := path == c.domain.Name || !c.policy.strictSPF && organization(path) == organization(c.domain.Name)
	dkim, spf := c.order(KindDKIM, KindDKIM2), c.order(KindSPF)
	sure := c.order(KindDMARC) == Green
	if !aligned {
		spf = Red
	}
	f := Finding{Level: Green, Code: "dmarc-aligned", Kind: KindDMARC, Record: c.domain.Name}
	switch {
	case !sure, dkim != Green && spf != Green && (dkim == Yellow || spf == Yellow):
		f.Level, f.Code, f.Sentence, f.Remedy = Yellow, "dmarc-alignment-unknown", "Whether mail from @"+c.domain.Name+" passes DMARC is unknown.", "Correct the errors of DKIM, SPF and DMARC, and run doctor again."
	case dkim == Green && spf == Green:
		f.Sentence = "Mail from @" + c.domain.Name + " can pass DMARC by DKIM and by SPF."
	case dkim == Green:
		f.Sentence = "Mail from @" + c.domain.Name + " can pass DMARC by DKIM. SPF does not help it now."
	case spf == Green:
		f.Level, f.Code, f.Sentence, f.Remedy = Yellow, "dmarc-spf-only", "Mail from @"+c.domain.Name+" can pass DMARC by SPF alone. Forwarding breaks that.", "Fix DKIM."
	default:
		f.Level, f.Code, f.Sentence = Yellow, "dmarc-unaligned", "Mail from @"+c.domain.Name+" cannot pass DMARC: neither DKIM nor SPF is in order."
		f.Remedy = "Fix DKIM, both selectors."
		if c.policy.policy != "none" {
			f.Level = Red
			f.Sentence += " Its policy is " + c.policy.policy + "."
		}
	}
	c.add(f)
}

// order says whether kinds are in order: Red if one is not, Yellow if that is unknown.
func (c *check) order(kinds ...Kind) Level {
	worst := Green
	for _, k := range kinds {
		level := Yellow
		for _, f := range c.report.Findings {
			switch {
			case f.Kind != k:
			case f.Level == Red:
				worst = Red
			case !doubtful(f.Code):
				level = Green
			}
		}
		for _, f := range c.report.Findings {
			if f.Kind == k && doubtful(f.Code) {
				level = Yellow
			}
		}
		worst = max(worst, level)
	}
	return worst
}

// doubtful says whether a finding tells that something could not be seen.
func doubtful(code string) bool {
	return slices.ContainsFunc([]string{"-unknown", "-unsure", "-partial", "-not-counted"}, func(end string) bool { return strings.HasSuffix(code, end) })
}

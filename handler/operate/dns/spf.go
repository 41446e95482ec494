package dns

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"blitiri.com.ar/go/spf"
	miekg "github.com/miekg/dns"
)

// checkSPF judges SPF. The record of the domain's own name alone counts.
func (c *check) checkSPF(ctx context.Context, apex view) {
	c.judge(KindSPF, apex, likeSPF, func(g group) []Finding {
		valid := slices.DeleteFunc(slices.Clone(g.values), func(v string) bool { return !isSPF(v) })
		switch {
		case len(valid) == 1 && len(g.values) > 1:
			return append(c.judgeSPF(ctx, valid[0]), Finding{Level: Yellow, Code: "spf-stray",
				Sentence: "Another TXT record looks like SPF, but receivers ignore it.", Remedy: "Delete the TXT record that does not begin with v=spf1."})
		case len(valid) == 1:
			return c.judgeSPF(ctx, valid[0])
		case len(valid) > 1:
			return []Finding{{Level: Red, Code: "spf-two-records", Sentence: fmt.Sprintf("There are %d SPF records. Receivers then ignore all of them (permerror).", len(valid)),
				Remedy: "Keep one: " + c.proposal(valid...) + "\n" + c.others(ctx, valid...)}}
		case len(g.values) > 0:
			return []Finding{{Level: Red, Code: "spf-pasted", Sentence: "A TXT record looks like SPF, but does not begin with \"v=spf1 \": " + shown(g.values[0]),
				Remedy: "Rewrite it, without quotes, and without blanks before it: " + c.proposal(g.values...)}}
		}
		return []Finding{c.missingSPF(ctx)}
	})
}

func (c *check) missingSPF(ctx context.Context) Finding {
	f := Finding{Level: Red, Code: "spf-missing", Sentence: "There is no SPF record at " + shown(c.domain.Name) + ".",
		Remedy: "Add a TXT record at " + c.domain.Name + ": " + c.proposal() + "\n" + c.others(ctx)}
	if doubled := c.domain.Name + "." + c.zone; c.stands(ctx, doubled, miekg.TypeTXT, isSPF) {
		f.Code, f.Record = "spf-doubled", doubled
		f.Sentence = "The SPF record is at " + shown(doubled) + ": the provider added the name of the zone."
		f.Remedy = "Move it: type " + relative(c.domain.Name, c.zone) + " as the name."
	} else if org := organization(c.domain.Name); org != c.domain.Name && c.stands(ctx, org, miekg.TypeTXT, isSPF) {
		f.Sentence += " The record of " + shown(org) + " does not apply to it."
	}
	return f
}

// judgeSPF judges one record.
func (c *check) judgeSPF(ctx context.Context, text string) []Finding {
	terms, wrong := parseSPF(text)
	var all []Finding
	for _, w := range wrong {
		all = append(all, Finding{Level: Red, Code: "spf-syntax", Sentence: "The SPF record " + w + ".", Remedy: "Rewrite it by hand: " + c.proposal(text)})
	}
	if len(wrong) > 0 {
		return all // the proposal mends what else is wrong
	}
	var tree spfTree
	c.follow(ctx, c.domain.Name, terms, nil, &tree)
	all = slices.Concat(all, c.wantedBySPF(ctx, text, terms, tree), shapeOfSPF(terms), countOfSPF(tree), c.endOfSPF(ctx, text, terms))
	if !slices.ContainsFunc(all, func(f Finding) bool { return f.Level == Red }) {
		all = append(all, c.secondOpinion(ctx, text)...)
	}
	if len(all) == 0 {
		said := "SPF lets ACS send"
		if ending(terms) == "-all" {
			said += ", and nobody who is not in it"
		}
		all = append(all, Finding{Level: Green, Code: "spf-good", Sentence: fmt.Sprintf("%s. It needs %d of %d lookups.", said, tree.lookups, maxLookups)})
		if e := ending(terms); e != "-all" {
			all[0].blocks = true
			all[0].Sentence += " It ends in " + e + ", which may stay now that ACS has verified it."
		}
	}
	return all
}

// wantedBySPF are the includes that ACS wants in the record itself.
func (c *check) wantedBySPF(ctx context.Context, text string, terms []spfTerm, tree spfTree) (all []Finding) {
	before, idle := reached(terms)
	has := func(terms []spfTerm, name, qualifiers string) bool {
		return slices.ContainsFunc(terms, func(t spfTerm) bool {
			return t.name == "include" && !t.modifier && strings.IndexByte(qualifiers, t.qualifier) >= 0 && canonical(t.value) == name
		})
	}
	for _, name := range c.includes() {
		f := Finding{Level: Red, Code: "spf-include-missing", Sentence: "The SPF record lacks include:" + name + ", which Microsoft's check wants.", Remedy: "Set it to: " + c.proposal(text)}
		switch {
		case has(before, name, "+"):
			continue
		case has(idle, name, "+-~?"):
			f.Code, f.Sentence = "spf-include-after-all", "include:"+name+" stands after all, where no receiver reads it."
		case has(before, name, "-~?"):
			f.Code, f.Sentence = "spf-include-refused", "A sign before include:"+name+" forbids what it should allow."
		case slices.Contains(tree.names, name):
			f.Level, f.Code, f.blocks = Yellow, "spf-include-nested", true
			f.Sentence = "include:" + name + " is reached through another record only. Microsoft's check may look at the record itself alone."
		case c.flattened(ctx, name, tree):
			f.Code, f.Sentence = "spf-flattened", "The SPF record has addresses of Microsoft in place of include:"+name+". They change without notice."
			f.Remedy += "\nDelete Microsoft's addresses."
		}
		all = append(all, f)
	}
	return all
}

// flattened says whether the record has networks of an include that it lacks.
func (c *check) flattened(ctx context.Context, name string, tree spfTree) bool {
	if len(tree.networks) == 0 {
		return false
	}
	terms, _ := parseSPF("v=spf1 include:" + name)
	var theirs spfTree
	c.follow(ctx, c.domain.Name, terms, nil, &theirs)
	for _, read := range theirs.names {
		values, _ := c.values(ctx, read, miekg.TypeTXT)
		for _, v := range values {
			terms, _ := parseSPF(v)
			if slices.ContainsFunc(terms, func(t spfTerm) bool { return slices.Contains(tree.networks, strings.ToLower(t.value)) }) {
				return true
			}
		}
	}
	return false
}

// shapeOfSPF is what needs no question.
func shapeOfSPF(terms []spfTerm) (all []Finding) {
	before, idle := reached(terms)
	for _, t := range idle {
		f := Finding{Level: Yellow, Code: "spf-after-all", Sentence: shown(t.text) + " stands after all, where no receiver reads it.", Remedy: "Move it before all, or delete it."}
		if t.modifier {
			f.Code, f.Sentence, f.Remedy = "spf-redirect-with-all", shown(t.text)+" has no effect beside all.", "Delete it, or write it as an include before all."
		}
		if t.name != "include" || canonical(t.value) != acsInclude {
			all = append(all, f)
		}
	}
	if slices.ContainsFunc(before, func(t spfTerm) bool { return t.name == "ptr" && !t.modifier }) {
		all = append(all, Finding{Level: Yellow, Code: "spf-ptr", Sentence: "The SPF record uses ptr, which is slow. Many receivers skip it.", Remedy: "Delete ptr. Name the servers with ip4, ip6 or include."})
	}
	return all
}

// countOfSPF holds the record against the limits of receivers.
func countOfSPF(t spfTree) (all []Finding) {
	for _, d := range t.dead {
		all = append(all, Finding{Level: Red, Code: "spf-dead-end", Sentence: "The SPF record " + d + ". Receivers then ignore the record (permerror).", Remedy: "Delete that word, or fix the record that it names."})
	}
	if t.lookups > maxLookups {
		all = append(all, Finding{Level: Red, Code: "spf-many-lookups", Sentence: fmt.Sprintf("The SPF record needs %d lookups. Receivers stop at %d (permerror).", t.lookups, maxLookups),
			Remedy: "Delete includes of services that you no longer use. Give others a subdomain of their own."})
	}
	if t.voids > maxVoids {
		all = append(all, Finding{Level: Red, Code: "spf-void-lookups", Sentence: fmt.Sprintf("The SPF record names %d things that do not exist. Receivers stop at %d (permerror).", t.voids, maxVoids),
			Remedy: "Delete the words whose names do not exist."})
	}
	if len(t.unknown) > 0 && len(all) == 0 {
		all = append(all, Finding{Level: Yellow, Code: "spf-not-counted", blocks: true, Sentence: "The lookups of SPF could not be counted: no answer for " + listed(t.unknown) + ".", Remedy: "Run doctor again."})
	}
	return all
}

// endOfSPF tells of the ending in three steps: what it is, what Microsoft's check wants,
// and what may return.
// https://learn.microsoft.com/azure/communication-services/concepts/email/email-domain-configuration-troubleshooting
func (c *check) endOfSPF(ctx context.Context, text string, terms []spfTerm) []Finding {
	end := ending(terms)
	f := Finding{Level: Yellow, Code: "spf-ending", blocks: true}
	switch {
	case end == "-all", end == "~all" && c.domain.Verified:
		return nil
	case end == "+all":
		f.Level, f.Code, f.Sentence = Red, "spf-everyone", "The SPF record ends in +all: anyone may send as this domain."
	case end == "":
		f.Sentence = "The SPF record has no ending, which is the same as ?all: it forbids no server."
	case !strings.HasSuffix(end, "all"):
		f.Sentence = "The SPF record ends in " + shown(end) + ". Microsoft's check wants the include and -all in the record itself."
	default:
		f.Sentence = "The SPF record ends in " + end + ". Microsoft's documentation says that its check then fails: it wants -all."
	}
	if c.domain.Verified {
		f.Remedy = "ACS has verified it. End it in ~all or -all."
		return []Finding{f}
	}
	f.Remedy = "1. " + c.others(ctx, text) + "\n2. Set it to: " + c.proposal(text) + "\n3. After ACS has verified SPF, ~all may return."
	return []Finding{f}
}

// secondOpinion asks a library that evaluates SPF as receivers do.
func (c *check) secondOpinion(ctx context.Context, text string) []Finding {
	result, err := c.evaluate(ctx, text)
	switch result {
	case spf.PermError:
		return []Finding{{Level: Red, Code: "spf-permerror", Sentence: "Receivers give up on the SPF record (permerror): " + shown(err.Error()) + ".", Remedy: "Set it to: " + c.proposal(text)}}
	case spf.Pass:
		return []Finding{{Level: Red, Code: "spf-everyone", Sentence: "The SPF record lets anyone send as this domain.", Remedy: "Name the networks that are yours alone: " + c.proposal(text)}}
	case spf.TempError:
		return []Finding{{Level: Yellow, Code: "spf-not-counted", blocks: true, Sentence: "The SPF record could not be evaluated: a name in it gives no answer.", Remedy: "Run doctor again."}}
	}
	return nil
}

// includes are those that the expected record has.
func (c *check) includes() (names []string) {
	terms, _ := parseSPF(c.want(KindSPF).Value)
	for _, t := range terms {
		if t.name == "include" && !t.modifier {
			names = append(names, canonical(t.value))
		}
	}
	return names
}

// proposal is the record to set in place of those that stand.
func (c *check) proposal(standing ...string) string {
	return safe(MergeSPF(standing, c.want(KindSPF).Value), 4096)
}

package dns

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	miekg "github.com/miekg/dns"
)

// spfTerm is one word of an SPF record.
type spfTerm struct {
	qualifier byte   // + - ~ ?
	name      string // small letters; of a modifier too
	value     string // behind the first : or =, or the mask of a and mx
	modifier  bool
	text      string // as it stands
}

// sending says whether a term lets somebody send.
func (t spfTerm) sending() bool {
	return !t.modifier && t.name != "all" && (t.qualifier == '+' || t.qualifier == '?')
}

// target is the name that a term leads to, for a record of domain; "" if a macro says it.
func (t spfTerm) target(domain string) string {
	name := t.value
	if t.name == "a" || t.name == "mx" || t.name == "ptr" {
		name, _, _ = strings.Cut(name, "/")
		if name == "" {
			name = domain
		}
	}
	if strings.Contains(name, "%") {
		return ""
	}
	return canonical(name)
}

var (
	spfModifier = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9._-]*)=(.*)$`)
	spfMask     = regexp.MustCompile(`^(/(\d{1,2}))?(//(\d{1,3}))?$`)
)

// isSPF says whether a TXT record counts as SPF. RFC 7208, section 4.5.
func isSPF(text string) bool {
	return begins(text, "v=spf1") && (len(text) == len("v=spf1") || text[len("v=spf1")] == ' ')
}

// likeSPF says whether a TXT record was meant as SPF.
func likeSPF(text string) bool {
	text = strings.ReplaceAll(clean(text), " ", "")
	return begins(text, "v=spf1") || begins(text, "v:spf1") || begins(text, "spf1") || begins(text, "vspf1") || begins(text, "spf2.0/")
}

// parseSPF reads an SPF record strictly, as RFC 7208, section 12, has it. Each of wrong
// is one thing that makes receivers give up, as the end of a sentence.
func parseSPF(text string) (terms []spfTerm, wrong []string) {
	if i := strings.IndexFunc(text, strange); i >= 0 {
		wrong = append(wrong, "has a character at place "+strconv.Itoa(i+1)+" that SPF does not know: "+shown(text[i:min(len(text), i+12)]))
	}
	seen := map[string]bool{}
	for _, word := range strings.Split(text, " ")[1:] {
		if word == "" {
			continue
		}
		t, fault := parseTerm(word)
		if fault == "" && t.modifier && (t.name == "redirect" || t.name == "exp") {
			if seen[t.name] {
				fault = "has " + t.name + "= twice"
			}
			seen[t.name] = true
		}
		if fault != "" {
			wrong = append(wrong, fault)
			continue
		}
		terms = append(terms, t)
	}
	return terms, wrong
}

// strange says whether a character has no place in SPF.
func strange(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }

func parseTerm(word string) (t spfTerm, wrong string) {
	t = spfTerm{qualifier: '+', text: word}
	if m := spfModifier.FindStringSubmatch(word); m != nil {
		t.name, t.value, t.modifier = strings.ToLower(m[1]), m[2], true
		if (t.name == "redirect" || t.name == "exp") && !domainSpec(t.value) {
			return t, "has " + shown(word) + ", which names no domain"
		}
		return t, ""
	}
	rest := word
	if strings.ContainsRune("+-~?", rune(word[0])) {
		t.qualifier, rest = word[0], word[1:]
	}
	end := strings.IndexAny(rest, ":/")
	if end < 0 {
		end = len(rest)
	}
	t.name, t.value = strings.ToLower(rest[:end]), strings.TrimPrefix(rest[end:], ":")
	colon := strings.HasPrefix(rest[end:], ":")
	good := false
	switch t.name {
	case "all":
		good = end == len(rest)
	case "include", "exists":
		good = colon && domainSpec(t.value)
	case "ptr":
		good = end == len(rest) || colon && domainSpec(t.value)
	case "a", "mx":
		name, mask := t.value, ""
		if i := strings.Index(t.value, "/"); i >= 0 {
			name, mask = t.value[:i], t.value[i:]
		}
		good = masked(mask) && (!colon && name == "" || colon && domainSpec(name))
	case "ip4", "ip6":
		good = colon && network(t.value, t.name == "ip4")
	default:
		return t, "has the word " + shown(word) + ", which SPF does not know"
	}
	if !good {
		wrong = "has the word " + shown(word) + ", whose value is wrong"
	}
	return t, wrong
}

func masked(mask string) bool {
	m := spfMask.FindStringSubmatch(mask)
	if m == nil {
		return false
	}
	four, _ := strconv.Atoi(m[2])
	six, _ := strconv.Atoi(m[4])
	return four <= 32 && six <= 128
}

func network(text string, four bool) bool {
	address, err := netip.ParseAddr(text)
	if strings.Contains(text, "/") {
		var prefix netip.Prefix
		prefix, err = netip.ParsePrefix(text)
		address = prefix.Addr()
	}
	return err == nil && address.Is4() == four && address.Zone() == ""
}

// domainSpec says whether a value can be a domain, with or without macros.
func domainSpec(text string) bool {
	if strings.Contains(text, "%") {
		return true
	}
	_, ok := miekg.IsDomainName(text)
	return ok && text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("/:@=,;", r) })
}

// reached are the terms that are evaluated, all included, and those that count for
// nothing: behind all, and a redirect beside it.
func reached(terms []spfTerm) (before, idle []spfTerm) {
	all := slices.IndexFunc(terms, func(t spfTerm) bool { return !t.modifier && t.name == "all" })
	for i, t := range terms {
		switch {
		case all < 0, i <= all && (!t.modifier || t.name != "redirect"):
			before = append(before, t)
		case !t.modifier || t.name == "redirect":
			idle = append(idle, t)
		}
	}
	return before, idle
}

// ending is the last word that decides: "-all", "~all", "?all", "+all", a redirect, or "".
func ending(terms []spfTerm) string {
	for _, t := range terms {
		if !t.modifier && t.name == "all" {
			return string(t.qualifier) + "all"
		}
	}
	for _, t := range terms {
		if t.modifier && t.name == "redirect" {
			return t.text
		}
	}
	return ""
}

// MergeSPF makes one SPF record of those that stand and the one that ACS wants: every
// term once, in order, those of ACS at the end, and the ending of ACS. Words that SPF
// does not know, ptr, and terms behind all are left out.
func MergeSPF(standing []string, want string) string {
	words := []string{"v=spf1"}
	var ends string
	redirect := ""
	for _, text := range append(slices.Clone(standing), want) {
		terms, _ := parseSPF(clean(text))
		ends = ending(terms)
		for _, t := range terms {
			switch {
			case strings.ContainsFunc(t.text, strange):
			case t.modifier && t.name == "redirect":
				redirect = "include:" + t.value // with all, a redirect says nothing
				if !slices.Contains(words, redirect) {
					words = append(words, redirect)
				}
			case t.name == "include" && t.qualifier != '+' && strings.Contains(want, t.value): // it would forbid what want allows
			case t.name == "all" || t.name == "ptr" || slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, t.text) }):
			default:
				words = append(words, t.text)
			}
		}
	}
	if !strings.HasSuffix(ends, "all") {
		ends = "-all"
	}
	return strings.Join(append(words, ends), " ")
}

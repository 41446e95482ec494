package dns

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// dmarc is a DMARC record as receivers read it. RFC 7489, section 6.3.
type dmarc struct {
	policy     string // none, quarantine, reject; empty if the record counts for nothing
	subdomains string // the policy of subdomains
	strictSPF  bool
	strictDKIM bool
	reports    []string // the domains that get reports
	flaws      []flaw
}

// flaw is one thing wrong with a DMARC record.
type flaw struct {
	level            Level
	code             string
	sentence, remedy string
}

var (
	dmarcBegin = regexp.MustCompile(`^[vV][ \t]*=[ \t]*DMARC1[ \t]*(;|$)`)
	dmarcName  = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]*$`)
)

// likeDMARC says whether a TXT record was meant as DMARC.
func likeDMARC(text string) bool {
	text = strings.ReplaceAll(strings.ToLower(clean(text)), " ", "")
	return strings.Contains(text, "dmarc1") || strings.HasPrefix(text, "p=") || strings.HasPrefix(text, "v=dmarc")
}

// parseDMARC reads one record strictly. It gives flaws in the order of the record.
func parseDMARC(text string) (d dmarc) {
	const most = 3 // of one code; a hostile record has thousands
	count := map[string]int{}
	fault := func(level Level, code, sentence, remedy string) {
		if count[code]++; count[code] > most {
			return
		}
		d.flaws = append(d.flaws, flaw{level, "dmarc-" + code, sentence, remedy})
	}
	if begin := strings.TrimLeft(text, " \t"); begin != text && dmarcBegin.MatchString(begin) {
		fault(Yellow, "leading-blank", "The DMARC record begins with a blank. Receivers may pass over it.", "Delete the blank before v=DMARC1.")
		text = begin
	}
	if !dmarcBegin.MatchString(text) {
		sentence := "The DMARC record does not begin with v=DMARC1. Receivers pass over it: " + shown(text)
		switch flat := strings.ReplaceAll(strings.ToLower(text), " ", ""); {
		case strings.HasPrefix(flat, "v=dmarc1"):
			sentence = "The version of the DMARC record is not DMARC1 in capitals, or no semicolon follows it: " + shown(text)
		case strings.Contains(flat, ";v=dmarc1"):
			sentence = "v=DMARC1 is not the first tag of the DMARC record. Receivers pass over it."
		}
		fault(Red, "version", sentence, "Begin it with v=DMARC1; and without quotes.")
		return d
	}
	tags, order := map[string]string{}, []string{}
	parts := strings.Split(text, ";")
	for i, part := range parts {
		part = strings.Trim(part, " \t")
		if part == "" && i == len(parts)-1 {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		name, value = strings.ToLower(strings.TrimRight(name, " \t")), strings.TrimLeft(value, " \t")
		_, twice := tags[name]
		switch {
		case part == "":
			fault(Yellow, "syntax", "The DMARC record has two semicolons in a row. Receivers may pass over it.", "Delete one.")
		case !ok || !dmarcName.MatchString(name):
			fault(Red, "syntax", "The DMARC record has a part that is no tag: "+shown(part)+".", "Write it as NAME=VALUE, with a semicolon behind it.")
		case twice:
			fault(Red, "tag-twice", "The tag "+name+" stands twice in the DMARC record. Receivers may pass over all of it.", "Write one "+name+"= with all values"+map[bool]string{true: ", a comma between them"}[name == "rua" || name == "ruf"]+".")
		case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }):
			fault(Red, "syntax", "The tag "+name+" of the DMARC record has a character that does not belong there: "+shown(value)+".", "Type the value by hand, without quotes.")
		default:
			order = append(order, name)
		}
		if !twice {
			tags[name] = value
		}
	}
	d.read(tags, order, fault)
	return d
}

// read takes the meaning out of the tags.
func (d *dmarc) read(tags map[string]string, order []string, fault func(level Level, code, sentence, remedy string)) {
	policies := []string{"none", "quarantine", "reject"}
	policy := strings.ToLower(tags["p"])
	switch {
	case tags["p"] == "":
		fault(Red, "policy-missing", "The DMARC record has no policy. Receivers may pass over it.", "Add p=none; behind v=DMARC1;.")
	case !slices.Contains(policies, policy):
		fault(Red, "policy", "The DMARC record has a policy that does not exist: p="+shown(tags["p"])+".", "Write p=none, p=quarantine or p=reject.")
	default:
		d.policy, d.subdomains = policy, policy
	}
	for _, name := range []string{"sp", "np"} {
		value := strings.ToLower(tags[name])
		if value != "" && !slices.Contains(policies, value) {
			fault(Yellow, "tag", "The DMARC record has "+name+"="+shown(tags[name])+", which is no policy.", "Write none, quarantine or reject.")
		} else if name == "sp" && value != "" && d.policy != "" {
			d.subdomains = value
		}
	}
	for _, name := range []string{"adkim", "aspf"} {
		if value, ok := tags[name]; ok && !strings.EqualFold(value, "r") && !strings.EqualFold(value, "s") {
			fault(Yellow, "tag", "The DMARC record has "+name+"="+shown(value)+", which means nothing.", "Write r (relaxed) or s (strict).")
		}
	}
	d.strictDKIM, d.strictSPF = strings.EqualFold(tags["adkim"], "s"), strings.EqualFold(tags["aspf"], "s")
	if value, ok := tags["pct"]; ok {
		if n, err := strconv.Atoi(value); err != nil || n < 0 || n > 100 {
			fault(Yellow, "tag", "The DMARC record has pct="+shown(value)+", which is no number from 0 to 100.", "Delete pct.")
		}
	}
	for _, name := range []string{"rua", "ruf"} {
		if value, ok := tags[name]; ok {
			d.readReports(name, value, fault)
		}
	}
	for _, name := range order {
		if known := []string{"v", "p", "sp", "np", "adkim", "aspf", "pct", "rua", "ruf", "fo", "rf", "ri", "t", "psd"}; !slices.Contains(known, name) {
			fault(Yellow, "tag", "The DMARC record has the tag "+shown(name)+", which does not exist. Receivers pass over it.", "Delete it, or mend its name.")
		}
	}
}

// readReports takes the domains out of a list of mailto URIs.
func (d *dmarc) readReports(name, list string, fault func(level Level, code, sentence, remedy string)) {
	const most = 10 // of one record; receivers need not send to more than two
	for i, uri := range strings.Split(list, ",") {
		if i == most {
			fault(Yellow, "reports", "The DMARC record has more than 10 addresses in "+name+".", "Keep two.")
			return
		}
		uri, _, _ = strings.Cut(strings.Trim(uri, " \t"), "!")
		u, err := url.Parse(uri)
		if err != nil || !strings.EqualFold(u.Scheme, "mailto") {
			fault(Yellow, "reports", "The DMARC record sends reports to "+shown(uri)+", which is no mailto: address.", "Write "+name+"=mailto:you@example.com.")
			continue
		}
		_, domain, ok := strings.Cut(u.Opaque, "@")
		if domain, valid := Name(domain); ok && valid {
			if !slices.Contains(d.reports, domain) {
				d.reports = append(d.reports, domain)
			}
			continue
		}
		fault(Yellow, "reports", "The DMARC record sends reports to "+shown(uri)+", which is no address.", "Write "+name+"=mailto:you@example.com.")
	}
}

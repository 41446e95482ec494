package dns

import (
	"fmt"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"

	"github.com/posthorn/posthorn/handler/operate/dns/dnstest"
)

// stood is what one server of a random zone has, in words that need no parser.
type stood struct {
	apex, dmarc, mx []string
	alias           bool
	dkim            [2][]string // "CNAME target" or "TXT text"
	does            dnstest.Behaviour
}

// mutated changes a text a little, now and then.
func mutated(r *rand.Rand, text string) string {
	for r.IntN(4) == 0 && text != "" {
		at := r.IntN(len(text))
		switch r.IntN(5) {
		case 0:
			text = text[:at] + text[at+1:]
		case 1:
			text = text[:at] + string(text[at]) + text[at:]
		case 2:
			text = text[:at] + string(rune(r.IntN(256))) + text[at:]
		case 3:
			text = text[:at] + []string{" ", "\"", "“", "\n", ";", "=", "\\"}[r.IntN(7)] + text[at:]
		case 4:
			text = strings.ToUpper(text[:at]) + text[at:]
		}
	}
	return text
}

func some(r *rand.Rand, from ...string) (all []string) {
	for range []int{1, 1, 1, 1, 2, 0, 3}[r.IntN(7)] {
		all = append(all, mutated(r, from[r.IntN(r.IntN(len(from))+1)]))
	}
	return all
}

func randomServer(r *rand.Rand) stood {
	s := stood{
		apex: slices.Concat(some(r, token, "ms-domain-verification=another", "google-site-verification=x"),
			some(r, "v=spf1 include:spf.protection.outlook.com -all", "v=spf1 mx include:spf.protection.outlook.com -all", "v=spf1 include:spf.protection.outlook.com ~all", "v=spf1 include:a.b.test include:spf.protection.outlook.com -all",
				"v=spf1 -all include:spf.protection.outlook.com", "v=spf1 include:zone.test include:spf.protection.outlook.com -all", "v=spf1 redirect=spf.protection.outlook.com", "v=spf1 "+strings.Repeat("a:x.test ", 12)+"-all")),
		dmarc: some(r, "v=DMARC1; p=reject", "v=DMARC1; p=none; rua=mailto:d@zone.test", "v=DMARC1; p=quarantine; pct=50; sp=none", " v=DMARC1; p=none", "p=reject; v=DMARC1", "v=DMARC1; p=reject; p=none", "v=DMARC1; p=none; rua=mailto:a@other.test"),
		mx:    some(r, "mail.zone.test", ".", "mx2.zone.test"),
		alias: r.IntN(20) == 0,
	}
	for i := range s.dkim {
		target := []string{dkim1, dkim2}[i] + ".azurecomm.net"
		s.dkim[i] = some(r, "CNAME "+target, "CNAME "+target, "TXT v=DKIM1; k=rsa; p=MIIB", "CNAME "+dkim1+".azurecomm.net", "TXT "+target)
	}
	if r.IntN(4) == 0 {
		s.does = dnstest.Behaviour(r.IntN(int(dnstest.Floods) + 1))
	}
	return s
}

// lines are a server's zone file. Names that are none are left out.
func (s *stood) lines() string {
	var b strings.Builder
	text := func(name, value string) {
		fmt.Fprintf(&b, "%s TXT", name)
		for first := true; first || value != ""; first = false {
			n := min(len(value), 255)
			b.WriteString(` "`)
			for _, c := range []byte(value[:n]) {
				fmt.Fprintf(&b, `\%03d`, c)
			}
			b.WriteString(`"`)
			value = value[n:]
		}
		b.WriteString("\n")
	}
	if s.alias {
		b.WriteString("@ CNAME www.other.test.\n")
	}
	for _, v := range s.apex {
		text("@", v)
	}
	for _, v := range s.dmarc {
		text("_dmarc", v)
	}
	s.mx = slices.DeleteFunc(s.mx, func(v string) bool { return !hostName.MatchString(v) })
	for _, v := range s.mx {
		fmt.Fprintf(&b, "@ MX 10 %s.\n", strings.TrimSuffix(v, "."))
	}
	for i, all := range s.dkim {
		s.dkim[i] = slices.DeleteFunc(all, func(v string) bool { return !strings.HasPrefix(v, "TXT ") && !aliasLine.MatchString(v) })
		for _, v := range s.dkim[i] {
			name := []string{dkim1, dkim2}[i]
			if value, ok := strings.CutPrefix(v, "TXT "); ok {
				text(name, value)
			} else {
				fmt.Fprintf(&b, "%s %s.\n", name, v)
			}
		}
	}
	b.WriteString("x A 192.0.2.9\n")
	return b.String()
}

var (
	hostName  = regexp.MustCompile(`^(\.|[A-Za-z0-9-]{1,60}(\.[A-Za-z0-9-]{1,60})+)$`)
	aliasLine = regexp.MustCompile(`^CNAME [A-Za-z0-9_-]{1,60}(\.[A-Za-z0-9_-]{1,60})+$`)
	spfBegin  = regexp.MustCompile(`(?i)^v=spf1( |$)`)
	spfWord   = regexp.MustCompile(`(?i)^([a-z][a-z0-9._-]*=\S*|[+?~-]?(all|mx|a:[a-z0-9.-]+|include:[a-z0-9.-]+))?$`)
	spfEnd    = regexp.MustCompile(`(?i) -all *( [a-z][a-z0-9._-]*=\S*| )*$`)
	dmarcOnly = regexp.MustCompile(`^[vV] *= *DMARC1 *; *[pP] *= *(?i:none|reject|quarantine) *(; *[a-zA-Z][a-zA-Z0-9_]* *= *[ -:<-~]* *)*;? *$`)
)

func (s *stood) speaks() bool {
	return s.does == dnstest.Answers || s.does == dnstest.Cut || s.does == dnstest.Slow
}

// mayBeGreen is the oracle: what a server must have at least. It is simple, and knows
// nothing of the code.
func (s *stood) mayBeGreen(k Kind) bool {
	one := func(all []string, begins *regexp.Regexp) string {
		all = slices.DeleteFunc(slices.Clone(all), func(v string) bool { return !begins.MatchString(v) })
		if len(slices.Compact(slices.Sorted(slices.Values(all)))) != 1 || len(all) != 1 {
			return ""
		}
		return all[0]
	}
	dkim := func(i int) bool {
		all := slices.DeleteFunc(slices.Clone(s.dkim[i]), func(v string) bool { return strings.HasPrefix(v, "TXT ") })
		all = slices.Compact(all)
		return len(all) == 1 && strings.EqualFold(all[0], "CNAME "+[]string{dkim1, dkim2}[i]+".azurecomm.net")
	}
	switch k {
	case KindDomain:
		return !s.alias && slices.Contains(s.apex, token)
	case KindSPF:
		text := one(s.apex, spfBegin)
		words := strings.Split(text, " ")
		return !s.alias && spfEnd.MatchString(text) && slices.ContainsFunc(words, func(w string) bool {
			return strings.EqualFold(strings.TrimPrefix(w, "+"), "include:spf.protection.outlook.com")
		}) &&
			!slices.ContainsFunc(words[1:], func(w string) bool { return !spfWord.MatchString(w) })
	case KindDKIM:
		return dkim(0)
	case KindDKIM2:
		return dkim(1)
	case KindDMARC:
		return dmarcOnly.MatchString(one(s.dmarc, regexp.MustCompile(`^[vV] *= *DMARC1 *(;|$)`)))
	}
	return true
}

// No zone makes it panic, and nothing is green that a server does not have, or did not
// say.
func TestRandomZonesAreNeverGreenByMistake(t *testing.T) {
	t.Parallel()
	zones, greens := 500, make(chan int, 500)
	if testing.Short() {
		zones = 50
	}
	t.Run("zones", func(t *testing.T) {
		for seed := range zones {
			t.Run(strconv.Itoa(seed), func(t *testing.T) {
				t.Parallel()
				greens <- randomZone(t, uint64(seed))
			})
		}
	})
	close(greens)
	sum := 0
	for n := range greens {
		sum += n
	}
	if sum < zones/2 {
		t.Errorf("only %d findings were green: the zones are all too bad to show anything", sum)
	}
}

func set(all []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(strings.Fields(strings.ToLower(strings.Join(all, " "))))))
}

func randomZone(t *testing.T, seed uint64) (greens int) {
	r := rand.New(rand.NewPCG(seed, 1))
	z := dnstest.Zone{Name: "zone.test"}
	var servers []stood
	for i := range r.IntN(3) + 1 {
		s := randomServer(r)
		if i > 0 && r.IntN(3) > 0 {
			s = servers[0] // as it should be
		}
		servers = append(servers, s)
		z.Servers = append(z.Servers, dnstest.Server{Name: fmt.Sprintf("ns%d.zone.test", i), Address: net.IPv4(198, 18, 70, byte(i+1)).String(), Does: s.does, Records: servers[i].lines()})
	}
	report := seenBy(t, Domain{Name: "zone.test", Expected: []Record{{KindDomain, "TXT", "zone.test", token, 3600}}}, z)
	sound(t, report)
	for _, f := range report.Findings {
		if f.Level != Green {
			continue
		}
		greens++
		for i := range servers {
			s := &servers[i]
			if !s.speaks() && s.does != dnstest.Stray || !s.mayBeGreen(f.Kind) || f.Kind == KindMX && !slices.Equal(set(s.mx), set(servers[0].mx)) && s.does != dnstest.Stray && servers[0].does != dnstest.Stray {
				t.Errorf("seed %d: green %s (%s), but server %d has %+v", seed, f.Code, f.Sentence, i, *s)
			}
		}
	}
	for _, k := range []Kind{KindDomain, KindSPF, KindDKIM, KindDKIM2} {
		ready, why := report.Ready(k)
		for i := range servers {
			if s := &servers[i]; ready && (!s.speaks() || !s.mayBeGreen(k)) {
				t.Errorf("seed %d: %s is ready, but server %d has %+v", seed, k, i, *s)
			}
		}
		if ready == (why != "") {
			t.Errorf("ready %v, and why %q", ready, why)
		}
	}
	return greens
}

func FuzzDMARC(f *testing.F) {
	for _, text := range []string{"v=DMARC1; p=reject", " v = DMARC1 ; p = ReJect ; rua = mailto:d@b02.test", "v=DMARC1;p=none;rua=mailto:a@x.test!10m,https://x", "v=DMARC1;=;;p", "\"v=DMARC1\""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d := parseDMARC(text)
		red := slices.ContainsFunc(d.flaws, func(f flaw) bool { return f.level == Red })
		if d.policy == "" && !red {
			t.Errorf("%q has no policy, and no flaw says so", text)
		}
		if !red && !dmarcBegin.MatchString(strings.TrimLeft(text, " \t")) {
			t.Errorf("%q does not begin with the version, and passes", text)
		}
		for _, f := range d.flaws {
			if strings.ContainsFunc(f.sentence+f.remedy, func(c rune) bool { return c < ' ' }) {
				t.Errorf("%q is not safe for a terminal", f.sentence)
			}
		}
	})
}

func FuzzSPF(f *testing.F) {
	for _, text := range []string{"v=spf1 include:spf.protection.outlook.com -all", "v=spf1 a:%{i}/24//64 mx/33 ptr exists:%{l}.x redirect=y exp=z ?all", "v=spf1 ip4:1.2.3.4/8 ip6:::1 -all all", "v=spf1 \xff include: +", "v=spf1 redirect=a.test redirect=b.test", "0 A=\xd30"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		terms, wrong := parseSPF(text)
		reached(terms)
		for _, w := range wrong {
			if strings.ContainsFunc(w, func(c rune) bool { return c < ' ' }) {
				t.Errorf("%q is not safe for a terminal", w)
			}
		}
		merged := MergeSPF([]string{text}, "v=spf1 include:spf.protection.outlook.com -all")
		if _, wrong := parseSPF(merged); len(wrong) > 0 || !isSPF(merged) || !strings.HasSuffix(merged, " -all") || !strings.Contains(merged, " include:spf.protection.outlook.com") {
			t.Errorf("%q is merged into %q: %v", text, merged, wrong)
		}
		c := &check{Checker: New(nil, nil), domain: Domain{Name: "example.test"}, known: map[question]answer{}}
		_, _ = c.evaluate(t.Context(), text)
	})
}

// Whatever a server sends is read without a panic, and within bounds.
func FuzzAnswer(f *testing.F) {
	m := new(miekg.Msg).SetQuestion("example.test.", miekg.TypeTXT)
	m.Response = true
	for _, line := range []string{`example.test. 1 IN TXT "a\"b" "\200"`, "example.test. 1 IN CNAME example.test.", "example.test. 1 IN NS ns.example.test.", "example.test. 1 IN MX 0 ."} {
		rr, _ := miekg.NewRR(line)
		m.Answer = append(m.Answer, rr)
		packed, _ := m.Pack()
		f.Add(packed)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		m := new(miekg.Msg)
		if m.Unpack(packet) != nil {
			return
		}
		for _, kind := range []uint16{miekg.TypeTXT, miekg.TypeCNAME, miekg.TypeMX, miekg.TypeA} {
			values, end := chain(m.Answer, "example.test", kind)
			if len(values) > maxValues || end != canonical(end) {
				t.Errorf("%d values at %q", len(values), end)
			}
			for _, v := range values {
				shown(v)
				parseSPF(v)
				parseDMARC(v)
			}
		}
		servedBy(m.Ns, "example.test")
	})
}

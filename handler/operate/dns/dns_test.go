package dns

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/posthorn/posthorn/handler/operate/dns/dnstest"
)

const (
	token  = "ms-domain-verification=0f9b1c2d-1111-2222-3333-444455556666"
	dkim1  = "selector1-azurecomm-prod-net._domainkey"
	dkim2  = "selector2-azurecomm-prod-net._domainkey"
	acsKey = `"v=DKIM1; k=rsa; p=MIIB"`

	goodToken = "\n@ TXT \"" + token + "\""
	goodSPF   = "\n@ TXT \"v=spf1 include:spf.protection.outlook.com -all\""
	goodDKIM  = "\n" + dkim1 + " CNAME " + dkim1 + ".azurecomm.net.\n" + dkim2 + " CNAME " + dkim2 + ".azurecomm.net."
	goodDMARC = "\n_dmarc TXT \"v=DMARC1; p=reject\""
	goodMX    = "\n@ MX 10 mail"
	withDMARC = goodToken + goodSPF + goodDKIM + goodMX + "\n_dmarc TXT " // a value follows
	withSPF   = goodToken + goodDKIM + goodDMARC + goodMX + "\n@ TXT "
	withDKIM  = goodToken + goodSPF + goodDMARC + goodMX + "\n" + dkim2 + " CNAME " + dkim2 + ".azurecomm.net.\n"
	all       = goodToken + goodSPF + goodDKIM + goodDMARC + goodMX
)

// others are the zones of others that a good domain needs.
func others() []dnstest.Zone {
	return []dnstest.Zone{
		{Name: "outlook.com", Records: `spf.protection TXT "v=spf1 ip4:40.92.0.0/15 ip6:2a01:111:f400::/48 include:spfd.protection.outlook.com -all"
spfd.protection TXT "v=spf1 ip4:52.100.0.0/15 -all"`},
		{Name: "azurecomm.net", Records: dkim1 + " TXT " + acsKey + "\n" + dkim2 + " TXT " + acsKey},
	}
}

// seenBy checks a domain in a World. Time passes by itself.
func seenBy(t *testing.T, d Domain, zones ...dnstest.Zone) (r Report) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := dnstest.New(t, append(others(), zones...)...)
		r = New([]string{dnstest.Resolver}, w.Dial).Check(t.Context(), d)
	})
	return r
}

func codes(r Report, least Level) (all []string) {
	for _, f := range r.Findings {
		if f.Level >= least {
			all = append(all, f.Level.String()+" "+f.Code)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func unready(r Report) (all []string) {
	for _, k := range []Kind{KindDomain, KindSPF, KindDKIM, KindDKIM2} {
		if ok, why := r.Ready(k); !ok {
			all = append(all, string(k))
		} else if why != "" {
			all = append(all, "why "+string(k))
		}
	}
	return all
}

func expected() []Record {
	return []Record{{KindDomain, "TXT", "example.test", token, 3600}}
}

// Each mistake has its name, and nothing else is said.
func TestMistakesAreNamed(t *testing.T) {
	t.Parallel()
	const (
		tenIncludes = "v=spf1 include:i0.many.test include:i1.many.test include:i2.many.test include:i3.many.test include:i4.many.test include:i5.many.test include:i6.many.test include:i7.many.test include:i8.many.test include:i9.many.test"
		voids       = "v=spf1 a:nowhere0.many.test a:nowhere1.many.test a:nowhere2.many.test"
	)
	for _, c := range []struct {
		name, records string
		want          []string // all that is not green
		unready       []string
	}{
		{"all is well", all, nil, nil},
		{"nothing", "", []string{"red dkim-missing", "red domain-missing", "red spf-missing", "yellow dmarc-missing"}, []string{"Domain", "SPF", "DKIM", "DKIM2"}},
		{"another token", strings.Replace(all, "0f9b", "aaaa", 1), []string{"red domain-missing"}, []string{"Domain"}},
		{"two tokens, ours among them", all + "\n@ TXT \"ms-domain-verification=other\"", nil, nil},
		{"a token with quotes", strings.Replace(all, `"`+token+`"`, `"\"`+token+`\""`, 1), []string{"red domain-pasted"}, []string{"Domain"}},
		{"a token with a blank behind it", strings.Replace(all, token, token+" ", 1), []string{"red domain-pasted"}, []string{"Domain"}},
		{"a token whose name was completed", strings.Replace(all, "\n@ TXT \"ms", "\nexample.test TXT \"ms", 1), []string{"red domain-doubled"}, []string{"Domain"}},

		{"no SPF", strings.Replace(all, goodSPF, "", 1), []string{"red spf-missing"}, []string{"SPF"}},
		{"SPF whose name was completed", strings.Replace(all, "\n@ TXT \"v=spf1", "\nexample.test TXT \"v=spf1", 1), []string{"red spf-doubled"}, []string{"SPF"}},
		{"two SPF records", all + "\n@ TXT \"v=spf1 a -all\"", []string{"red spf-two-records"}, []string{"SPF"}},
		{"an SPF record and one with quotes", all + `
@ TXT "\"v=spf1 a -all\""`, []string{"yellow spf-stray"}, nil},
		{"SPF with smart quotes", withSPF + `"“v=spf1 include:spf.protection.outlook.com -all”"`, []string{"red spf-pasted"}, []string{"SPF"}},
		{"SPF with a blank before it", withSPF + `" v=spf1 include:spf.protection.outlook.com -all"`, []string{"red spf-pasted"}, []string{"SPF"}},
		{"SPF with a line break", withSPF + `"v=spf1 include:spf.protection.outlook.com\010-all"`, []string{"red spf-syntax"}, []string{"SPF"}},
		{"SPF with a hard blank", withSPF + `"v=spf1 include:spf.protection.outlook.com\194\160-all"`, []string{"red spf-syntax"}, []string{"SPF"}},
		{"SPF with a blank behind it", withSPF + `"v=spf1 include:spf.protection.outlook.com -all "`, nil, nil},
		{"SPF in capitals with two blanks", withSPF + `"V=SPF1  INCLUDE:SPF.Protection.Outlook.COM  -ALL"`, nil, nil},
		{"SPF cut in two strings", withSPF + `"v=spf1 include:spf.protection" ".outlook.com -all"`, nil, nil},
		{"an unknown word", withSPF + `"v=spf1 include:spf.protection.outlook.com ipv4:192.0.2.1 -all"`, []string{"red spf-syntax"}, []string{"SPF"}},
		{"an address that is none", withSPF + `"v=spf1 include:spf.protection.outlook.com ip4:192.0.2 -all"`, []string{"red spf-syntax"}, []string{"SPF"}},
		{"more than ten lookups", withSPF + `"` + tenIncludes + ` include:spf.protection.outlook.com -all"`, []string{"red spf-many-lookups"}, []string{"SPF"}},
		{"more than two void lookups", withSPF + `"` + voids + ` include:spf.protection.outlook.com -all"`, []string{"red spf-void-lookups"}, []string{"SPF"}},
		{"an include that leads nowhere", withSPF + `"v=spf1 include:none.many.test include:spf.protection.outlook.com -all"`, []string{"red spf-dead-end"}, []string{"SPF"}},
		{"an include that leads back", withSPF + `"v=spf1 include:ring.many.test include:spf.protection.outlook.com -all"`, []string{"red spf-dead-end"}, []string{"SPF"}},
		{"an include that gives no answer", withSPF + `"v=spf1 include:dead.test include:spf.protection.outlook.com -all"`, []string{"yellow spf-not-counted"}, []string{"SPF"}},
		{"an include of macros", withSPF + `"v=spf1 include:%{i}.x.many.test include:spf.protection.outlook.com -all"`, []string{"red spf-permerror"}, []string{"SPF"}},
		{"the include behind all", withSPF + `"v=spf1 -all include:spf.protection.outlook.com"`, []string{"red spf-include-after-all"}, []string{"SPF"}},
		{"another word behind all", withSPF + `"v=spf1 include:spf.protection.outlook.com -all mx"`, []string{"yellow spf-after-all"}, nil},
		{"the include with a minus", withSPF + `"v=spf1 -include:spf.protection.outlook.com -all"`, []string{"red spf-include-refused"}, []string{"SPF"}},
		{"the include by another record", withSPF + `"v=spf1 include:nested.many.test -all"`, []string{"yellow spf-include-nested"}, []string{"SPF"}},
		{"a redirect beside all", withSPF + `"v=spf1 include:spf.protection.outlook.com redirect=i1.many.test -all"`, []string{"yellow spf-redirect-with-all"}, nil},
		{"a redirect to the include", withSPF + `"v=spf1 redirect=spf.protection.outlook.com"`, []string{"yellow spf-ending", "yellow spf-include-nested"}, []string{"SPF"}},
		{"ptr", withSPF + `"v=spf1 ptr include:spf.protection.outlook.com -all"`, []string{"yellow spf-ptr"}, nil},
		{"addresses of Microsoft", withSPF + `"v=spf1 ip4:52.100.0.0/15 -all"`, []string{"red spf-flattened"}, []string{"SPF"}},
		{"without the include", withSPF + `"v=spf1 ip4:198.51.100.7 -all"`, []string{"red spf-include-missing"}, []string{"SPF"}},
		{"~all before ACS has verified it", withSPF + `"v=spf1 include:spf.protection.outlook.com ~all"`, []string{"yellow spf-ending"}, []string{"SPF"}},
		{"no ending", withSPF + `"v=spf1 include:spf.protection.outlook.com"`, []string{"yellow spf-ending"}, []string{"SPF"}},
		{"+all", withSPF + `"v=spf1 include:spf.protection.outlook.com +all"`, []string{"red spf-everyone"}, []string{"SPF"}},
		{"every address", withSPF + `"v=spf1 ip4:0.0.0.0/0 include:spf.protection.outlook.com -all"`, []string{"red spf-everyone"}, []string{"SPF"}},

		{"no DKIM", strings.Replace(all, goodDKIM, "", 1), []string{"red dkim-missing"}, []string{"DKIM", "DKIM2"}},
		{"one selector", withDKIM, []string{"red dkim-missing"}, []string{"DKIM"}},
		{"DKIM elsewhere", withDKIM + dkim1 + " CNAME selector1._domainkey.other.test.", []string{"red dkim-other-target"}, []string{"DKIM"}},
		{"DKIM swapped", withDKIM + dkim1 + " CNAME " + dkim2 + ".azurecomm.net.", []string{"red dkim-swapped"}, []string{"DKIM"}},
		{"a target without its dot", withDKIM + dkim1 + " CNAME " + dkim1 + ".azurecomm.net", []string{"red dkim-target-completed"}, []string{"DKIM"}},
		{"a name that was completed", withDKIM + dkim1 + ".example.test CNAME " + dkim1 + ".azurecomm.net.", []string{"red dkim-doubled"}, []string{"DKIM"}},
		{"a proxy", withDKIM + dkim1 + " A 104.16.1.1", []string{"red dkim-proxied"}, []string{"DKIM"}},
		{"the key as a copy", withDKIM + dkim1 + " TXT " + acsKey, []string{"yellow dkim-flattened"}, []string{"DKIM"}},
		{"another key as a copy", withDKIM + dkim1 + ` TXT "v=DKIM1; p=other"`, []string{"red dkim-copied-wrong"}, []string{"DKIM"}},
		{"TXT in place of CNAME", withDKIM + dkim1 + ` TXT "` + dkim1 + `.azurecomm.net"`, []string{"red dkim-txt"}, []string{"DKIM"}},

		{"blanks and capitals in DMARC", withDMARC + `"v = DMARC1 ; p = ReJect ; rua = mailto:d@example.test"`, nil, nil},
		{"a blank before DMARC", withDMARC + `" v=DMARC1; p=reject"`, []string{"yellow dmarc-leading-blank"}, nil},
		{"a DMARC tag twice", withDMARC + `"v=DMARC1; p=reject; rua=mailto:a@example.test; rua=mailto:b@example.test"`, []string{"red dmarc-tag-twice"}, nil},
		{"two policies", withDMARC + `"v=DMARC1; p=reject; p=none"`, []string{"red dmarc-tag-twice"}, nil},
		{"the version not first", withDMARC + `"p=reject; v=DMARC1"`, []string{"red dmarc-version"}, nil},
		{"the version in small letters", withDMARC + `"v=dmarc1; p=reject"`, []string{"red dmarc-version"}, nil},
		{"two DMARC records", all + "\n_dmarc TXT \"v=DMARC1; p=none\"", []string{"red dmarc-two-records"}, nil},
		{"an unknown policy", withDMARC + `"v=DMARC1; p=monitor"`, []string{"red dmarc-policy"}, nil},
		{"no policy", withDMARC + `"v=DMARC1; rua=mailto:d@example.test"`, []string{"red dmarc-policy-missing"}, nil},
		{"DMARC with quotes", withDMARC + `"\"v=DMARC1; p=reject\""`, []string{"red dmarc-version"}, nil},
		{"commas in DMARC", withDMARC + `"v=DMARC1, p=reject"`, []string{"red dmarc-version"}, nil},
		{"a tag that does not exist", withDMARC + `"v=DMARC1; p=reject; policy=none"`, []string{"yellow dmarc-tag"}, nil},
		{"reports without mailto", withDMARC + `"v=DMARC1; p=reject; rua=d@example.test"`, []string{"yellow dmarc-reports"}, nil},
		{"reports to others", withDMARC + `"v=DMARC1; p=reject; rua=mailto:x@rep.other.test,mailto:y@bounces.example.test,mailto:z@nobody.test"`, []string{"yellow dmarc-reports-refused"}, nil},
		{"DMARC at the domain itself", strings.Replace(all, "\n_dmarc TXT", "\n@ TXT", 1), []string{"red dmarc-wrong-name"}, nil},
		{"DMARC whose name was completed", strings.Replace(all, "\n_dmarc TXT", "\n_dmarc.example.test TXT", 1), []string{"red dmarc-doubled"}, nil},
		{"DMARC by CNAME", strings.Replace(all, goodDMARC, "\n_dmarc CNAME policy.other.test.", 1), nil, nil},

		{"a CNAME at the domain", goodDKIM + goodDMARC + "\n@ CNAME www.other.test.", []string{"red cname-at-domain"}, []string{"Domain", "SPF"}},
		{"a CNAME beside the rest", all + "\n@ CNAME www.other.test.", []string{"red cname-at-domain"}, []string{"Domain", "SPF"}},
		{"null MX", strings.Replace(all, "MX 10 mail", "MX 0 .", 1), nil, nil},
		{"null MX beside others", all + "\n@ MX 0 .", []string{"yellow mx-null-and-others"}, nil},
		{"no MX", strings.Replace(all, goodMX, "", 1), nil, nil},
		{"a ring of CNAMEs", withDKIM + dkim1 + " CNAME " + dkim1, []string{"red dkim-other-target"}, []string{"DKIM"}},
		{"thousands of words in SPF", withSPF + `"v=spf1"` + strings.Repeat(` " `+strings.Repeat("x ", 120)+`"`, 200), []string{"red spf-syntax"}, []string{"SPF"}},
		{"thousands of tags in DMARC", withDMARC + `"v=DMARC1; p=none"` + strings.Repeat(` ";`+strings.Repeat("x=1;", 60)+`"`, 200), []string{"red dmarc-tag-twice", "yellow dmarc-syntax", "yellow dmarc-tag"}, nil},
		{"a huge TXT", all + "\n@ TXT" + strings.Repeat(` "`+strings.Repeat("x", 250)+`"`, 200), nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			many := []string{"nested TXT \"v=spf1 include:spf.protection.outlook.com -all\"\nring TXT \"v=spf1 include:ring2.many.test -all\"\nring2 TXT \"v=spf1 include:ring.many.test -all\""}
			for i := range 10 {
				many = append(many, fmt.Sprintf("i%d TXT \"v=spf1 ip4:198.51.100.%d -all\"", i, i))
			}
			r := seenBy(t, Domain{Name: "example.test", Expected: expected()}, dnstest.Zone{Name: "example.test", Records: c.records},
				dnstest.Zone{Name: "many.test", Records: strings.Join(many, "\n")},
				dnstest.Zone{Name: "dead.test", Servers: []dnstest.Server{{Name: "ns.dead.test", Address: "198.18.99.1", Does: dnstest.Fails}}},
				dnstest.Zone{Name: "other.test", Records: "example.test._report._dmarc.rep TXT \"v=DMARC1\"\npolicy TXT \"v=DMARC1; p=none\"\nwww A 198.51.100.1"})
			if strings.HasPrefix(strings.Join(c.want, ""), "red dkim") && !slices.Contains(c.want, "red spf-missing") {
				c.want = append(slices.Clone(c.want), "yellow dmarc-spf-only") // what follows
			}
			if got := codes(r, Yellow); !slices.Equal(got, c.want) {
				t.Errorf("findings %v, want %v", got, c.want)
			}
			if got := unready(r); !slices.Equal(got, c.unready) {
				t.Errorf("not ready are %v, want %v", got, c.unready)
			}
			sound(t, r)
			if len(r.Findings) > 20 {
				t.Errorf("%d findings", len(r.Findings))
			}
		})
	}
}

// sound holds every finding to what a reader needs.
func sound(t *testing.T, r Report) {
	t.Helper()
	for _, f := range r.Findings {
		if f.Code == "" || f.Sentence == "" || f.Record == "" || f.Level > Green && f.Remedy == "" {
			t.Errorf("half a finding: %+v", f)
		}
		if text := f.Sentence + f.Remedy; strings.ContainsFunc(text, func(c rune) bool { return c < ' ' && c != '\n' }) {
			t.Errorf("%q is not safe for a terminal", text)
		}
	}
}

// All records of a long answer count, or a second SPF record could hide behind others.
func TestASecondSPFRecordDoesNotHide(t *testing.T) {
	t.Parallel()
	var long strings.Builder
	for i := range 150 {
		fmt.Fprintf(&long, "\n@ TXT \"site-verification=%d\"", i)
	}
	r := seenBy(t, Domain{Name: "example.test"}, dnstest.Zone{Name: "example.test", Records: all + long.String() + "\n@ TXT \"v=spf1 ip4:203.0.113.7 -all\""})
	if got := codes(r, Red); !slices.Contains(got, "red spf-two-records") {
		t.Errorf("found %v", got)
	}
	if ready, _ := r.Ready(KindSPF); ready {
		t.Error("SPF is ready")
	}
}

package dns

import (
	"slices"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/operate/dns/dnstest"
)

func finding(t *testing.T, r Report, code string) Finding {
	t.Helper()
	i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Code == code })
	if i < 0 {
		t.Fatalf("there is no %s: %v", code, codes(r, Green))
	}
	return r.Findings[i]
}

// Before -all, every other sender is named; what is set is one line, without a dot.
func TestOtherSendersAreNamedBeforeTheStrictEnding(t *testing.T) {
	t.Parallel()
	records := goodToken + goodDKIM + goodDMARC + "\n@ MX 1 aspmx.l.google.com.\nmandrill._domainkey TXT \"v=DKIM1; p=x\"\n@ TXT \"v=spf1 include:crm.other.test ip4:198.51.100.7 ~all\""
	zones := []dnstest.Zone{{Name: "example.test", Records: records}, {Name: "other.test", Records: "crm TXT \"v=spf1 ip4:198.51.100.9 -all\""}}
	r := seenBy(t, Domain{Name: "example.test", Expected: expected()}, zones...)
	remedy := finding(t, r, "spf-ending").Remedy
	for _, has := range []string{"1. Under -all", "crm.other.test, ip4:198.51.100.7", "Google Workspace (include:_spf.google.com)", "Mandrill",
		"\n2. Set it to: v=spf1 include:crm.other.test ip4:198.51.100.7 include:spf.protection.outlook.com -all\n", "\n3. "} {
		if !strings.Contains(remedy, has) {
			t.Errorf("%q is not in:\n%s", has, remedy)
		}
	}
	if strings.Contains(remedy, "SendGrid") {
		t.Errorf("it names who does not send:\n%s", remedy)
	}
	if len(r.Standing) != 2 {
		t.Errorf("standing are %v", r.Standing)
	}
}

// Once ACS has verified SPF, ~all may return; nothing else may.
func TestTheEndingMayReturnOnceVerified(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ ending, want string }{{"~all", "green spf-good"}, {"-all", "green spf-good"}, {"?all", "yellow spf-ending"}, {"+all", "red spf-everyone"}} {
		r := seenBy(t, Domain{Name: "example.test", Verified: true, Expected: expected()}, dnstest.Zone{Name: "example.test", Records: withSPF + `"v=spf1 include:spf.protection.outlook.com ` + c.ending + `"`})
		if got := codes(r, Green); !slices.Contains(got, c.want) {
			t.Errorf("%s: %v", c.ending, got)
		}
		if ready, _ := r.Ready(KindSPF); ready != (c.ending == "-all") {
			t.Errorf("%s is ready: %v", c.ending, ready)
		}
	}
}

func TestDMARCIsReadAsReceiversDo(t *testing.T) {
	t.Parallel()
	at := func(record string, more ...dnstest.Zone) Report {
		return seenBy(t, Domain{Name: "example.test", Expected: expected()}, append(more, dnstest.Zone{Name: "example.test", Records: withDMARC + record})...)
	}
	r := at(`"v = DMARC1 ; p = ReJect ; rua = mailto:d@example.test"`)
	if f := finding(t, r, "dmarc-good"); !strings.Contains(f.Sentence, "reject") {
		t.Errorf("blanks and capitals: %s", f.Sentence)
	}
	if f := finding(t, r, "dmarc-unusual"); f.Level != Green || f.Remedy == "" {
		t.Errorf("the note: %+v", f)
	}
	r = at(`"v=DMARC1; p=reject; rua=mailto:x@rep.other.test,mailto:z@nobody.test"`, dnstest.Zone{Name: "other.test", Records: `example.test._report._dmarc.rep TXT "v=DMARC1"`})
	finding(t, r, "dmarc-good")
	if f := finding(t, r, "dmarc-reports-refused"); !strings.Contains(f.Sentence, "nobody.test") {
		t.Errorf("reports: %s", f.Sentence)
	}
	if ready, why := r.Ready(KindDMARC); ready || why == "" {
		t.Error("ACS would be asked to verify DMARC, which never ends")
	}
}

// SPF helps DMARC only if the return path is of the same organization.
func TestAlignment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, mailFrom, dmarc, dkim, want string }{
		{"both", "", "v=DMARC1; p=reject; aspf=s; adkim=s", goodDKIM, "green dmarc-aligned"},
		{"SPF alone", "", "v=DMARC1; p=reject", "", "yellow dmarc-spf-only"},
		{"a return path below, relaxed", "bounce.example.test", "v=DMARC1; p=reject", "", "yellow dmarc-spf-only"},
		{"a return path below, strict", "bounce.example.test", "v=DMARC1; p=reject; aspf=s", "", "red dmarc-unaligned"},
		{"a return path elsewhere", "other.test", "v=DMARC1; p=none", "", "yellow dmarc-unaligned"},
		{"a return path elsewhere, DKIM in order", "other.test", "v=DMARC1; p=reject", goodDKIM, "green dmarc-aligned"},
	} {
		records := goodToken + goodSPF + goodMX + c.dkim + "\n_dmarc TXT \"" + c.dmarc + "\""
		r := seenBy(t, Domain{Name: "example.test", MailFrom: c.mailFrom, Expected: expected()}, dnstest.Zone{Name: "example.test", Records: records})
		if got := codes(r, Green); !slices.Contains(got, c.want) {
			t.Errorf("%s: %v, want %s", c.name, got, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{"Example.COM.": "example.com", " grüße.de ": "xn--gre-6ka8l.de", "com": "", "a b.de": "", "a..b": "", "https://example.com": "", "ann@example.com": "", strings.Repeat("a", 64) + ".de": "", "": ""} {
		if got, ok := Name(typed); got != want && ok || ok != (want != "") {
			t.Errorf("%q is %q, %v", typed, got, ok)
		}
	}
}

// A registry's own name is a zone like others.
func TestARegistrysNameEnds(t *testing.T) {
	t.Parallel()
	r := seenBy(t, Domain{Name: "co.uk"}, dnstest.Zone{Name: "co.uk", Records: "x A 192.0.2.1"})
	if r.Zone != "co.uk" || !r.Asked() {
		t.Errorf("zone %q, %v", r.Zone, codes(r, Green))
	}
}

// What others wrote does not reach a terminal as it is.
func TestTextOfZonesIsMadeSafe(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"a\x1b[31mb": `a\x1b[31mb`, "a\nb": `a\nb`, "x\xff": `x\xff`, "a\u202eb": `a\u202eb`, "Grüße": "Grüße", strings.Repeat("x", 500): strings.Repeat("x", 400) + "…"} {
		if got := shown(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

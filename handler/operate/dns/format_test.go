package dns

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"

	"github.com/posthorn/posthorn/handler/operate/dns/dnstest"
)

// Names come in several forms; the kind and the selector say which is meant.
func TestRecordsHaveTheirNamesInFull(t *testing.T) {
	t.Parallel()
	given := []Record{
		{KindDomain, "TXT", "mail", token, 3600}, {KindSPF, "TXT", "mail.example.test", "v=spf1 include:spf.protection.outlook.com -all", 3600},
		{KindDKIM, "CNAME", dkim1 + ".mail", dkim1 + ".azurecomm.net.", 600}, {KindDKIM2, "CNAME", "selector7-x._domainkey", "elsewhere.azurecomm.net", 3600}, {KindDMARC, "TXT", "", "", 0},
	}
	var got []string
	for _, r := range (Domain{Name: "mail.example.test", Expected: given}).Records() {
		got = append(got, r.Name+" "+r.Value)
	}
	want := []string{"mail.example.test " + token, "mail.example.test v=spf1 include:spf.protection.outlook.com -all", dkim1 + ".mail.example.test " + dkim1 + ".azurecomm.net", "selector7-x._domainkey.mail.example.test elsewhere.azurecomm.net"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := (Domain{Name: "example.test"}).Records(); len(got) != 3 || got[0].Kind != KindSPF || got[2].Value != dkim2+".azurecomm.net" {
		t.Errorf("without anything given: %v", got)
	}
}

func formatted(t *testing.T, form Form, records []Record) string {
	t.Helper()
	text, err := Format(form, "example.test", records)
	if err != nil {
		t.Fatalf("%s: %v", form, err)
	}
	return text
}

// What is pasted as a zone file is what is then found right.
func TestZoneFilesAreWhatIsWanted(t *testing.T) {
	t.Parallel()
	for _, form := range []Form{ZoneFile, Cloudflare} {
		text := formatted(t, form, Domain{Name: "mail.example.test", Expected: expected()}.Records())
		r := seenBy(t, Domain{Name: "mail.example.test", Expected: expected()}, dnstest.Zone{Name: "example.test", Records: text})
		for _, k := range []Kind{KindDomain, KindSPF, KindDKIM, KindDKIM2} {
			if ok, why := r.Ready(k); !ok {
				t.Errorf("%s: %s is not ready: %s\n%s", form, k, why, text)
			}
		}
	}
}

func TestFormsArePasted(t *testing.T) {
	t.Parallel()
	records := Domain{Name: "example.test", Expected: expected()}.Records()
	for _, c := range []struct {
		form Form
		has  []string
	}{
		{Plain, []string{"TXT    @ ", "CNAME  " + dkim1 + " ", "example.test.example.test"}},
		{ZoneFile, []string{"example.test. 3600 IN TXT \"" + token + "\"\n", dkim1 + ".example.test. 3600 IN CNAME " + dkim1 + ".azurecomm.net.\n"}},
		{AzureDNS, []string{"az network dns record-set txt add-record -g GROUP -z 'example.test' -n '@' -v 'v=spf1 include:spf.protection.outlook.com -all'\n",
			"az network dns record-set cname set-record -g GROUP -z 'example.test' -n '" + dkim2 + "' -c '" + dkim2 + ".azurecomm.net'\n"}},
		{Cloudflare, []string{";; ", "Proxy imported DNS records"}},
	} {
		text := formatted(t, c.form, records)
		for _, has := range c.has {
			if !strings.Contains(text, has) {
				t.Errorf("%s lacks %q:\n%s", c.form, has, text)
			}
		}
	}
	for name, wrong := range map[string]Record{
		"outside of the zone": {KindSPF, "TXT", "other.test", "x", 1}, "a quote": {KindSPF, "TXT", "example.test", "x'; rm", 1}, "a line break": {KindDKIM, "CNAME", "a.example.test", "x\ny", 1}, "another type": {KindMX, "MX", "example.test", "x", 1},
	} {
		if text, err := Format(AzureDNS, "example.test", []Record{wrong}); err == nil {
			t.Errorf("%s: %s", name, text)
		}
	}
	if _, err := Format("bind", "example.test", records); err == nil {
		t.Error("a form that does not exist is written")
	}
}

// A set that stands is replaced with all that stood in it, but for the old SPF record;
// an unknown set is created, which fails if it stands.
func TestRoute53LosesNothing(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300)
	standing := []Record{{KindNone, "TXT", "example.test", "v=spf1 a -all", 60}, {KindNone, "TXT", "example.test", "a\"b\\\xff" + long, 60}}
	text := formatted(t, Route53, append(standing, Domain{Name: "example.test", Expected: expected()}.Records()...))
	var batch struct {
		Changes []struct {
			Action            string
			ResourceRecordSet struct {
				Name, Type      string
				TTL             int
				ResourceRecords []struct{ Value string }
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &batch); err != nil || len(batch.Changes) != 3 {
		t.Fatalf("%v: %s", err, text)
	}
	set := batch.Changes[0].ResourceRecordSet
	var values []string
	for _, v := range set.ResourceRecords {
		values = append(values, v.Value)
	}
	want := []string{`"a\"b\\\377` + strings.Repeat("x", 250) + `" "` + strings.Repeat("x", 50) + `"`, `"` + token + `"`, `"v=spf1 include:spf.protection.outlook.com -all"`}
	if batch.Changes[0].Action != "UPSERT" || set.Name != "example.test." || !slices.Equal(values, want) {
		t.Errorf("%s %s has %q, want %q", batch.Changes[0].Action, set.Name, values, want)
	}
	for _, c := range batch.Changes[1:] {
		if c.Action != "CREATE" || c.ResourceRecordSet.Type != "CNAME" || c.ResourceRecordSet.TTL != 3600 {
			t.Errorf("%+v", c)
		}
	}
}

// A long value is cut into strings that DNS joins again.
func TestLongValuesAreCut(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", "x", strings.Repeat("a", 255), strings.Repeat("ab;\"", 200), strings.Repeat("\x00\xff", 300)} {
		rr, err := miekg.NewRR("x.test. 1 IN TXT " + strings.Join(quoted(value), " "))
		if err != nil {
			t.Errorf("%d bytes: %v", len(value), err)
			continue
		}
		packed := make([]byte, 70000)
		if _, err := miekg.PackRR(rr, packed, 0, nil, false); err != nil {
			t.Errorf("%d bytes: %v", len(value), err)
		}
		if got := raw(strings.Join(rr.(*miekg.TXT).Txt, "")); got != value {
			t.Errorf("%d bytes became %d", len(value), len(got))
		}
	}
}

func TestSPFIsMerged(t *testing.T) {
	t.Parallel()
	const want = "v=spf1 include:spf.protection.outlook.com -all"
	for _, c := range []struct {
		name     string
		standing []string
		merged   string
	}{
		{"nothing stands", nil, want},
		{"another sender", []string{"v=spf1 include:a.test ~all"}, "v=spf1 include:a.test include:spf.protection.outlook.com -all"},
		{"it stands already", []string{"v=spf1 Include:SPF.protection.outlook.com mx ~all"}, "v=spf1 Include:SPF.protection.outlook.com mx -all"},
		{"two records", []string{"v=spf1 a include:a.test -all", "v=spf1 a mx ?all"}, "v=spf1 a include:a.test mx include:spf.protection.outlook.com -all"},
		{"a redirect", []string{"v=spf1 redirect=a.test"}, "v=spf1 include:a.test include:spf.protection.outlook.com -all"},
		{"ptr and words that do not exist", []string{"v=spf1 ptr ipv4:1.2.3.4 a all"}, "v=spf1 a include:spf.protection.outlook.com -all"},
		{"quotes and a hard blank", []string{"“v=spf1 a\u00a0mx -all”"}, "v=spf1 a mx include:spf.protection.outlook.com -all"},
		{"the include is forbidden", []string{"v=spf1 -include:spf.protection.outlook.com -all"}, want},
	} {
		if got := MergeSPF(c.standing, want); got != c.merged {
			t.Errorf("%s: %q, want %q", c.name, got, c.merged)
		}
	}
}

// A name comes into lines that are pasted, and into files.
func TestNamesOfRecordsAreNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"$(id).test", "a'b.test", "a\nb.test", "a b.test"} {
		for _, form := range Forms() {
			if text, err := Format(form, name, []Record{{KindSPF, "TXT", name, "v=spf1 -all", 3600}}); err == nil || text != "" {
				t.Errorf("%s of %q: %q", form, name, text)
			}
		}
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/posthorn/posthorn/handler/operate/dns/dnstest"
)

const (
	selectors = "\nselector1-azurecomm-prod-net._domainkey CNAME selector1-azurecomm-prod-net._domainkey.azurecomm.net.\nselector2-azurecomm-prod-net._domainkey CNAME selector2-azurecomm-prod-net._domainkey.azurecomm.net."
	inOrder   = "@ TXT \"ms-domain-verification=x\"\n@ TXT \"v=spf1 include:spf.protection.outlook.com -all\"\n@ MX 10 mail\n_dmarc TXT \"v=DMARC1; p=reject\"" + selectors
)

// diagnosed runs the doctor against name servers of its own.
func diagnosed(t *testing.T, colour bool, words ...string) (code int, out, said string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := dnstest.New(t,
			dnstest.Zone{Name: "good.test", Records: inOrder},
			dnstest.Zone{Name: "soft.test", Records: strings.Replace(inOrder, "-all", "~all", 1)},
			dnstest.Zone{Name: "bad.test", Records: "@ TXT \"v=spf1 a -all\"\n@ TXT \"v=spf1 \\027[31m -all\""},
			dnstest.Zone{Name: "dead.test", Records: inOrder, Servers: []dnstest.Server{{Name: "ns.dead.test", Address: "198.18.77.1", Does: dnstest.Silent}}},
			dnstest.Zone{Name: "outlook.com", Records: `spf.protection TXT "v=spf1 ip4:40.92.0.0/15 -all"`})
		var o, s bytes.Buffer
		code = run(t.Context(), append([]string{"doctor"}, words...), &console{in: strings.NewReader(""), out: &o, said: &s, dial: w.Dial, colour: colour})
		out, said = o.String(), s.String()
	})
	return code, out, said
}

// The exit code is what a script asks for; the page is what a person reads.
func TestDoctorOfADomain(t *testing.T) {
	t.Parallel()
	at := "--resolver=" + dnstest.Resolver
	for _, c := range []struct {
		name   string
		words  []string
		code   int
		out    []string
		said   string
		hidden string // what must not be shown
	}{
		{"in order", []string{"--domain", "good.test", at}, 0, []string{"good.test, as 2 of 2 name servers say: 0 red, 0 yellow, 6 green\n", "\n+ green  SPF "}, "Asking", "\x1b"},
		{"a dot, capitals and a resolver without a port", []string{"--domain", "GOOD.test.", "--resolver=192.0.2.53"}, 0, []string{"0 red"}, "", "-> "},
		{"yellow alone", []string{"--domain", "soft.test", at}, 0, []string{"\n! yellow  SPF ", "-> 1. Under -all, ", "\n                    2. Set it to: v=spf1 include:spf.protection.outlook.com -all\n"}, "", "x red"},
		{"red", []string{"--domain", "bad.test", at}, exitFailed, []string{"x red ", "There are 2 SPF records", "-> Keep one: "}, "findings on bad.test are red", "\x1b"},
		{"nobody answers", []string{"--domain", "dead.test", at}, exitAway, []string{"0 red, 7 yellow, 0 green"}, "no name server of dead.test answers. Nothing is known.", ""},
		{"no resolver answers", []string{"--domain", "good.test", "--resolver=192.0.2.99:53"}, exitAway, []string{"No resolver answers: 192.0.2.99:53."}, "Nothing is known", ""},
		{"no such domain", []string{"--domain", "none.test", at}, exitFailed, []string{"does not exist"}, "", ""},
		{"no domain", []string{"--domain", "https://good.test"}, exitUsage, nil, `"https://good.test" is no domain`, ""},
		{"no resolver", []string{"--domain", "good.test", "--resolver=:53"}, exitUsage, nil, `":53" is no HOST:PORT`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			code, out, said := diagnosed(t, false, c.words...)
			if code != c.code || !strings.Contains(said, c.said) || c.hidden != "" && strings.Contains(out, c.hidden) {
				t.Errorf("exit code %d, %q, on standard error %q", code, out, said)
			}
			for _, has := range c.out {
				if !strings.Contains(out, has) {
					t.Errorf("%q is not in:\n%s", has, out)
				}
			}
		})
	}
	if _, out, _ := diagnosed(t, true, "--domain", "bad.test", at); !strings.Contains(out, "\x1b[31mx red\x1b[0m ") {
		t.Errorf("on a terminal nothing is coloured:\n%s", out)
	}
}

func TestDoctorsReportIsJSON(t *testing.T) {
	t.Parallel()
	code, out, _ := diagnosed(t, true, "--domain", "bad.test", "--json", "--resolver="+dnstest.Resolver)
	var report struct {
		Level, Domain, Zone string
		Servers             []struct{ Name, Address string }
		Findings            []struct{ Level, Code, Kind, Record, Sentence, Remedy string }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitFailed {
		t.Fatalf("exit code %d, %v: %s", code, err, out)
	}
	if report.Level != "red" || report.Domain != "bad.test" || report.Zone != "bad.test" || len(report.Servers) != 2 || len(report.Findings) == 0 || strings.Contains(out, "\x1b") {
		t.Errorf("%s", out)
	}
}

func TestColours(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		environ []string
		want    bool
	}{
		{"NO_COLOR", []string{"TERM=xterm", "NO_COLOR=1"}, false},
		{"NO_COLOR is empty", []string{"TERM=xterm", "NO_COLOR="}, true},
		{"a dumb terminal", []string{"TERM=dumb"}, false},
	} {
		if got := colours(c.environ); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

package dns

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/operate/dns/dnstest"
)

// two servers of example.test. The second does something.
func two(does dnstest.Behaviour, records string) dnstest.Zone {
	return dnstest.Zone{Name: "example.test", Records: all, Servers: []dnstest.Server{
		{Name: "ns1.example.test", Address: "198.18.50.1"}, {Name: "ns2.example.test", Address: "198.18.50.2", Does: does, Records: records}}}
}

// What a server does not say is not green, and not missing either.
func TestServersThatDoNotAnswerAreNotMissingAndNotGreen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		does dnstest.Behaviour
	}{
		{"silent", dnstest.Silent}, {"out of reach", dnstest.Unreachable}, {"SERVFAIL", dnstest.Fails}, {"REFUSED", dnstest.Refuses}, {"lame", dnstest.Lame}, {"garbage", dnstest.Garbage},
		{"a wrong id", dnstest.WrongID}, {"another question", dnstest.OtherName}, {"cut for good", dnstest.CutForGood}, {"a flood", dnstest.Floods},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := seenBy(t, Domain{Name: "example.test", Expected: expected()}, two(c.does, ""))
			for _, f := range r.Findings {
				if f.Level == Green || f.Level == Red {
					t.Errorf("%s %s: %s", f.Level, f.Code, f.Sentence)
				}
			}
			if got := unready(r); len(got) != 4 {
				t.Errorf("only %v are not ready", got)
			}
			if !r.Asked() || !slices.Contains(codes(r, Yellow), "yellow server-trouble") {
				t.Errorf("asked %v, findings %v", r.Asked(), codes(r, Yellow))
			}
			sound(t, r)
		})
	}
}

// Where no server answers, nothing is known, and it takes no longer than it may.
func TestNothingIsKnownIfNothingAnswers(t *testing.T) {
	t.Parallel()
	dead := dnstest.Zone{Name: "example.test", Records: all, Servers: []dnstest.Server{{Name: "ns1.example.test", Address: "198.18.50.1", Does: dnstest.Silent}}}
	for _, c := range []struct {
		name, domain string
		zone         dnstest.Zone
		want         []string
	}{
		{"all servers are dead", "example.test", dead, []string{"yellow dkim-unknown", "yellow dkim2-unknown", "yellow dmarc-unknown", "yellow domain-unknown", "yellow mx-unknown", "yellow server-trouble", "yellow spf-unknown"}},
		{"no such domain", "nothing.test", dead, []string{"red domain-not-registered"}},
		{"no domain", "a..b", dead, []string{"red domain-name"}},
		{"servers without an address", "example.test", dnstest.Zone{Name: "example.test", Servers: []dnstest.Server{{Name: "ns1.example.test", Address: "198.18.50.1"}}, Records: "@ NS nowhere.invalid.", Delegated: []string{"nowhere.invalid"}},
			[]string{"yellow dkim-unknown", "yellow dkim2-unknown", "yellow dmarc-unknown", "yellow domain-unknown", "yellow mx-unknown", "yellow server-trouble", "yellow spf-unknown"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := seenBy(t, Domain{Name: c.domain, Expected: expected()}, c.zone)
			if got := codes(r, Green); !slices.Equal(got, c.want) || r.Asked() {
				t.Errorf("asked %v, findings %v, want %v", r.Asked(), got, c.want)
			}
			sound(t, r)
		})
	}
	synctest.Test(t, func(t *testing.T) { // a tarpit
		started, zone := time.Now(), dnstest.Zone{Name: "example.test", Records: all}
		for i := range 20 {
			zone.Servers = append(zone.Servers, dnstest.Server{Name: fmt.Sprintf("ns%d.example.test", i), Address: fmt.Sprintf("198.18.61.%d", i), Does: dnstest.Slow})
		}
		r := New([]string{dnstest.Resolver}, dnstest.New(t, append(others(), zone)...).Dial).Check(t.Context(), Domain{Name: "example.test"})
		if took := time.Since(started); took > CheckTime || r.Level() == Red {
			t.Errorf("after %s: %v", took, codes(r, Red))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		silence := func(context.Context, string, string) (net.Conn, error) { near, _ := net.Pipe(); return near, nil }
		r := New([]string{"192.0.2.99:53", "192.0.2.98:53"}, silence).Check(t.Context(), Domain{Name: strings.Repeat("a.", 100) + "test"})
		if got := codes(r, Green); !slices.Equal(got, []string{"yellow resolver-silent"}) || time.Since(started) > CheckTime+QuestionTime {
			t.Errorf("findings %v after %s", got, time.Since(started))
		}
	})
}

func TestServersAreCompared(t *testing.T) {
	t.Parallel()
	six := dnstest.Server{Name: "ns1.example.test", Address: "2001:db8::1", Does: dnstest.Unreachable}
	without6 := two(dnstest.Answers, "")
	without6.Servers = append(without6.Servers, six)
	only6 := two(dnstest.Answers, "")
	six.Name = "ns3.example.test"
	only6.Servers = append(only6.Servers, six)
	delegated := two(dnstest.Answers, "")
	delegated.Delegated = []string{"ns1.example.test"}
	old := two(dnstest.Answers, strings.Replace(all, goodSPF, "", 1))
	old.Delegated, old.Records = []string{"ns2.example.test"}, all+"\n@ NS ns1.example.test."
	bogus := two(dnstest.Answers, "")
	bogus.Bogus = true
	crowd, crowded := dnstest.Zone{Name: "example.test", Records: all}, []dnstest.Zone(nil)
	for i := range 200 {
		crowd.Servers = append(crowd.Servers, dnstest.Server{Name: fmt.Sprintf("ns%d.example.test", i), Address: fmt.Sprintf("198.18.60.%d", i)})
	}
	crowded = append(crowded, crowd)
	for _, c := range []struct {
		name    string
		zones   []dnstest.Zone
		want    []string
		unready int
	}{
		{"both say the same", []dnstest.Zone{two(dnstest.Answers, "")}, nil, 0},
		{"answers are cut, and whole over TCP", []dnstest.Zone{two(dnstest.Cut, "")}, nil, 0},
		{"one lacks SPF", []dnstest.Zone{two(dnstest.Answers, strings.Replace(all, goodSPF, "", 1))}, []string{"yellow spf-partial", "yellow spf-unsure"}, 1},
		{"one lacks everything", []dnstest.Zone{two(dnstest.Answers, "x A 192.0.2.9")}, []string{"yellow dkim-partial", "yellow dkim-unsure", "yellow dkim2-partial", "yellow dkim2-unsure", "yellow dmarc-partial", "yellow dmarc-unsure",
			"yellow dmarc-alignment-unknown", "yellow domain-partial", "yellow domain-unsure", "yellow mx-partial", "yellow mx-unsure", "yellow spf-partial", "yellow spf-unsure"}, 4},
		{"one has two SPF records", []dnstest.Zone{two(dnstest.Answers, all+"\n@ TXT \"v=spf1 -all\"")}, []string{"red spf-two-records", "yellow spf-partial", "yellow spf-unsure"}, 1},
		{"another token beside ours at one", []dnstest.Zone{two(dnstest.Answers, all+"\n@ TXT \"google-site-verification=1\"")}, nil, 0},
		{"records of another name", []dnstest.Zone{two(dnstest.Stray, "")}, []string{"yellow dkim-partial", "yellow dkim-unsure", "yellow dkim2-partial", "yellow dkim2-unsure", "yellow dmarc-partial", "yellow dmarc-unsure",
			"yellow dmarc-alignment-unknown", "yellow domain-partial", "yellow domain-unsure", "yellow mx-partial", "yellow mx-unsure", "yellow spf-partial", "yellow spf-unsure"}, 4},
		{"no IPv6 here", []dnstest.Zone{without6}, nil, 0},
		{"no IPv6 here, and a server that has nothing else", []dnstest.Zone{only6}, []string{"yellow server-trouble"}, 0},
		{"the parent names fewer", []dnstest.Zone{delegated}, []string{"yellow zone-delegation-differs"}, 0},
		{"records in a zone that nobody asks", []dnstest.Zone{old}, []string{"yellow spf-partial", "yellow spf-unsure", "yellow zone-delegation-differs"}, 1},
		{"signatures are broken", []dnstest.Zone{bogus}, []string{"red dnssec-broken"}, 4},
		{"200 name servers", crowded, []string{"yellow dkim-unsure", "yellow dkim2-unsure", "yellow dmarc-alignment-unknown", "yellow dmarc-unsure", "yellow domain-unsure", "yellow mx-unsure", "yellow server-trouble", "yellow spf-unsure", "yellow zone-many-servers"}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := seenBy(t, Domain{Name: "example.test", Expected: expected()}, c.zones...)
			slices.Sort(c.want)
			if got := codes(r, Yellow); !slices.Equal(got, c.want) {
				t.Errorf("findings %v, want %v", got, c.want)
			}
			if got := unready(r); len(got) != c.unready {
				t.Errorf("not ready are %v, want %d", got, c.unready)
			}
			if len(r.Servers) > MaxServers+maxNames {
				t.Errorf("%d servers", len(r.Servers))
			}
			sound(t, r)
		})
	}
}

// A subdomain has its own records, and inherits DMARC alone.
func TestSubdomains(t *testing.T) {
	t.Parallel()
	parentOf := func(more string) dnstest.Zone { return dnstest.Zone{Name: "example.test", Records: all + more} }
	child := strings.NewReplacer("\n@", "\nmail", "_domainkey CNAME", "_domainkey.mail CNAME", "_dmarc", "_dmarc.mail").Replace(all)
	for _, c := range []struct {
		name  string
		zones []dnstest.Zone
		want  []string
		codes []string // green ones that must be there
	}{
		{"nothing at the subdomain", []dnstest.Zone{parentOf("")}, []string{"red dkim-missing", "red dmarc-unaligned", "red domain-at-parent", "red spf-missing"}, []string{"green dmarc-good"}},
		{"all in the zone of the parent", []dnstest.Zone{parentOf(child)}, nil, []string{"green domain-good", "green spf-good", "green dkim-good", "green dmarc-good"}},
		{"DMARC is inherited", []dnstest.Zone{parentOf(strings.Replace(child, "_dmarc.mail", "_dmarc.other", 1))}, nil, []string{"green dmarc-good"}},
		{"a zone of its own", []dnstest.Zone{parentOf(""), {Name: "mail.example.test", Records: all}}, nil, []string{"green spf-good"}},
		{"_domainkey is another zone", []dnstest.Zone{parentOf(strings.Replace(child, "_domainkey.mail", "_domainkey.gone", 2)),
			{Name: "_domainkey.mail.example.test", Records: strings.ReplaceAll(goodDKIM, "._domainkey CNAME", " CNAME")}}, nil, []string{"green dkim-good"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := seenBy(t, Domain{Name: "mail.example.test", Expected: expected()}, c.zones...)
			if got := codes(r, Yellow); !slices.Equal(got, c.want) {
				t.Errorf("findings %v, want %v", got, c.want)
			}
			for _, want := range c.codes {
				if got := codes(r, Green); !slices.Contains(got, want) {
					t.Errorf("%v lack %s", got, want)
				}
			}
		})
	}
}

// The same over real sockets: UDP, TCP where an answer is cut, a closed port.
func TestOverLoopback(t *testing.T) {
	t.Parallel()
	zone := two(dnstest.Cut, "")
	w := dnstest.New(t, append(others(), zone, dnstest.Zone{Name: "big.test", Records: all + "\n@ TXT" + strings.Repeat(` "`+strings.Repeat("x", 250)+`"`, 200)})...)
	w.Listen(t)
	a := New([]string{dnstest.Resolver}, w.Dial)
	for _, name := range []string{"example.test", "big.test"} {
		var r Report
		for range 3 { // a busy computer may let a packet wait too long
			if r = a.Check(t.Context(), Domain{Name: name, Expected: expected()}); r.Level() == Green {
				break
			}
		}
		if got := codes(r, Yellow); len(got) > 0 || len(r.Servers) != 2 {
			t.Errorf("%s: findings %v of %v", name, got, r.Servers)
		}
	}
	closed := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:1")
	}
	if r := New([]string{"127.0.0.1:1"}, closed).Check(t.Context(), Domain{Name: "example.test"}); r.Asked() || !slices.Equal(codes(r, Green), []string{"yellow resolver-silent"}) {
		t.Errorf("a closed port: %v", r.Findings)
	}
}

// What ctx ends is unknown.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := dnstest.New(t, append(others(), two(dnstest.Silent, ""))...)
		time.AfterFunc(QuestionTime/4, cancel)
		r := New([]string{dnstest.Resolver}, w.Dial).Check(ctx, Domain{Name: "example.test"})
		for _, f := range r.Findings {
			if f.Level != Yellow {
				t.Errorf("%s %s: %s", f.Level, f.Code, f.Sentence)
			}
		}
	})
}

func TestSystemNamesResolvers(t *testing.T) {
	t.Parallel()
	resolvers := System(t.Context())
	if _, err := os.Stat("/etc/resolv.conf"); err == nil && len(resolvers) == 0 {
		t.Error("no resolver is named")
	}
	for _, r := range resolvers {
		if _, _, err := net.SplitHostPort(r); err != nil {
			t.Errorf("%s: %v", r, err)
		}
	}
}

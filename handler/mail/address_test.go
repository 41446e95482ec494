package mail

import (
	"encoding/xml"
	"errors"
	"fmt"
	netmail "net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/posthorn/posthorn/handler/test/require"
)

func TestMailboxAccepts(t *testing.T) {
	t.Parallel()
	rows := []struct{ name, address, want string }{
		{"plain", "ada@example.com", "ada@example.com"},
		{"the local part keeps its case, the domain does not", "Ada.L@Example.COM", "Ada.L@example.com"},
		{"every mark of atext", atextMarks + "@example.com", atextMarks + "@example.com"},
		{"subaddress", "ada+news@example.com", "ada+news@example.com"},
		{"umlaut in the domain", "ada@Bücher.example", "ada@xn--bcher-kva.example"},
		{"sharp s is kept", "ada@straße.de", "ada@xn--strae-oqa.de"},
		{"A-label", "ada@XN--BCHER-KVA.example", "ada@xn--bcher-kva.example"},
		{"ideographic full stop", "ada@例え。jp", "ada@xn--r8jz45g.jp"},
		{"full-width letters", "ada@ｅｘample.com", "ada@example.com"},
		{"right to left domain", "ada@אתר.example", "ada@xn--4db2cf.example"},
		{"local part of 64 bytes", strings.Repeat("a", 64) + "@example.com", strings.Repeat("a", 64) + "@example.com"},
		{"label of 63 bytes", "a@" + strings.Repeat("b", 63) + ".com", "a@" + strings.Repeat("b", 63) + ".com"},
		{"in angle brackets", "<Ada@Example.com>", "Ada@example.com"},
		{"254 bytes", "aa@" + domainOf(251), "aa@" + domainOf(251)},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, err := Mailbox(row.address)
			if err != nil || got != row.want {
				t.Fatalf("Mailbox(%q) = %q, %v; want %q", row.address, got, err, row.want)
			}
		})
	}
}

func TestMailboxRefuses(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name, address string
		want          error
	}{
		{"empty", "", errAddressEmpty},
		{"255 bytes", "aaa@" + domainOf(251), errAddressLong},
		{"beyond what is worth reading", strings.Repeat("a", maxRawBytes) + "@example.com", errAddressLong},
		{"inner space", "ada lovelace@example.com", errSpace},
		{"line break with a header", "ada@example.com\r\nBcc: eve@example.com", errSpace},
		{"C1 control", "ada\u0085@example.com", errSpace},
		{"line separator", "ada@example.com\u2028", errSpace},
		{"no at", "ada.example.com", errNoAt},
		{"two ats", "ada@example.com@example.org", errTwoAts},
		{"name and brackets", "Ada<ada@example.com>", errNotBare},
		{"name, space and brackets", "Ada L. <ada@example.com>", errNotBare},
		{"brackets twice", "<<ada@example.com>>", errNotBare},
		{"semicolon", "ada@example.com;eve@example.com", errSemicolon},
		{"semicolon and space", "ada@example.com; eve@example.com", errSemicolon},
		{"brackets", "<ada@example.com", errNotBare},
		{"comment before the at", "ada(l)@example.com", errComment},
		{"comment after the at", "ada@(l)example.com", errComment},
		{"no local part", "@example.com", errLocalEmpty},
		{"local part of 65 bytes", strings.Repeat("a", 65) + "@example.com", errLocalLong},
		{"local part outside ASCII", "jürgen@example.com", errLocalUnicode},
		{"bidi control in the local part", "ada\u202e@example.com", errLocalUnicode},
		{"bad UTF-8 in the local part", "ada\xff@example.com", errLocalUnicode},
		{"quoted", `"ada"@example.com`, errLocalQuoted},
		{"leading dot", ".ada@example.com", errLocalDots},
		{"trailing dot", "ada.@example.com", errLocalDots},
		{"two dots", "ada..l@example.com", errLocalDots},
		{"comma", "ada,eve@example.com", errLocalChar},
		{"backslash", `ada\l@example.com`, errLocalChar},
		{"no domain", "ada@", errDomainEmpty},
		{"domain that maps to nothing", "ada@\u00ad", errDomainDots},
		{"label that maps to nothing", "ada@a.\u00ad.example", errDomainDots},
		{"root dot", "ada@example.com.", errDomainDots},
		{"root dot by mapping", "ada@example.com。", errDomainDots},
		{"domain of 254 bytes", "a@" + domainOf(254), errDomainLong},
		{"IPv4 literal", "ada@[192.0.2.1]", errDomainLiteral},
		{"IPv6 literal", "ada@[IPv6:2001:db8::1]", errDomainLiteral},
		{"bare IPv4", "ada@192.0.2.1", errDomainLiteral},
		{"full-width IPv4", "ada@１２７.0.0.１", errDomainLiteral},
		{"one label", "ada@localhost", errDomainOneLabel},
		{"leading hyphen", "ada@-example.com", errDomainHyphen},
		{"trailing hyphen", "ada@example-.com", errDomainHyphen},
		{"label of 64 bytes", "a@" + strings.Repeat("b", 64) + ".com", errLabelLong},
		{"label too long once it is an A-label", "a@" + strings.Repeat("ü", 60) + ".com", errLabelLong},
		{"underscore", "ada@exa_mple.com", errDomainName},
		{"slash", "ada@example/evil.com", errDomainName},
		{"percent", "ada@ex%61mple.com", errDomainName},
		{"colon", "ada@example.com:25", errDomainName},
		{"full-width at", "ada@evil.com＠example.com", errDomainName},
		{"bad Punycode", "ada@xn--a.example", errDomainName},
		{"Punycode of plain ASCII", "ada@xn--example-.com", errDomainName},
		{"reserved hyphens", "ada@ab--cd.com", errDomainName},
		{"bidi control in the domain", "ada@exam\u202eple.com", errDomainName},
		{"mixed directions in a label", "ada@aאb.example", errDomainName},
		{"mixed directions by mapping", "ada@aℵb.example", errDomainName},
		{"joiner without need", "ada@a\u200db.example", errDomainName},
		{"bad UTF-8 in the domain", "ada@exa\xffmple.com", errDomainName},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, err := Mailbox(row.address)
			if !errors.Is(err, row.want) || got != "" {
				t.Fatalf("Mailbox(%q) = %q, %v; want %q", row.address, got, err, row.want)
			}
		})
	}
}

// TestDomain holds the arms that an address cannot reach.
func TestDomain(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name, domain, want string
		err                error
	}{
		{"253 bytes", domainOf(253), domainOf(253), nil},
		{"254 bytes", domainOf(254), "", errDomainLong},
		{"beyond what is worth reading", strings.Repeat("\u00ad", maxRawBytes), "", errDomainLong},
		{"space", "exam ple.com", "", errDomainName},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, err := Domain(row.domain)
			if !errors.Is(err, row.err) || got != row.want {
				t.Fatalf("Domain = %q, %v; want %q, %v", got, err, row.want, row.err)
			}
		})
	}
}

// TestMailboxOnIsemail holds our verdict on each address of isemail's corpus:
// a line of testdata/isemail.golden has its id and "accept" or the reason.
func TestMailboxOnIsemail(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for _, test := range isemail(t) {
		_, err := Mailbox(test.address)
		word, known := reasons[err]
		if !known {
			t.Errorf("address %s: no word for the reason %v", test.id, err)
		}
		fmt.Fprintf(&got, "%s %s\n", test.id, word)
	}
	want, err := os.ReadFile(filepath.Join("testdata", "isemail.golden"))
	if err != nil {
		t.Fatal(err)
	}
	wantLines, gotLines := strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")
	if len(wantLines) != len(gotLines) {
		t.Fatalf("%d verdicts for %d addresses", len(wantLines), len(gotLines))
	}
	for i := range wantLines {
		if wantLines[i] != gotLines[i] {
			t.Errorf("verdict %q, want %q", gotLines[i], wantLines[i])
		}
	}
}

var reasons = map[error]string{
	nil:               "accept",
	errAddressEmpty:   "empty",
	errAddressLong:    "long",
	errSpace:          "space",
	errNoAt:           "no-at",
	errTwoAts:         "two-ats",
	errComment:        "comment",
	errLocalEmpty:     "no-local-part",
	errLocalLong:      "long-local-part",
	errLocalQuoted:    "quoted",
	errLocalDots:      "dots-in-local-part",
	errDomainEmpty:    "no-domain",
	errDomainLong:     "long-domain",
	errDomainLiteral:  "ip-address",
	errDomainOneLabel: "one-label",
	errDomainDots:     "dots-in-domain",
	errDomainHyphen:   "hyphen",
	errLabelLong:      "long-label",
	errDomainName:     "not-a-domain",
}

func TestPlainDomainsNeedNoMapping(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`(xn--|[a-z0-9-]{0,4}){0,3}[a-z0-9-]{0,70}(\.[a-z0-9-]{0,9}){0,40}`).Draw(t, "domain")
		if s == "" || !isPlain(s) {
			return
		}
		got, err := plain(s)
		want, wantErr := mapped(s)
		if got != want || !errors.Is(err, wantErr) {
			t.Fatalf("plain(%q) = %q, %v; mapped: %q, %v", s, got, err, want, wantErr)
		}
	})
}

func TestMailboxKeepsWhatItMade(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		local := rapid.StringMatching(`[a-zA-Z0-9!#$%&'*+/=?^_{|}~-]{1,8}(\.[a-zA-Z0-9-]{1,8}){0,3}`).Draw(t, "local")
		domain := rapid.StringMatching(`[a-zäöüß]{1,10}(\.[A-Za-z0-9]{1,10}){0,3}\.[a-z]{2,10}`).Draw(t, "domain")
		normal, err := Mailbox(local + "@" + domain)
		if err != nil {
			t.Fatal(err)
		}
		holdsForAccepted(t, normal)
	})
}

// TestMailboxOnEveryRune puts each character into a domain: whatever is
// accepted must be accepted again as the A-label that came of it. Past the first
// two planes there are only ideographs and tags.
func TestMailboxOnEveryRune(t *testing.T) {
	t.Parallel()
	for r := rune(0); r <= 0x1ffff; r++ {
		if normal, err := Mailbox("ada@b" + string(r) + "c.example"); err == nil {
			holdsForAccepted(t, normal)
		}
	}
}

func FuzzAddress(f *testing.F) {
	if require.HasCorpora() {
		for _, test := range isemail(f) {
			f.Add(test.address)
		}
	}
	f.Add("ada@bücher.example")
	f.Add("ada@XN--BCHER-KVA.example。")
	f.Fuzz(func(t *testing.T, address string) {
		normal, err := Mailbox(address)
		if err != nil {
			if normal != "" {
				t.Fatalf("refused, yet %q came back", normal)
			}
			return
		}
		holdsForAccepted(t, normal)
	})
}

func holdsForAccepted(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, normal string,
) {
	t.Helper()
	if len(normal) > MaxAddressBytes {
		t.Fatalf("%q has %d bytes", normal, len(normal))
	}
	again, err := Mailbox(normal)
	if err != nil || again != normal {
		t.Fatalf("Mailbox(%q) = %q, %v", normal, again, err)
	}
	parsed, err := netmail.ParseAddress(normal)
	if err != nil || parsed.Address != normal || parsed.Name != "" {
		t.Fatalf("net/mail reads %q as %v, %v", normal, parsed, err)
	}
}

// domainOf makes a domain of n bytes, n > 200, out of long labels.
func domainOf(n int) string {
	label := strings.Repeat("d", maxLabelBytes) + "."
	return strings.Repeat(label, 3) + strings.Repeat("e", n-3*len(label)-4) + ".com"
}

type isemailTest struct{ id, address string }

// isemail reads the corpus, in which U+2400+n stands for the control n.
func isemail(tb testing.TB) []isemailTest {
	tb.Helper()
	data, err := os.ReadFile(require.Corpus(tb, "isemail", "test", "tests.xml"))
	if err != nil {
		tb.Fatal(err)
	}
	var file struct {
		Tests []struct {
			ID      string `xml:"id,attr"`
			Address string `xml:"address"`
		} `xml:"test"`
	}
	if err := xml.Unmarshal(data, &file); err != nil {
		tb.Fatal(err)
	}
	tests := make([]isemailTest, 0, len(file.Tests))
	for _, test := range file.Tests {
		address := strings.Map(func(r rune) rune {
			if 0x2400 <= r && r < 0x2420 {
				return r - 0x2400
			}
			return r
		}, test.Address)
		tests = append(tests, isemailTest{test.ID, address})
	}
	return tests
}

func TestTheDomainsOfAMessageAreNamedOnce(t *testing.T) {
	t.Parallel()
	r := Recipients{
		To: []Address{{Address: "b@example.net"}, {Address: "a@example.com"}},
		CC: []Address{{Address: "c@example.com"}}, BCC: []Address{{Address: "d@example.org"}},
	}
	if got, want := r.Domains(), []string{"example.com", "example.net", "example.org"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

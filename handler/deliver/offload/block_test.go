package offload

import (
	"flag"
	"mime"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/test/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden holds got against testdata/name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("not %s, but\n%s", path, got)
	}
}

func TestBlockGolden(t *testing.T) {
	t.Parallel()
	for _, language := range []string{"en", "de"} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			m := message(
				placed(mail.PlacementLink, attached("Quarterly report.pdf", 12_582_912)),
				placed(mail.PlacementLink, attached("Fotos <Müller & Söhne>.zip", 48_300)),
				placed(mail.PlacementLink, attached("note.txt", 7)),
			)
			m.Content.PlainText = "Hello,\n\nhere is the report.\n"
			m.Content.HTML = "<!DOCTYPE html>\n<html>\n<body>\n<p>Hello,</p>\n<p>here is the report.</p>\n</body>\n</html>\n"
			m.Language = language
			newSetting().plan(t, m, 1<<20)
			golden(t, "block."+language+".golden.html", m.Content.HTML)
			golden(t, "block."+language+".golden.txt", m.Content.PlainText)
		})
	}
}

func TestBlockGoesIntoTheBodiesThereAre(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		html, text string
	}{{"both", "<p>Hello</p>", "Hello"}, {"HTML only", "<p>Hello</p>", ""}, {"text only", "", "Hello"}, {"none", "", ""}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := message(placed(mail.PlacementLink, attached("a.pdf", 5)))
			m.Content.HTML, m.Content.PlainText = tt.html, tt.text
			link := newSetting().plan(t, m, 1<<20).Links()[0].URL
			for body, was := range map[string]string{m.Content.HTML: tt.html, m.Content.PlainText: tt.text} {
				if !strings.HasPrefix(body, was) || strings.Contains(body, link) != (was != "") {
					t.Errorf("%q became %q", was, body)
				}
			}
		})
	}
}

func TestLanguage(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, wish, fallback, want string }{
		{"as wished", "de", "en", "de"},
		{"a region of it", "de-CH", "en", "de"},
		{"the fallback for one unknown", "fr", "de", "de"},
		{"the fallback for none", "", "de", "de"},
		{"English for nothing", "", "", "en"},
		{"English for two unknown", "ja", "fr", "en"},
		{"nonsense is no wish", "!!", "de", "de"},
		{"a browser's list", "fr-FR,de;q=0.8,en;q=0.5", "en", "de"},
		{"a list that takes long to read", strings.Repeat("de;q=0.5,", 3000), "en", "en"},
		{"a hostile list", strings.Repeat("a-", 100_000), "de", "de"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := localeFor(tt.wish, tt.fallback).tag.String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestEveryLocaleIsComplete(t *testing.T) {
	t.Parallel()
	for _, l := range locales {
		t.Run(l.tag.String(), func(t *testing.T) {
			t.Parallel()
			if l.heading == "" || l.button == "" || l.decimal == "" || strings.Count(l.until, "%s") != 1 {
				t.Error("a phrase is missing")
			}
			seen := map[string]bool{}
			for month := range l.months {
				said := l.availableUntil(time.Date(2031, time.Month(month+1), 27, 16, 45, 0, 0, time.UTC))
				for _, part := range []string{"2031", "27", l.months[month], "45", "UTC"} {
					if part == "" || !strings.Contains(said, part) {
						t.Errorf("%q lacks %q", said, part)
					}
				}
				seen[said] = true
			}
			if len(seen) != 12 {
				t.Errorf("%d different months", len(seen))
			}
			if len(l.pages) != len(locales[0].pages) {
				t.Errorf("%d pages, want %d", len(l.pages), len(locales[0].pages))
			}
			for kind, page := range l.pages {
				if _, ok := locales[0].pages[kind]; !ok || page.Title == "" || page.Text == "" {
					t.Errorf("page %v: %+v", kind, page)
				}
			}
		})
	}
}

func TestSizeForPeople(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0 B", 1: "1 B", 999: "999 B", 1000: "1.0 kB", 1049: "1.0 kB", 1050: "1.1 kB",
		999_949: "999.9 kB", 999_950: "1.0 MB", 12_582_912: "12.6 MB", 999_950_000: "1.0 GB",
		195 << 30: "209.4 GB", 190 << 40: "208.9 TB", 5_000_000_000_000_000: "5000.0 TB",
	} {
		if got := localeFor("en").size(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
	if got := localeFor("de").size(12_582_912); got != "12,6 MB" {
		t.Errorf("German: got %s", got)
	}
}

func TestEndOfBody(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, html string }{ // | is where the block goes
		{"before the end tag", "<body><p>x</p>|</body></html>"},
		{"in any case and with space", "<BODY>x|</BoDy  ></HTML>"},
		{"at the end without one", "<p>x</p>|"},
		{"in nothing", "|"},
		{"the last of two", "<body>a</body>b|</body>c"},
		{"not in a comment", "<body>x|</body><!-- </body> -->"},
		{"not in Outlook's comment", "<body>x|</body><!--[if mso]></body><![endif]-->"},
		{"only in a comment", "x<!-- </body> -->y|"},
		{"not in an attribute", `<p title="</body>">x</p>|`},
		{"not in a script", "<script>'</body>'</script>x|"},
		{"not in a style", "x|</body><style></body></style>"},
		{"not of another name", "x</bodyguard>y|"},
		{"before a comment never closed", "<p>x</p>|<!-- y"},
		{"before a tag never closed", `<p>x</p>|<a href="y`},
		{"before an end tag never closed", "<p>x</p>|</body"},
		{"an end tag counts though a comment stays open", "<p>x</p>|</body><!-- y"},
		{"with bytes that are no UTF-8", "\xff\x00é|</body>"},
		{"with line ends of any kind", "a\r\nb\rc|</body>\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before, after, _ := strings.Cut(tt.html, "|")
			if got := endOfBody(before + after); got != len(before) {
				t.Errorf("at %d, want %d", got, len(before))
			}
		})
	}
}

func FuzzEndOfBody(f *testing.F) {
	f.Add("<body>x</body><!-- </body>")
	f.Add("<p title=\"</body>\"")
	f.Fuzz(func(t *testing.T, document string) {
		end := endOfBody(document)
		if end < 0 || end > len(document) {
			t.Fatalf("%d of %d", end, len(document))
		}
		if rest := document[end:]; rest != "" && rest[0] != '<' {
			t.Fatalf("in the middle of text, before %q", rest)
		}
	})
}

// anchors returns the text and address of every link in a document.
func anchors(t *testing.T, document string) (texts, addresses []string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "a":
			var text strings.Builder
			for d := range n.Descendants() {
				text.WriteString(d.Data)
			}
			texts = append(texts, text.String())
			for _, a := range n.Attr {
				if a.Key == "href" {
					addresses = append(addresses, a.Val)
				}
			}
		case "html", "head", "body", "p", "table", "tbody", "tr", "td", "strong", "br", "small":
		default:
			t.Errorf("element %s", n.Data)
		}
	}
	return texts, addresses
}

// hostileNames are those that once broke something, and where it is there the
// Big List of Naughty Strings.
func hostileNames(t *testing.T) []string {
	t.Helper()
	names := []string{
		"", " ", "</a><a href=http://evil.example>x</a>", `"><script>alert(1)</script>`, "</table></body></html>",
		"javascript:alert(1)", "{{.URL}}", "<!--", "a\r\nBcc: x@evil.example", "a\nhttps://evil.example/", "a\u2028b",
		"invoice\u202efdp.exe", "\xff\xfe", "\x00", "%0d%0a", `quote".pdf`, `back\slash`, "a;b=c", "файл.pdf", "naïve ☃ 😀.txt",
		"می\u200cخواهم.pdf", strings.Repeat("x", 255), strings.Repeat("é", 127),
	}
	if !require.HasCorpora() {
		t.Log("there are no corpora here: only our own names are tried")
		return names
	}
	return append(names, require.NaughtyStrings(t)...)
}

func TestHostileNames(t *testing.T) {
	t.Parallel()
	s := newSetting()
	for _, name := range hostileNames(t) {
		m := message(placed(mail.PlacementLink, attached("first.pdf", 5)), placed(mail.PlacementLink, attached(name, 6)))
		linesBefore := strings.Count(m.Content.PlainText, "\n")
		links := s.plan(t, m, 1<<20).Links()
		texts, addresses := anchors(t, m.Content.HTML)
		if len(texts) != 2 || len(addresses) != 2 || texts[1] != plainName(name) {
			t.Errorf("%q: links %q to %q", name, texts, addresses)
			continue
		}
		for i, l := range links {
			if addresses[i] != l.URL {
				t.Errorf("%q: %s became %s", name, l.URL, addresses[i])
			}
			if !strings.Contains(m.Content.PlainText, "\n"+l.URL+"\n") {
				t.Errorf("%q: text without %s", name, l.URL)
			}
		}
		if n := strings.Count(m.Content.PlainText, "\n") - linesBefore; n != 9 {
			t.Errorf("%q: %d lines, want 9", name, n)
		}
		if links[1].Name != name {
			t.Errorf("%q: the answer calls it %q", name, links[1].Name)
		}
	}
}

func TestAddressesStayAsTheyAre(t *testing.T) {
	t.Parallel()
	const address = "https://a.blob.core.windows.net/c/moved/x?se=2026-11-23T12%3A00%3A00Z&sig=a%2Fb%2Bc%3D&rscd=attachment%3B%20filename%3D%22x%22"
	b, err := newBlock(localeFor("en"), []file{{link: mail.Link{Name: "x", URL: address}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, got := anchors(t, b.html); len(got) != 1 || got[0] != address {
		t.Errorf("HTML: %q", got)
	}
	if !strings.Contains(b.text, "\n"+address+"\n") {
		t.Errorf("text: %q", b.text)
	}
}

func TestHostileDispositions(t *testing.T) {
	t.Parallel()
	for _, name := range hostileNames(t) {
		d := disposition(name)
		if strings.ContainsFunc(d, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q: not a header: %q", name, d)
		}
		kind, params, err := mime.ParseMediaType(d)
		if err != nil || kind != "attachment" || len(params) != 1 || params["filename"] != plainName(name) {
			t.Errorf("%q: %q is %s %v, %v", name, d, kind, params, err)
		}
	}
}

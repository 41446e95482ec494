package offload

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

func TestPageGolden(t *testing.T) {
	t.Parallel()
	for _, l := range locales {
		for kind := range l.pages {
			t.Run(l.tag.String()+" "+kind.Slug(), func(t *testing.T) {
				t.Parallel()
				page, language := Page(kind, l.tag.String(), "")
				if language != l.tag.String() {
					t.Errorf("language %s", language)
				}
				golden(t, "page."+kind.Slug()+"."+language+".golden.html", string(page))
			})
		}
		t.Run(l.tag.String()+" files", func(t *testing.T) {
			t.Parallel()
			opened := threeLinked(t, newSetting(), "", l.tag.String())
			if opened.Language != l.tag.String() || opened.Location != "" {
				t.Errorf("language %s, location %q", opened.Language, opened.Location)
			}
			golden(t, "page.files."+opened.Language+".golden.html", string(opened.Page))
		})
	}
}

// threeLinked is the page of a message in one language, for a browser in another.
func threeLinked(t *testing.T, s *setting, language, accept string) Opened {
	t.Helper()
	m := message(
		placed(mail.PlacementLink, attached("Quarterly report.pdf", 1_258_291)),
		placed(mail.PlacementLink, attached("Fotos <Müller & Söhne>.zip", 48_300)),
		placed(mail.PlacementLink, attached("note.txt", 7)),
	)
	m.Language = language
	opened, err := s.Open(t.Context(), commit(t, s.plan(t, m, 1<<20)).token, 0, accept)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

func TestPageForEveryKind(t *testing.T) {
	t.Parallel()
	away, _ := Page(problem.Unavailable, "", "de")
	for _, kind := range problem.Kinds() {
		page, language := Page(kind, "de-AT,en;q=0.5", "en")
		if language != "de" {
			t.Errorf("%v: language %s, want de", kind, language)
		}
		own := kind == problem.Gone || kind == problem.NotFound
		if bytes.Equal(page, away) == own {
			t.Errorf("%v: a page of its own: %t, want %t", kind, !own, own)
		}
	}
}

func TestLanguageOfThePageOfFiles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, message, browser, fallback, want string }{
		{"the browser's", "de", "en-GB", "de", "en"},
		{"else the message's", "de", "fr", "en", "de"},
		{"else the deployment's", "fr", "fr", "de", "de"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSetting(func(c *Config) { c.DefaultLanguage = tt.fallback })
			if got := threeLinked(t, s, tt.message, tt.browser).Language; got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestPagesAreQuiet(t *testing.T) {
	t.Parallel()
	notice, _ := Page(problem.Gone, "", "")
	for name, page := range map[string][]byte{"notice": notice, "files": threeLinked(t, newSetting(), "", "").Page} {
		root, err := html.Parse(bytes.NewReader(page))
		if err != nil {
			t.Fatal(err)
		}
		var metas []string
		for n := range root.Descendants() {
			if slices.Contains([]string{"script", "img", "link", "iframe", "form"}, n.Data) || name == "notice" && n.Data == "a" {
				t.Errorf("%s: element %s", name, n.Data)
			}
			for _, a := range n.Attr {
				if n.Data == "meta" && a.Key == "content" {
					metas = append(metas, a.Val)
				}
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
					t.Errorf("%s: attribute %s", name, a.Key)
				}
			}
		}
		if all := strings.Join(metas, "; "); !strings.Contains(all, "noindex") || !strings.Contains(all, "width=device-width") {
			t.Errorf("%s: meta: %s", name, all)
		}
	}
}

// TestPageListsHostileNames: whatever a file is called, there is one button for
// it, which leads to it and is named after it for those who hear the page.
func TestPageListsHostileNames(t *testing.T) {
	t.Parallel()
	s := newSetting()
	for _, name := range hostileNames(t) {
		all := []linked{{Name: "first.pdf", Size: 1}, {Name: name, Size: 2}}
		opened := s.list("20261223-abcdefghijklmnopqrstuvwxyz", all, noon.Add(time.Hour), locales[0])
		root, err := html.Parse(bytes.NewReader(opened.Page))
		if err != nil {
			t.Fatal(err)
		}
		texts, buttons := map[string]string{}, []map[string]string{}
		for n := range root.Descendants() {
			attributes := map[string]string{}
			for _, a := range n.Attr {
				attributes[a.Key] = a.Val
			}
			if n.Data == "a" && n.Type == html.ElementNode {
				buttons = append(buttons, attributes)
			}
			if id := attributes["id"]; id != "" {
				var text strings.Builder
				for d := range n.Descendants() {
					if d.Type == html.TextNode {
						text.WriteString(d.Data)
					}
				}
				texts[id] = text.String()
			}
		}
		if len(buttons) != 2 || buttons[1]["href"] != "https://mail.example.com/files/20261223-abcdefghijklmnopqrstuvwxyz/2" {
			t.Errorf("%q: buttons %v", name, buttons)
			continue
		}
		button, file, _ := strings.Cut(buttons[1]["aria-labelledby"], " ")
		if texts[button] != "Download" || texts[file] != plainName(name) {
			t.Errorf("%q: button called %q %q", name, texts[button], texts[file])
		}
	}
}

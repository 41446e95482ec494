package offload

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

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
	}
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

func TestPageIsQuiet(t *testing.T) {
	t.Parallel()
	page, _ := Page(problem.Gone, "", "")
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var metas []string
	for n := range root.Descendants() {
		if slices.Contains([]string{"script", "img", "link", "iframe", "a", "form"}, n.Data) {
			t.Errorf("element %s", n.Data)
		}
		for _, a := range n.Attr {
			if n.Data == "meta" && a.Key == "content" {
				metas = append(metas, a.Val)
			}
		}
	}
	if all := strings.Join(metas, "; "); !strings.Contains(all, "noindex") || !strings.Contains(all, "width=device-width") {
		t.Errorf("meta: %s", all)
	}
}

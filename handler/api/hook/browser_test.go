// What drives a browser is sixty packages, which `make check` need not compile twice.

//go:build !race

package hook

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/posthorn/posthorn/handler/local/browsertest"
)

// seen is what a reader with a phone has before the eyes.
type seen struct {
	Text    string `json:"text"`
	TooWide bool   `json:"tooWide"`
	Scripts int    `json:"scripts"`
	Loads   int    `json:"loads"` // what is fetched beside the page
}

const look = `(() => ({ text: document.body.innerText, tooWide: document.documentElement.scrollWidth > window.innerWidth,
	scripts: document.scripts.length, 
	loads: performance.getEntriesByType('resource').filter(e => !e.name.endsWith('/favicon.ico')).length }))()`

// Each built-in message fits on a phone, shows what matters, and loads nothing.
func TestMessagesInABrowser(t *testing.T) {
	t.Parallel()
	ctx := browsertest.Open(t, 390, 800)
	pages := map[string]string{}
	for _, s := range samples {
		all, err := s.hook().Messages(t.Context(), s.delivery(t))
		if err != nil {
			t.Fatal(err)
		}
		pages["/"+s.file] = all[0].Content.HTML
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(pages[r.URL.Path]))
	}))
	defer server.Close()
	for _, s := range samples {
		address, err := url.JoinPath(server.URL, s.file)
		if err != nil {
			t.Fatal(err)
		}
		if err := chromedp.Do(ctx, chromedp.Navigate(address)); err != nil {
			t.Fatal(err)
		}
		page, err := chromedp.Run(ctx, chromedp.Evaluate[seen](look))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range s.says {
			if !strings.Contains(strings.ToLower(page.Text), strings.ToLower(want)) {
				t.Errorf("%s: %q is not to be seen", s.file, want)
			}
		}
		if page.TooWide || page.Scripts != 0 || page.Loads != 0 {
			t.Errorf("%s: too wide %t, %d scripts, %d fetched", s.file, page.TooWide, page.Scripts, page.Loads)
		}
	}
}

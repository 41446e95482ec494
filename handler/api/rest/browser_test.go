// What drives a browser is sixty packages, which `make check` need not compile twice.

//go:build !race

package rest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/posthorn/posthorn/handler/local/browsertest"
)

// seen is what a recipient has before the eyes.
type seen struct {
	Language string   `json:"language"`
	Text     string   `json:"text"`
	Buttons  []string `json:"buttons"` // where they lead
	Heights  []int    `json:"heights"` // of the buttons
	TooWide  bool     `json:"tooWide"`
	Scripts  int      `json:"scripts"`
}

const look = `(() => { const all = [...document.querySelectorAll('a')]; return {
	language: document.documentElement.lang, text: document.body.innerText,
	buttons: all.map(a => a.pathname), heights: all.map(a => Math.floor(a.getBoundingClientRect().height)),
	tooWide: document.documentElement.scrollWidth > window.innerWidth, scripts: document.scripts.length } })()`

// A recipient with a phone opens the page of a message with two files, reads what
// they are, and presses the second button.
func TestTheDownloadPageInABrowser(t *testing.T) {
	t.Parallel()
	ctx := browsertest.Open(t, 390, 700)
	d := newDeployment(t, plenty)
	message := strings.Replace(twoFiles(), `{"senderAddress"`, `{"headers":{"Content-Language":"de"},"senderAddress"`, 1)
	d.do(t, d.request(t, "POST", "/emails:send", message))
	_, after, _ := strings.Cut(d.ACS.Sent[0].Content.PlainText, "/files/")
	token, _, _ := strings.Cut(strings.Fields(after)[0], "/")

	if err := chromedp.Do(ctx, chromedp.Navigate(d.server.URL+"/files/"+token)); err != nil {
		t.Fatal(err)
	}
	page, err := chromedp.Run(ctx, chromedp.Evaluate[seen](look))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a.txt", "b.txt", "8 B"} {
		if !strings.Contains(page.Text, want) {
			t.Errorf("%q is not on the page: %s", want, page.Text)
		}
	}
	// The browser of the test asks for English, which goes before the message's.
	if page.Language != "en" || page.TooWide || page.Scripts != 0 || len(page.Buttons) != 2 {
		t.Fatalf("the page is %+v", page)
	}
	for _, height := range page.Heights {
		if height < 40 {
			t.Errorf("a button is %d pixels high, too little for a thumb", height)
		}
	}
	if res := d.do(t, d.request(t, "GET", page.Buttons[1], "", "Authorization", "")); res.StatusCode != http.StatusFound {
		t.Errorf("the second button: %d %s", res.StatusCode, res.text)
	}
}

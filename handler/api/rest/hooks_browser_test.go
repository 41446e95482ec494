// What drives a browser is sixty packages, which `make check` need not compile twice.

//go:build !race

package rest_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/posthorn/posthorn/handler/api/hook"
	"github.com/posthorn/posthorn/handler/local/browsertest"
)

// snippet is the first block of a page of the documentation in a language, after a
// heading.
func snippet(t *testing.T, page, after, language string) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/clients/" + page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), after)
	_, rest, fenced := strings.Cut(rest, "```"+language+"\n")
	code, _, closed := strings.Cut(rest, "```")
	if !ok || !fenced || !closed {
		t.Fatalf("%s has no %s after %q", page, language, after)
	}
	return code
}

// The static page of the documentation, on a site of its own: a person fills in
// the form and presses its button.
func TestAContactFormInABrowser(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, heading string
		redirect      bool
		shows         string
	}{
		{"a plain form", "## The form", false, "Your message was sent."},
		{"a plain form that leads on", "## The form", true, "You are on the page of thanks."},
		{"a form that is sent by a script", "## Without leaving the page", false, "Thank you, your message was sent."},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx := browsertest.Open(t, 800, 900)
			d := newDeployment(t, plenty)
			code := strings.ReplaceAll(snippet(t, "forms.md", c.heading, "html"), "https://posthorn.example.com", d.server.URL)
			static := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				if r.URL.Path == "/thanks" {
					code = "<p>You are on the page of thanks.</p>"
				}
				_, _ = w.Write([]byte("<!DOCTYPE html><title>Contact</title><body>" + code))
			}))
			t.Cleanup(static.Close)
			d.hooked(t, "contact", "form", asForm(static.URL), func(p *hook.Policy) {
				if c.redirect {
					p.Form.Redirect = static.URL + "/thanks"
				}
			})
			err := chromedp.Do(ctx,
				chromedp.Navigate(static.URL+"/contact"),
				chromedp.SendKeys(`[name=name]`, "Ann"),
				chromedp.SendKeys(`[name=email]`, "ann@example.com"),
				chromedp.SendKeys(`[name=message]`, "Hello <b>there</b>"),
				chromedp.Click(`button`),
				chromedp.WaitVisible(`//*[text()="`+c.shows+`"]`),
			)
			if err != nil {
				t.Fatal(err)
			}
			if len(d.ACS.Sent) != 1 {
				t.Fatalf("%d messages were sent", len(d.ACS.Sent))
			}
			m := d.ACS.Sent[0]
			if m.ReplyTo[0].Address != "ann@example.com" || !strings.HasPrefix(m.Content.PlainText, "name: Ann\nemail: ann@example.com\nmessage: Hello <b>there</b>\n") {
				t.Errorf("sent %+v", m)
			}
		})
	}
}

// What drives a browser is sixty packages, which `make check` need not compile twice.

//go:build !race

package inbox

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/posthorn/posthorn/handler/local/browsertest"
)

// site serves an inbox and remembers the paths that were asked for.
type site struct {
	*Inbox
	url string

	mu    sync.Mutex
	paths []string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{Inbox: newTest(t, Config{})}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.paths = append(s.paths, r.Method+" "+r.URL.Path)
		s.mu.Unlock()
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(s.Close) // before server.Close, which waits for event streams
	s.url = server.URL
	return s
}

func (s *site) asked(part string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(strings.Join(s.paths, "\n"), part)
}

func run(ctx context.Context, t *testing.T, what string, steps ...step) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// step is something done in a browser.
type step = chromedp.Action[chromedp.Void]

// until waits for a condition in the page.
func until(condition string) step {
	return chromedp.Poll[chromedp.Void](condition, chromedp.WithPollingTimeout(15*time.Second))
}

const (
	logoSVG   = `<svg xmlns="http://www.w3.org/2000/svg" width="132" height="36"><rect width="132" height="36" rx="8" fill="#24466b"/><text x="18" y="24" fill="#fff" font-family="sans-serif" font-size="16" font-weight="600">Northwind</text></svg>`
	orderHTML = `<!doctype html><body style="margin:0;background:#f3f4f6;font-family:Helvetica,Arial,sans-serif;color:#1f2933"><div style="max-width:520px;margin:28px auto;background:#fff;border-radius:10px;padding:28px 32px"><img src="cid:logo" alt="Northwind"><h2 style="margin:22px 0 8px">Your order is on its way</h2><p style="line-height:1.55">Hello Ann, we packed your order this morning. It should be with you by Thursday.</p><p style="margin:24px 0"><a href="https://example.com/track" style="background:#24466b;color:#fff;padding:11px 20px;border-radius:7px;text-decoration:none">Track the parcel</a></p><p style="color:#7b8794;font-size:13px">Order 10-4471. The invoice is attached.</p></div></body>`
)

func addSamples(t *testing.T, s *site) {
	t.Helper()
	at := time.Now().Add(-40 * time.Minute)
	for i, l := range []struct{ id, to, name, subject, text, html, files string }{
		{id: "report", to: "ben@example.org", name: "Ben Okafor", subject: "Your weekly report is ready", text: "Hello Ben, the report for week 47 is ready. Visits are up by 12 %."},
		{id: "reset", to: "carla@example.net", subject: "Reset your password", text: "Somebody asked for a new password. The link works for 30 minutes."},
		{id: "minutes", to: "team@example.com", name: "Product team", subject: "Minutes of Monday’s meeting", text: "Dear all, the minutes are attached.", files: file("minutes.pdf", "application/pdf", "", "%PDF-1.4 minutes")},
		{id: "order", to: "ann@example.com", name: "Ann Becker", subject: "Your order is on its way", text: "Hello Ann, we packed your order this morning. It should be with you by Thursday.",
			html: orderHTML, files: file("logo.svg", "image/svg+xml", "logo", logoSVG) + "," + file("invoice-10-4471.pdf", "application/pdf", "", "%PDF-1.4 invoice")},
	} {
		request := strings.Replace(string(message{to: l.to, subject: l.subject, text: l.text, html: l.html, files: []string{l.files}}.request()), "Ann Becker", l.name, 1)
		if err := s.Add(l.id, at.Add(time.Duration(i)*11*time.Minute), []byte(request)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBrowser(t *testing.T) {
	ctx := browsertest.Open(t, 1280, 800)
	s := newSite(t)
	addSamples(t, s)

	run(ctx, t, "list", chromedp.Navigate(s.url), until(`document.querySelectorAll('#list li').length === 4`), until(`!!document.querySelector('.live.on')`))
	run(ctx, t, "open", chromedp.Click(`[data-id=order]`), until(`document.querySelector('#message h1')?.textContent === 'Your order is on its way'`),
		until(`location.pathname === '/messages/order'`))
	for !s.asked("GET /api/messages/order/attachments/0") {
		run(ctx, t, "inline image", chromedp.Sleep(10*time.Millisecond))
	}
	if os.Getenv("POSTHORN_UPDATE_IMAGES") == "1" {
		shoot(ctx, t, "../../../docs/images/inbox.png")
	}

	run(ctx, t, "search", chromedp.SendKeys(`.search input`, "okafor"), until(`document.querySelectorAll('#list li').length === 1`),
		until(`location.search === '?q=okafor'`), until(`document.querySelector('#list .subject').textContent === 'Your weekly report is ready'`))
	run(ctx, t, "end of search", chromedp.Click(`.home`), until(`document.querySelectorAll('#list li').length === 4`))

	add(t, s.Inbox, "fresh", message{to: "eva@example.com", subject: "Just now", text: "Fresh"})
	run(ctx, t, "live", until(`document.querySelector('#list li .subject').textContent === 'Just now'`))

	run(ctx, t, "keys", chromedp.KeyEvent("j"), until(`document.querySelector('#message h1')?.textContent === 'Just now'`),
		chromedp.KeyEvent("j"), until(`document.querySelector('#message h1')?.textContent === 'Your order is on its way'`),
		chromedp.KeyEvent("4"), until(`document.querySelectorAll('.files li').length === 2`),
		chromedp.KeyEvent("k"), until(`document.querySelector('#message h1')?.textContent === 'Just now'`),
		chromedp.KeyEvent("?"), until(`document.querySelector('#help').open`), chromedp.KeyEvent(kb.Escape), until(`!document.querySelector('#help').open`),
		chromedp.KeyEvent("#"), until(`document.querySelectorAll('#list li').length === 4`),
		until(`document.querySelector('#message h1')?.textContent === 'Your order is on its way'`),
		slash(), until(`document.activeElement.name === 'q'`))
	if got := ids(t, s.Inbox, ""); got != "order minutes reset report" {
		t.Errorf("left %s", got)
	}

	// By key: for a moment the browser may send a click on a dialog that has just
	// opened to the frame beneath it.
	run(ctx, t, "delete all", chromedp.Click(`[data-do=delete-all]`), until(`document.querySelector('#sure').open`),
		chromedp.KeyEvent(kb.Tab), until(`document.activeElement.value === 'yes'`), chromedp.KeyEvent(kb.Enter),
		until(`document.querySelector('#message h1').textContent === 'Nothing has been sent yet'`))
}

func TestBrowserDownload(t *testing.T) {
	ctx := browsertest.Open(t, 390, 844)
	s := newSite(t)
	addSamples(t, s)
	dir := t.TempDir()
	run(ctx, t, "attachments on a phone",
		chromedp.Navigate(s.url), chromedp.Click(`[data-id=order]`), until(`document.querySelector('#message h1')?.textContent === 'Your order is on its way'`),
		chromedp.Click(`//a[contains(., 'Attachments')]`), until(`document.querySelectorAll('.files li').length === 2`))
	events := true
	if _, err := chromedp.Call(ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllowAndName, DownloadPath: dir, EventsEnabled: &events,
	}); err != nil {
		t.Fatal(err)
	}
	completed := func(p browser.EventDownloadProgress) bool { return p.State == browser.DownloadProgressStateCompleted }
	done, err := chromedp.Run(ctx, chromedp.WaitEvent(browser.DownloadProgress, completed, chromedp.Click(`.files li:nth-child(2) .button`)))
	if err != nil {
		t.Fatal("nothing was downloaded: ", err)
	}
	got, err := os.ReadFile(filepath.Join(dir, done.GUID))
	if err != nil || string(got) != "%PDF-1.4 invoice" {
		t.Errorf("downloaded %q, %v", got, err)
	}
	run(ctx, t, "back to the list", chromedp.Click(`.back`), until(`document.querySelector('#list').offsetWidth > 300 && document.querySelector('#message').offsetWidth === 0`))
}

// Whatever a message holds, none of it runs: not in the page, not in the frame,
// not when the HTML is opened by itself.
func TestBrowserRunsNothing(t *testing.T) {
	ctx := browsertest.Open(t, 1280, 800)
	s := newSite(t)
	attack := `"><script>fetch('/ran')</script><img src=x onerror="fetch('/ran');new Image().src='/ran'"><svg onload="location='/ran'"></svg>` +
		`<iframe src="javascript:top.location='/ran'"></iframe><meta http-equiv=refresh content="0;url=javascript:fetch('/ran')"><form action=/ran><input autofocus onfocus="this.form.submit()"></form>`
	add(t, s.Inbox, "evil", message{from: attack, to: attack, subject: attack, text: attack, html: attack + `<img src="` + s.url + `/shown">`,
		files: []string{file(attack, "image/svg+xml", attack, `<svg xmlns="http://www.w3.org/2000/svg" onload="fetch('/ran')"><script>fetch('/ran')</script></svg>`)}})
	for _, path := range []string{"/", "/messages/evil?tab=text", "/messages/evil?tab=headers", "/messages/evil?tab=attachments", "/messages/evil?tab=raw", "/messages/evil", "/messages/evil/html"} {
		s.mu.Lock()
		s.paths = nil
		s.mu.Unlock()
		run(ctx, t, path, chromedp.Navigate(s.url+path), chromedp.WaitReady("body"))
		// The picture at the end of the HTML proves that all before it was met.
		for framed := path == "/messages/evil" || path == "/messages/evil/html"; framed && !s.asked("/shown"); {
			run(ctx, t, path, chromedp.Sleep(10*time.Millisecond))
		}
		where, err := chromedp.Run(ctx, chromedp.Location())
		if s.asked("/ran") || where != s.url+path || err != nil {
			t.Errorf("%s: a message ran something; the browser is at %s, %v", path, where, err)
		}
	}
}

// slash presses / for the page's script only: DevTools would write it into the
// search field too, which a browser does not once the key is taken.
func slash() step {
	return chromedp.Evaluate[chromedp.Void](`void document.body.dispatchEvent(new KeyboardEvent('keydown', {key: '/', bubbles: true}))`)
}

// shoot writes a picture of the page.
func shoot(ctx context.Context, t *testing.T, path string) {
	t.Helper()
	// Nothing tells when a frame of another origin has been painted.
	run(ctx, t, "paint", chromedp.Sleep(time.Second))
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, picture, 0o644); err != nil {
		t.Fatal(err)
	}
}

package inbox

import (
	"strings"
	"testing"
	"time"
)

// nasty is what must never become markup or script.
const nasty = `"><script>window.pwned=1</script><img src=x onerror="window.pwned=1">`

func TestPageEscapes(t *testing.T) {
	t.Parallel()
	b := newTest(t, Config{Hint: nasty})
	empty := do(b, "GET", "/").Body.String()
	add(t, b, "one", message{from: nasty, to: nasty, subject: nasty, text: nasty, html: nasty, files: []string{file(nasty, "image/"+nasty, nasty, "x")}})
	pages := map[string]string{"empty": empty}
	for _, path := range []string{"/", "/?q=" + "%22%3E%3Cscript%3E", "/messages/one", "/messages/one?tab=text", "/messages/one?tab=headers", "/messages/one?tab=attachments", "/messages/one?tab=raw"} {
		w := do(b, "GET", path)
		if got := w.Header().Get("Content-Security-Policy"); got != pagePolicy {
			t.Errorf("%s: policy %q", path, got)
		}
		pages[path] = w.Body.String()
	}
	for path, page := range pages {
		if strings.Contains(page, "<script>") || strings.Contains(page, "<img src=x") {
			t.Errorf("%s has markup that a message brought", path)
		}
	}
}

func TestMessageHTMLIsSandboxed(t *testing.T) {
	t.Parallel()
	b := newTest(t, Config{})
	add(t, b, "one", message{html: nasty, files: []string{file("x.html", "text/html", "", nasty)}})
	policy := do(b, "GET", "/messages/one/html").Header().Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "sandbox ") || strings.Contains(policy, "allow-scripts") || strings.Contains(policy, "allow-same-origin") || strings.Contains(policy, "script-src") {
		t.Errorf("policy of the message: %q", policy)
	}
	if page := do(b, "GET", "/messages/one").Body.String(); !strings.Contains(page, `sandbox="allow-popups allow-popups-to-escape-sandbox"`) {
		t.Error("the frame is not sandboxed")
	}
	h := do(b, "GET", "/api/messages/one/attachments/0").Header()
	if !strings.HasPrefix(h.Get("Content-Disposition"), "attachment") || !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("an HTML attachment is not made harmless: %v", h)
	}
}

func TestMessagePage(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, html, want string }{
		{"no doctype", "<p>x</p>", `<base target="_blank"><p>x</p>`},
		{"doctype stays first", "\n<!DOCTYPE html>\n<p>x</p>", "\n<!DOCTYPE html>" + `<base target="_blank">` + "\n<p>x</p>"},
		{"inline image", `<img src="cid:logo">`, `<base target="_blank"><img src="/api/messages/one/attachments/0">`},
		{"inline image, other spelling", `<img src=CID:a%20b&amp;c>`, `<base target="_blank"><img src=/api/messages/one/attachments/1>`},
		{"inline image in a style", `<p style="background:url(cid:logo)">`, `<base target="_blank"><p style="background:url(/api/messages/one/attachments/0)">`},
		{"unknown inline image", `<img src="cid:logo2">`, `<base target="_blank"><img src="cid:logo2">`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newTest(t, Config{})
			add(t, b, "one", message{html: test.html, files: []string{file("l.png", "image/png", "logo", "x"), file("m.png", "image/png", "<a b&c>", "x")}})
			if got := do(b, "GET", "/messages/one/html").Body.String(); got != test.want {
				t.Errorf("got %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	b := newTest(t, Config{Hint: "Do this first"})
	if page := do(b, "GET", "/").Body.String(); !strings.Contains(page, "Do this first") || !strings.Contains(page, "Nothing has been sent yet") {
		t.Error("the empty page does not say what to do")
	}
	for i := range defaultLimit + 5 {
		add(t, b, string(rune('a'+i%26))+strings.Repeat("x", i/26), message{to: "ann@example.com", subject: "Order"})
	}
	add(t, b, "plain", message{to: "ann@example.com", subject: "No HTML", text: "Hello <Ann>", files: []string{file("a.bin", "application/x-b", "", strings.Repeat("x", 300))}})
	tests := []struct {
		name, path string
		want       []string
		wantNot    []string
	}{
		{"list", "/", []string{"106 messages", "No HTML", "Choose a message", `href="/?limit=106"`, "Show all 106"}, nil},
		{"whole list", "/?limit=106", []string{`href="/messages/plain?limit=106"`}, []string{"Show all"}},
		{"search", "/?q=no+html", []string{"1 of 106 messages", `value="no html"`, `href="/messages/plain?q=no&#43;html"`}, []string{"Order"}},
		{"search without success", "/?q=zebra", []string{"No message matches"}, []string{"<ol>"}},
		{"text if there is no HTML", "/messages/plain", []string{"Hello &lt;Ann&gt;", `aria-current="page">Text`}, []string{"<iframe"}},
		{"HTML, asked for", "/messages/plain?tab=html", []string{"This message has no HTML."}, []string{"<iframe"}},
		{"headers", "/messages/plain?tab=headers", []string{"X-Order", "10-4471", "Ann Becker &lt;ann@example.com&gt;", "2026-03-02T12:00:30Z"}, nil},
		{"attachments", "/messages/plain?tab=attachments", []string{"a.bin", "300 B", `href="/api/messages/plain/attachments/0"`}, nil},
		{"no attachments", "/messages/a?tab=attachments", []string{"This message has no attachments."}, nil},
		{"request", "/messages/plain?tab=raw", []string{"… (352 more characters)", `href="/api/messages/plain/request"`}, nil},
		{"a message that is gone", "/messages/gone", []string{"This message is gone"}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			page := do(b, "GET", test.path).Body.String()
			for _, want := range test.want {
				if !strings.Contains(page, want) {
					t.Errorf("the page lacks %q", want)
				}
			}
			for _, not := range test.wantNot {
				if strings.Contains(page, not) {
					t.Errorf("the page has %q", not)
				}
			}
		})
	}
}

func TestSizesAndTimes(t *testing.T) {
	t.Parallel()
	for bytes, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KB", 1 << 20: "1.0 MB", 10<<20 + 1<<19: "10.5 MB"} {
		if got := size(bytes); got != want {
			t.Errorf("size(%d) = %s, want %s", bytes, got, want)
		}
	}
	if got := when(time.Date(2020, 2, 1, 12, 0, 0, 0, time.Local)); got != "1 Feb 2020" {
		t.Errorf("got %s", got)
	}
	now := time.Now()
	if got := when(now); got != now.Format("15:04") {
		t.Errorf("got %s", got)
	}
}

package inbox

import (
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// messagePolicy makes a message's HTML an origin of its own that runs nothing,
// in the frame as well as opened by itself. Pictures, fonts and style sheets
// may come from elsewhere, as they would for the recipient.
const messagePolicy = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; " +
	"img-src http: https: data:; media-src http: https: data:; font-src http: https: data:; style-src http: https: 'unsafe-inline'; " +
	"form-action 'none'; frame-ancestors 'self'"

func (b *Inbox) handleHTML(w http.ResponseWriter, r *http.Request) {
	m, _, ok := b.find(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Security-Policy", messagePolicy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, m.page()) //nolint:gosec // a message's HTML, under messagePolicy
}

var (
	doctype = regexp.MustCompile(`(?i)^\s*<!doctype[^>]*>`)
	cidURL  = regexp.MustCompile(`(?i)\bcid:([^\s"'()<>\\]+)`)
)

// page is the message's HTML with its inline images in place (RFC 2392) and its
// links leading to new tabs. The base element goes behind the document type,
// without which a browser would lay the page out in quirks mode.
func (m *Message) page() string {
	end := len(doctype.FindString(m.HTML))
	return m.HTML[:end] + `<base target="_blank">` + cidURL.ReplaceAllStringFunc(m.HTML[end:], m.inline)
}

// inline is the address of the attachment that a cid: URL names, or the URL.
func (m *Message) inline(cid string) string {
	id := html.UnescapeString(cid[len("cid:"):])
	if plain, err := url.PathUnescape(id); err == nil {
		id = plain
	}
	for _, a := range m.Attachments {
		if a.ContentID != "" && strings.Trim(a.ContentID, "<>") == id {
			return a.URL
		}
	}
	return cid
}

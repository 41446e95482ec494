package gateway

import (
	"html"
	"strings"

	xhtml "golang.org/x/net/html"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// redirect gives a message to one mailbox in place of its recipients, whom its bodies then
// name on top. One that was redirected before only changes the mailbox: its true recipients
// are never written to, whatever becomes of the policy. An empty mailbox changes nothing.
func redirect(m *mail.Message, mailbox string) {
	if mailbox == "" {
		return
	}
	if !m.Redirected {
		list := recipientList(m.Recipients)
		if m.Content.PlainText != "" {
			m.Content.PlainText = textBanner(list) + m.Content.PlainText
		}
		if document := m.Content.HTML; document != "" {
			at := startOfBody(document)
			m.Content.HTML = document[:at] + htmlBanner(list) + document[at:]
		}
	}
	m.Redirected = true
	m.Recipients = mail.Recipients{To: []mail.Address{{Address: mailbox}}}
}

// redirectKept is redirect for a message that was made to fit before, and may not fit with
// its recipients named. Then it is a problem of kind Forbidden.
func (g *Gateway) redirectKept(rec *record.Record, m *mail.Message, mailbox string) error {
	before := m.Redirected
	redirect(m, mailbox)
	rec.Redirected = m.Redirected
	if m.Redirected && !before && g.ACS.Size(m) > g.MaxACSRequestBytes {
		return problem.New(problem.Forbidden, "The operator redirects this caller's messages. With its recipients named on top, the message is larger than ACS takes. It was not sent.")
	}
	return nil
}

const bannerTitle = "Redirected. This message was for:"

// recipientList has a line for each kind of recipient that there is.
func recipientList(r mail.Recipients) (lines []string) {
	for _, kind := range []struct {
		name string
		all  []mail.Address
	}{{"To", r.To}, {"Cc", r.CC}, {"Bcc", r.BCC}} {
		if len(kind.all) == 0 {
			continue
		}
		names := make([]string, len(kind.all))
		for i, a := range kind.all {
			if names[i] = a.Address; a.DisplayName != "" {
				names[i] = a.DisplayName + " <" + a.Address + ">"
			}
		}
		lines = append(lines, kind.name+": "+strings.Join(names, ", "))
	}
	return lines
}

func textBanner(list []string) string {
	return bannerTitle + "\n" + strings.Join(list, "\n") + "\n" + strings.Repeat("-", 40) + "\n\n"
}

func htmlBanner(list []string) string {
	for i, line := range list {
		list[i] = html.EscapeString(line)
	}
	return `<div style="margin:0 0 16px;padding:8px 12px;border:1px solid #b58900;background:#fff8e1;color:#222;font:14px/1.4 sans-serif;text-align:left">` +
		"<strong>" + bannerTitle + "</strong><br>" + strings.Join(list, "<br>") + "</div>\n"
}

// startOfBody is where the content of an HTML document begins: behind its body tag, or before
// whatever is shown first. What follows may be another document, quoted.
func startOfBody(document string) int {
	at, head := 0, -1 // -1: outside of the head
	z := xhtml.NewTokenizer(strings.NewReader(document))
	for {
		kind, from := z.Next(), at
		at += len(z.Raw())
		text := kind == xhtml.TextToken && strings.TrimSpace(string(z.Raw())) != ""
		name, _ := z.TagName()
		switch tag := string(name); {
		case kind == xhtml.ErrorToken:
			return max(head, 0)
		case kind == xhtml.StartTagToken && tag == "body":
			return at
		case kind == xhtml.StartTagToken && tag == "head":
			head = at
		case kind == xhtml.EndTagToken && tag == "head":
			head = -1
		case head < 0 && (text || tag != "html" && (kind == xhtml.StartTagToken || kind == xhtml.SelfClosingTagToken)):
			return from
		}
	}
}

package check

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/mail"
)

// tidied is m as it is sent: each address once, the first time it stands; names of
// files and of inline images that are safe; headers as headers has them. The parts of
// m that change are copied. Its domains are not yet normal.
func tidied(f *violations, m *mail.Message) mail.Message {
	tidy, r := *m, m.Recipients
	seen := make(map[string]bool, len(r.To)+len(r.CC)+len(r.BCC))
	tidy.Recipients = mail.Recipients{To: once(seen, r.To), CC: once(seen, r.CC), BCC: once(seen, r.BCC)}
	tidy.ReplyTo = once(make(map[string]bool, len(m.ReplyTo)), m.ReplyTo)
	tidy.Headers = headers(f, m)
	tidy.Attachments = named(m.Attachments)
	tidy.Content.HTML = identified(tidy.Attachments, m.Content.HTML)
	return tidy
}

// once is list without the addresses that were seen: ACS would send, and bill, two
// messages. It is list itself if all are new. An address that is none counts as it
// is written.
func once(seen map[string]bool, list []mail.Address) []mail.Address {
	kept := list
	for i, a := range list {
		key := strings.ToLower(normal(a.Address))
		switch {
		case seen[key] && len(kept) == len(list):
			kept = slices.Clone(list[:i])
		case !seen[key] && len(kept) < len(list):
			kept = append(kept, a)
		}
		seen[key] = true
	}
	return kept
}

// named are copies of attachments with the names that they are sent by.
func named(list []mail.Attachment) []mail.Attachment {
	list = slices.Clone(list)
	for i, a := range list {
		if list[i].Name = mail.FileName(a.Name); list[i].Name == "" {
			list[i].Name = mail.Nameless(i, a.ContentType, a.ContentID)
		}
	}
	return list
}

// unsafeInID is narrower than RFC 2392: what remains is what a cid: URL can hold as
// it is. A percent sign would be decoded there.
var unsafeInID = regexp.MustCompile(`[^A-Za-z0-9!#$&'*+/=?^_{|}~.@-]`)

// identified gives the attachments content ids that are safe, without the angle
// brackets that some clients write, and returns the HTML that calls the images by
// them. Clients that take the name of a file for its id send spaces and umlauts:
// github.com/symfony/symfony, the bridges to Azure and SendGrid.
func identified(list []mail.Attachment, html string) string {
	type id struct{ old, safe string }
	var changed []id
	for i, a := range list {
		old := strings.TrimSuffix(strings.TrimPrefix(a.ContentID, "<"), ">")
		list[i].ContentID = unsafeInID.ReplaceAllString(old, "_")
		if list[i].ContentID != old {
			changed = append(changed, id{old, list[i].ContentID})
		}
	}
	// The longest first: one may begin with another.
	slices.SortFunc(changed, func(a, b id) int { return cmp.Compare(len(b.old), len(a.old)) })
	for _, c := range changed {
		html = strings.ReplaceAll(html, "cid:"+c.old, "cid:"+c.safe)
		html = strings.ReplaceAll(html, "cid:"+url.PathEscape(c.old), "cid:"+c.safe)
	}
	return html
}

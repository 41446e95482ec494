package check

import (
	"fmt"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// counts checks the lengths of the lists. The number of headers is checked with the headers.
// An address that stands twice is once in m.
func counts(f *violations, m *mail.Message) {
	r := m.Recipients
	switch n := len(r.To) + len(r.CC) + len(r.BCC); {
	case n == 0:
		f.add("/recipients", "At least one recipient is needed in %s.", problem.Name{"/recipients/to", "/recipients/cc", "/recipients/bcc"})
	case n > mail.MaxRecipients:
		f.add("/recipients", "A message has at most %d recipients together, not %d.", mail.MaxRecipients, n)
	}
	if n := len(m.ReplyTo); n > mail.MaxReplyTo {
		f.add("/replyTo", "A message has at most %d addresses to reply to, not %d.", mail.MaxReplyTo, n)
	}
	if n := len(m.Attachments); n > mail.MaxAttachments {
		f.add("/attachments", "A message has at most %d attachments, not %d.", mail.MaxAttachments, n)
	}
	if n := len(m.Delivery.Tags); n > mail.MaxTags {
		f.add("/delivery/tags", "A message has at most %d tags, not %d.", mail.MaxTags, n)
	}
}

func bodies(f *violations, c mail.Content) {
	if c.PlainText == "" && c.HTML == "" {
		f.add("/content", "The message has no text. Set %s.", problem.Name{"/content/plainText", "/content/html"})
	}
}

func attachments(f *violations, list []mail.Attachment) {
	first := make(map[string]string)
	for i, a := range list {
		here := fmt.Sprintf("/attachments/%d", i)
		content(f, here, a)
		if a.ContentID == "" {
			continue
		}
		if a.Placement == mail.PlacementLink {
			f.add(here+"/placement", "An attachment with %s is shown inside the HTML, so it cannot be a link.", problem.Name{here + "/contentId"})
		}
		if at, twice := first[a.ContentID]; twice {
			f.add(here+"/contentId", "%s has the same id.", problem.Name{at})
			continue
		}
		first[a.ContentID] = here + "/contentId"
	}
}

// content wants one source of the bytes. ACS's clients refuse an attachment of
// no bytes, so it would not arrive: github.com/Azure/azure-sdk-for-net issue 36086.
func content(f *violations, here string, a mail.Attachment) {
	switch {
	case a.HasContent && a.UploadID != "":
		f.add(here, "An attachment has %s, not both.", problem.Name{here + "/contentInBase64", here + "/uploadId"})
	case a.HasContent && a.Size == 0:
		f.add(here+"/contentInBase64", "The attachment is empty, which ACS refuses.")
	case !a.HasContent && a.UploadID == "":
		f.add(here+"/contentInBase64", "The attachment has no content. Set %s.", problem.Name{here + "/contentInBase64", here + "/uploadId"})
	case a.UploadID != "" && a.Placement == mail.PlacementInline:
		f.add(here+"/placement", "An upload is always a link, so it cannot be inline.")
	case a.UploadID != "" && a.ContentID != "":
		f.add(here+"/contentId", "An upload is always a link, so it cannot be shown inside the HTML.")
	}
}

// Package resend is the dialect of Resend: POST /emails and /emails/batch.
//
// In: what wire has read by the table here. Out: a mail.Message, and where its
// pointers stand in the caller's body; the other way, what became of a message and
// a problem in the form of Resend's answers. It reads no JSON (wire does), holds
// no limit (accept/check does) and knows no HTTP beyond the numbers of statuses.
//
// Sources: Resend's OpenAPI document, and what its clients for Node.js 6.38.0 and
// Go 3.1.1 send and read. docs/clients/resend.md says what of it is honoured.
package resend

import (
	"strconv"
	"strings"

	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// email is the body of POST /emails.
type email struct {
	from, subject, html, text string
	to, cc, bcc, replyTo      wire.Many
	headers                   map[string]string
	attachments               []mail.Attachment
	tags                      []mail.Tag
	scheduledAt               string
	delivery                  mail.Delivery
}

var members = wire.Object[email]{
	wire.Text("from", wire.MaxNamed, func(e *email) *string { return &e.from }).As("/senderAddress", "/senderDisplayName"),
	wire.TextOrList("to", wire.MaxAddresses, wire.MaxNamed, func(e *email) *wire.Many { return &e.to }).As("/recipients", "/recipients/to/*"),
	wire.TextOrList("cc", wire.MaxAddresses, wire.MaxNamed, func(e *email) *wire.Many { return &e.cc }).As("/recipients/cc/*"),
	wire.TextOrList("bcc", wire.MaxAddresses, wire.MaxNamed, func(e *email) *wire.Many { return &e.bcc }).As("/recipients/bcc/*"),
	wire.TextOrList("reply_to", wire.MaxAddresses, wire.MaxNamed, func(e *email) *wire.Many { return &e.replyTo }).As("/replyTo/*"),
	wire.Text("subject", wire.Slack*mail.MaxSubjectBytes, func(e *email) *string { return &e.subject }).As("/content/subject"),
	wire.Text("html", mail.MaxBodyBytes, func(e *email) *string { return &e.html }).As("/content/html"),
	wire.Text("text", mail.MaxBodyBytes, func(e *email) *string { return &e.text }).As("/content/plainText"),
	wire.Pairs("headers", wire.MaxHeaders, wire.Slack*mail.MaxLineBytes, func(e *email) *map[string]string { return &e.headers }).As("/headers/*"),
	wire.List("attachments", mail.MaxAttachments, attachment, func(e *email) *[]mail.Attachment { return &e.attachments }).As("/attachments/*"),
	wire.List("tags", wire.MaxTags, wire.Tag, func(e *email) *[]mail.Tag { return &e.tags }).As("/delivery/tags/*/*"),
	wire.Text("scheduled_at", wire.MaxWordBytes, func(e *email) *string { return &e.scheduledAt }).As("/delivery/sendAt"),
	wire.Nested("delivery", wire.Delivery, func(e *email) *mail.Delivery { return &e.delivery }).As("/delivery/*"),
	wire.Refused[email]("template", "Templates are kept by Resend and not known here. Send html or text."),
	wire.Refused[email]("topic_id", "Topics are kept by Resend and not known here. Leave it out."),
}

var attachment = wire.Object[mail.Attachment]{
	wire.Text("filename", wire.Slack*mail.MaxAttachmentNameBytes, func(a *mail.Attachment) *string { return &a.Name }).As("/attachments/*/name"),
	wire.Bytes("content", func(a *mail.Attachment) *mail.Attachment { return a }).As("/attachments/*/contentInBase64"),
	wire.Text("content_type", wire.Slack*mail.MaxContentTypeBytes, func(a *mail.Attachment) *string { return &a.ContentType }).As("/attachments/*/contentType"),
	wire.Text("content_id", wire.Slack*mail.MaxContentIDBytes, func(a *mail.Attachment) *string { return &a.ContentID }).As("/attachments/*/contentId"),
	// What content_id was called before; resend-go has both.
	wire.Text("inline_content_id", wire.Slack*mail.MaxContentIDBytes, func(a *mail.Attachment) *string { return &a.ContentID }),
	wire.Refused[mail.Attachment]("path", "Posthorn fetches no files from other servers. Send the content."),
}

// Source reads messages in Resend's words.
func Source() wire.Source {
	return wire.Dialect[email]{Members: members, Spelling: wire.SnakeOrCamel, Messages: messages}
}

// Rows are all members, for the page that tells of them.
func Rows() []wire.Row { return members.Rows() }

func messages(e *email) ([]wire.Parsed, []problem.Violation) {
	var f wire.Violations
	from := f.Named("/from", e.from)
	m := &mail.Message{
		SenderAddress: from.Address, SenderDisplayName: from.DisplayName,
		Content:     mail.Content{Subject: e.subject, PlainText: e.text, HTML: e.html},
		Recipients:  mail.Recipients{To: addresses(&f, "/to", e.to), CC: addresses(&f, "/cc", e.cc), BCC: addresses(&f, "/bcc", e.bcc)},
		ReplyTo:     addresses(&f, "/reply_to", e.replyTo),
		Attachments: e.attachments,
		Headers:     e.headers,
		Delivery:    e.delivery,
	}
	m.Delivery.SendAt, m.Delivery.Tags = e.scheduledAt, e.tags
	return []wire.Parsed{{Message: m, Pointer: e.pointer}}, f
}

// addresses are those at a JSON pointer. An empty text is as good as none. One text may have
// several with commas between: github.com/resend/resend-ruby wrote cc so, from Rails.
func addresses(f *wire.Violations, pointer string, m wire.Many) []mail.Address {
	if m.Alone && m.Texts[0] == "" {
		return nil
	}
	if m.Alone && strings.ContainsRune(m.Texts[0], ',') {
		if _, err := mail.Named(m.Texts[0]); err != nil {
			return f.NamedList(pointer, m.Texts[0])
		}
	}
	var all []mail.Address
	for i, text := range m.Texts {
		all = append(all, f.Named(at(pointer, i, m), text))
	}
	return all
}

var pointers = members.Pointers()

// pointer is wire.Parsed's Pointer. A list that was one text has no items.
func (e *email) pointer(ours string) string {
	theirs := pointers.Of(ours)
	for pointer, m := range map[string]wire.Many{"/to": e.to, "/cc": e.cc, "/bcc": e.bcc, "/reply_to": e.replyTo} {
		if m.Alone && strings.HasPrefix(theirs, pointer+"/") {
			return pointer
		}
	}
	return theirs
}

// at is the JSON pointer of the i-th text.
func at(pointer string, i int, m wire.Many) string {
	if m.Alone {
		return pointer
	}
	return pointer + "/" + strconv.Itoa(i)
}

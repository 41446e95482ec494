// Package postmark is the dialect of Postmark: POST /email and /email/batch.
//
// In: what wire has read by the table here. Out: a mail.Message, and where its
// pointers stand in the caller's body; the other way, what became of a message and
// a problem in the form of Postmark's answers. It reads no JSON (wire does), holds
// no limit (accept/check does) and knows no HTTP beyond the numbers of statuses.
//
// Sources: Postmark's documentation of its Email API, and what its client for
// Node.js 5.1.0 and those for Go send and read. docs/clients/postmark.md says what
// of it is honoured.
package postmark

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// email is the body of POST /email.
type email struct {
	from, to, cc, bcc, replyTo string
	subject, html, text        string
	tag, stream, trackLinks    string
	trackOpens                 *bool
	metadata                   map[string]string
	headers                    []header
	attachments                []mail.Attachment
	delivery                   mail.Delivery
}

type header struct{ name, value string }

// maxListBytes guards memory; it is four times what 50 long addresses take.
const maxListBytes = mail.MaxRecipients * wire.MaxNamed

var members = wire.Object[email]{
	wire.Text("From", wire.MaxNamed, func(e *email) *string { return &e.from }).As("/senderAddress", "/senderDisplayName"),
	wire.Text("To", maxListBytes, func(e *email) *string { return &e.to }).As("/recipients"),
	wire.Text("Cc", maxListBytes, func(e *email) *string { return &e.cc }).As("/recipients/cc"),
	wire.Text("Bcc", maxListBytes, func(e *email) *string { return &e.bcc }).As("/recipients/bcc"),
	wire.Text("ReplyTo", maxListBytes, func(e *email) *string { return &e.replyTo }).As("/replyTo"),
	wire.Text("Subject", wire.Slack*mail.MaxSubjectBytes, func(e *email) *string { return &e.subject }).As("/content/subject"),
	wire.Text("HtmlBody", mail.MaxBodyBytes, func(e *email) *string { return &e.html }).As("/content/html"),
	wire.Text("TextBody", mail.MaxBodyBytes, func(e *email) *string { return &e.text }).As("/content/plainText"),
	wire.Text("Tag", wire.Slack*mail.MaxTagBytes, func(e *email) *string { return &e.tag }),
	wire.Pairs("Metadata", wire.MaxTags, wire.Slack*mail.MaxTagBytes, func(e *email) *map[string]string { return &e.metadata }).As("/delivery/tags"),
	wire.List("Headers", wire.MaxHeaders, headers, func(e *email) *[]header { return &e.headers }).As("/headers"),
	wire.List("Attachments", mail.MaxAttachments, attachment, func(e *email) *[]mail.Attachment { return &e.attachments }).As("/attachments/*"),
	wire.Switch("TrackOpens", func(e *email) **bool { return &e.trackOpens }),
	wire.Text("TrackLinks", wire.MaxWordBytes, func(e *email) *string { return &e.trackLinks }),
	wire.Text("MessageStream", wire.MaxWordBytes, func(e *email) *string { return &e.stream }),
	wire.Nested("Delivery", wire.Delivery, func(e *email) *mail.Delivery { return &e.delivery }).As("/delivery/*", "/delivery/sendAt"),
	wire.Refused[email]("TemplateId", noTemplates),
	wire.Refused[email]("TemplateAlias", noTemplates),
	wire.Refused[email]("TemplateModel", noTemplates),
	wire.Refused[email]("InlineCss", noTemplates),
}

const noTemplates = "Templates are kept by Postmark and not known here. Send HtmlBody or TextBody."

var headers = wire.Object[header]{
	wire.Text("Name", wire.Slack*mail.MaxHeaderNameBytes, func(h *header) *string { return &h.name }),
	wire.Text("Value", wire.Slack*mail.MaxLineBytes, func(h *header) *string { return &h.value }),
}

var attachment = wire.Object[mail.Attachment]{
	wire.Text("Name", wire.Slack*mail.MaxAttachmentNameBytes, func(a *mail.Attachment) *string { return &a.Name }).As("/attachments/*/name"),
	wire.Encoded("Content", func(a *mail.Attachment) *mail.Attachment { return a }).As("/attachments/*/contentInBase64"),
	wire.Text("ContentType", wire.Slack*mail.MaxContentTypeBytes, func(a *mail.Attachment) *string { return &a.ContentType }).As("/attachments/*/contentType"),
	wire.Text("ContentID", wire.Slack*mail.MaxContentIDBytes, func(a *mail.Attachment) *string { return &a.ContentID }).As("/attachments/*/contentId"),
	wire.Passed[mail.Attachment]("ContentLength"), // of messages that came in and are sent on
}

// Source reads messages in Postmark's words.
func Source() wire.Source {
	return wire.Dialect[email]{Members: members, Spelling: wire.AnyCase, Messages: messages}
}

// Rows are all members, for the page that tells of them.
func Rows() []wire.Row { return members.Rows() }

func messages(e *email) ([]wire.Parsed, []problem.Violation) {
	var f wire.Violations
	from := f.Named("/From", e.from)
	m := &mail.Message{
		SenderAddress: from.Address, SenderDisplayName: from.DisplayName,
		Content:     mail.Content{Subject: e.subject, PlainText: e.text, HTML: e.html},
		Recipients:  mail.Recipients{To: f.NamedList("/To", e.to), CC: f.NamedList("/Cc", e.cc), BCC: f.NamedList("/Bcc", e.bcc)},
		ReplyTo:     f.NamedList("/ReplyTo", e.replyTo),
		Attachments: e.attachments,
		Headers:     e.named(&f),
		Delivery:    e.delivery,
	}
	for i, a := range m.Attachments {
		m.Attachments[i].ContentID = strings.TrimPrefix(a.ContentID, "cid:")
	}
	m.UserEngagementTrackingDisabled = e.untracked(&f)
	m.Delivery.Tags = e.tags()
	if e.stream == broadcast && m.Delivery.Priority == "" {
		m.Delivery.Priority = mail.PriorityBulk
	}
	return []wire.Parsed{{Message: m, Pointer: e.pointer}}, f
}

// named are the headers by their names.
func (e *email) named(f *wire.Violations) map[string]string {
	if len(e.headers) == 0 {
		return nil
	}
	all := make(map[string]string, len(e.headers))
	for i, h := range e.headers {
		if _, twice := all[h.name]; twice {
			f.Add("/Headers/"+strconv.Itoa(i)+"/Name", "The same header stands there already.")
			continue
		}
		all[h.name] = h.value
	}
	return all
}

// untracked says whether neither opens nor links are to be tracked: ACS has one
// switch for both.
func (e *email) untracked(f *wire.Violations) bool {
	switch strings.ToLower(e.trackLinks) {
	case "", "htmlandtext", "htmlonly", "textonly":
		return false
	case "none":
		return e.trackOpens != nil && !*e.trackOpens
	}
	f.Add("/TrackLinks", "This must be one of: None, HtmlAndText, HtmlOnly, TextOnly.")
	return false
}

// Postmark's own streams. A name of any other is kept as a tag.
const (
	transactional = "outbound"
	broadcast     = "broadcast"
)

// The names of the tags that Tag and MessageStream become.
const (
	tagTag    = "Tag"
	streamTag = "MessageStream"
)

func (e *email) tags() []mail.Tag {
	var all []mail.Tag
	if e.tag != "" {
		all = append(all, mail.Tag{Name: tagTag, Value: e.tag})
	}
	if e.stream != "" && e.stream != transactional && e.stream != broadcast {
		all = append(all, mail.Tag{Name: streamTag, Value: e.stream})
	}
	for _, name := range slices.Sorted(maps.Keys(e.metadata)) {
		all = append(all, mail.Tag{Name: name, Value: e.metadata[name]})
	}
	return all
}

var pointers = members.Pointers()

// pointer is wire.Parsed's Pointer. Headers and tags are lists there and none here.
func (e *email) pointer(ours string) string {
	if name, ok := strings.CutPrefix(ours, "/headers/"); ok {
		return e.placeOfHeader(name)
	}
	if tag, ok := strings.CutPrefix(ours, "/delivery/tags/"); ok {
		return e.placeOfTag(tag)
	}
	return pointers.Of(ours)
}

func (e *email) placeOfHeader(escaped string) string {
	name := strings.NewReplacer("~1", "/", "~0", "~").Replace(escaped)
	for i, h := range e.headers {
		if h.name == name {
			return "/Headers/" + strconv.Itoa(i)
		}
	}
	return "/Headers"
}

func (e *email) placeOfTag(tag string) string {
	tags := e.tags()
	index, _, _ := strings.Cut(tag, "/")
	i, err := strconv.Atoi(index)
	if err != nil || i >= len(tags) {
		return "/Metadata"
	}
	switch name := tags[i].Name; name {
	case tagTag, streamTag:
		return "/" + name
	default:
		return "/Metadata/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	}
}

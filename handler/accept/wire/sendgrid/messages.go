package sendgrid

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// Source reads messages in SendGrid's words.
func Source() wire.Source {
	return wire.Dialect[body]{Members: members, Spelling: wire.SnakeOrCamel, Messages: messages}
}

// Rows are all members, for the page that tells of them.
func Rows() []wire.Row { return members.Rows() }

func messages(b *body) ([]wire.Parsed, []problem.Violation) {
	var f wire.Violations
	if len(b.personalizations) == 0 {
		f.Add("/personalizations", "At least one is needed, with a recipient.")
	}
	for _, s := range b.refused {
		if s.on() {
			f.Add(s.pointer, s.why)
		}
	}
	text, html := b.bodies(&f)
	attached := b.attached(&f, html)
	fill := substitution{left: maxFilledBytes}
	var all []wire.Parsed
	for k, p := range b.personalizations {
		m := b.message(p)
		m.Content.PlainText, m.Content.HTML = text, html
		m.Attachments = slices.Clone(attached)
		if detail := fill.message(m, p.substitutions); detail != "" {
			f.Add(fmt.Sprintf("/personalizations/%d/substitutions", k), detail)
		}
		all = append(all, wire.Parsed{
			Message: m, Pretend: b.sandbox.on(),
			Pointer: func(ours string) string { return b.pointer(k, ours) },
		})
	}
	return all, f
}

// message makes the message of one personalization, but for the bodies and attachments.
func (b *body) message(p personalization) *mail.Message {
	from := b.from
	if p.from != nil {
		from = *p.from
	}
	m := &mail.Message{
		SenderAddress: from.Address, SenderDisplayName: from.DisplayName,
		Content:    mail.Content{Subject: b.subject},
		Recipients: mail.Recipients{To: p.to, CC: p.cc, BCC: p.bcc},
		ReplyTo:    slices.Clone(b.replyToList),
		Headers:    merged(b.headers, p.headers),
		Delivery:   b.delivery,
		// ACS has one switch for both.
		UserEngagementTrackingDisabled: b.clicks.off() && b.opens.off(),
	}
	if p.subject != "" {
		m.Content.Subject = p.subject
	}
	if b.replyTo != nil {
		m.ReplyTo = append([]mail.Address{*b.replyTo}, m.ReplyTo...)
	}
	m.Delivery.Tags = b.tags(p)
	if at := cmp.Or(p.sendAt, b.sendAt); at != 0 {
		m.Delivery.SendAt = time.Unix(min(at, endOfTime), 0).UTC().Format(time.RFC3339)
	}
	return m
}

// endOfTime is the last second that RFC 3339 can write.
const endOfTime = 253402300799

// merged is common with what is more special over it.
func merged(common, special map[string]string) map[string]string {
	if len(special) == 0 {
		return common
	}
	all := make(map[string]string, len(common)+len(special))
	maps.Copy(all, common)
	maps.Copy(all, special)
	return all
}

// The tag that the categories become: one, since they have no names.
const categoriesTag = "categories"

func (b *body) tags(p personalization) []mail.Tag {
	var all []mail.Tag
	if len(b.categories) > 0 {
		all = append(all, mail.Tag{Name: categoriesTag, Value: strings.Join(b.categories, ",")})
	}
	args := merged(b.customArgs, p.customArgs)
	for _, name := range slices.Sorted(maps.Keys(args)) {
		all = append(all, mail.Tag{Name: name, Value: args[name]})
	}
	return all
}

// The types of content that a message of ACS has room for, and the one that it can do
// without: mail programs show the HTML in its place.
const (
	plainType = "text/plain"
	htmlType  = "text/html"
	ampType   = "text/x-amp-html"
)

func (b *body) bodies(f *wire.Violations) (text, html string) {
	seen := map[string]bool{}
	for i, c := range b.content {
		pointer := fmt.Sprintf("/content/%d/type", i)
		switch {
		case seen[c.mediaType]:
			f.Add(pointer, "There is a content of this type already.")
		case c.mediaType == plainType:
			text = c.value
		case c.mediaType == htmlType:
			html = c.value
		case c.mediaType == ampType:
		default:
			f.Add(pointer, "This must be text/plain or text/html: ACS takes no other. A calendar goes as an attachment.")
		}
		seen[c.mediaType] = true
	}
	return text, html
}

// attached are the attachments as every message has them. What is inline has a
// content id, if it was given one, and what the HTML calls by it: by an id, ACS shows an attachment inside
// the HTML, and not beside it.
func (b *body) attached(f *wire.Violations, html string) []mail.Attachment {
	var all []mail.Attachment
	for i, a := range b.attachments {
		switch a.disposition {
		case "", "attachment":
			if !strings.Contains(html, "cid:"+a.ContentID) {
				a.ContentID = ""
			}
		case "inline": // without an id it stands beside the text
		default:
			f.Add(fmt.Sprintf("/attachments/%d/disposition", i), "This must be inline or attachment.")
		}
		all = append(all, a.Attachment)
	}
	return all
}

// Package sendgrid is the dialect of SendGrid: POST /v3/mail/send.
//
// In: what wire has read by the tables here. Out: a mail.Message for each personalization,
// with the JSON pointers of each in the caller's body; all share the content and the
// attachments. The other way: a problem in the form of SendGrid's answers. It reads no JSON:
// wire does. It holds no limit but its own of substitutions: accept/check does. It knows no
// HTTP beyond the numbers of statuses.
//
// Sources: tsg_mail_v3.json of SendGrid's OpenAPI documents, and what its clients
// for Node.js 8.1.6 and Go 3.16.1 send and read. docs/clients/sendgrid.md says
// what of it is honoured.
package sendgrid

import (
	"mime"

	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/mail"
)

// body is the body of POST /v3/mail/send.
type body struct {
	from             mail.Address
	replyTo          *mail.Address
	replyToList      []mail.Address
	subject          string
	personalizations []personalization
	content          []content
	attachments      []attachment
	headers          map[string]string
	categories       []string
	customArgs       map[string]string
	sendAt           int64
	sandbox          setting
	refused          []refusedSetting
	clicks, opens    setting
	delivery         mail.Delivery
}

// personalization is what one of the messages has for itself.
type personalization struct {
	from                               *mail.Address
	to, cc, bcc                        []mail.Address
	subject                            string
	headers, substitutions, customArgs map[string]string
	sendAt                             int64
}

type content struct{ mediaType, value string }

// attachment has the disposition beside what every dialect has.
type attachment struct {
	mail.Attachment
	disposition string
}

// setting is one of SendGrid's switches.
type setting struct{ enable *bool }

func (s setting) on() bool { return s.enable != nil && *s.enable }

func (s setting) off() bool { return s.enable != nil && !*s.enable }

// refusedSetting is a switch that must be off, at its pointer.
type refusedSetting struct {
	setting
	pointer, why string
}

// MaxPersonalizations is ours: each is a message, and the quota of a subscription
// counts messages.
const MaxPersonalizations = 100

const noTemplates = "Templates are kept by SendGrid and not known here. Send content, with substitutions if it differs."

var members = wire.Object[body]{
	wire.Nested("from", address, func(b *body) *mail.Address { return &b.from }),
	wire.Nested("reply_to", address, func(b *body) *mail.Address { b.replyTo = new(mail.Address); return b.replyTo }),
	wire.List("reply_to_list", wire.MaxAddresses, address, func(b *body) *[]mail.Address { return &b.replyToList }),
	wire.Text("subject", wire.Slack*mail.MaxSubjectBytes, func(b *body) *string { return &b.subject }),
	wire.List("personalizations", MaxPersonalizations, personal, func(b *body) *[]personalization { return &b.personalizations }),
	wire.List("content", maxContents, contents, func(b *body) *[]content { return &b.content }),
	wire.List("attachments", mail.MaxAttachments, attachments, func(b *body) *[]attachment { return &b.attachments }).As("/attachments/*"),
	wire.Pairs("headers", wire.MaxHeaders, wire.Slack*mail.MaxLineBytes, func(b *body) *map[string]string { return &b.headers }),
	wire.Texts("categories", wire.MaxTags, wire.Slack*mail.MaxTagBytes, func(b *body) *[]string { return &b.categories }),
	wire.Pairs("custom_args", wire.MaxTags, wire.Slack*mail.MaxTagBytes, func(b *body) *map[string]string { return &b.customArgs }).As("/delivery/tags"),
	wire.Whole("send_at", func(b *body) *int64 { return &b.sendAt }),
	wire.Nested("mail_settings", mailSettings, func(b *body) *body { return b }),
	wire.Nested("tracking_settings", trackingSettings, func(b *body) *body { return b }),
	wire.Nested("delivery", wire.Delivery, func(b *body) *mail.Delivery { return &b.delivery }).As("/delivery/*"),
	wire.Refused[body]("template_id", noTemplates),
	wire.Refused[body]("sections", noTemplates),
	wire.Refused[body]("batch_id", "Messages are cancelled one by one here, with DELETE /emails/operations/{id}. Leave it out."),
	wire.Refused[body]("asm", "Groups of unsubscribed recipients are kept by SendGrid and not known here. Leave it out."),
	wire.Refused[body]("ip_pool_name", "ACS chooses the addresses that it sends from. Leave it out."),
}

// maxContents guards memory: two of them may be used.
const maxContents = 10

var personal = wire.Object[personalization]{
	wire.Nested("from", address, func(p *personalization) *mail.Address { p.from = new(mail.Address); return p.from }),
	wire.List("to", wire.MaxAddresses, address, func(p *personalization) *[]mail.Address { return &p.to }),
	wire.List("cc", wire.MaxAddresses, address, func(p *personalization) *[]mail.Address { return &p.cc }),
	wire.List("bcc", wire.MaxAddresses, address, func(p *personalization) *[]mail.Address { return &p.bcc }),
	wire.Text("subject", wire.Slack*mail.MaxSubjectBytes, func(p *personalization) *string { return &p.subject }),
	wire.Pairs("headers", wire.MaxHeaders, wire.Slack*mail.MaxLineBytes, func(p *personalization) *map[string]string { return &p.headers }),
	wire.Pairs("substitutions", maxSubstitutions, maxSubstitutionBytes, func(p *personalization) *map[string]string { return &p.substitutions }),
	wire.Pairs("custom_args", wire.MaxTags, wire.Slack*mail.MaxTagBytes, func(p *personalization) *map[string]string { return &p.customArgs }),
	wire.Whole("send_at", func(p *personalization) *int64 { return &p.sendAt }),
	wire.Refused[personalization]("dynamic_template_data", noTemplates),
	wire.Refused[personalization]("categories", "Categories belong to the whole request, outside personalizations."),
}

var address = wire.Object[mail.Address]{
	wire.Text("email", wire.Slack*mail.MaxAddressBytes, func(a *mail.Address) *string { return &a.Address }),
	// SendGrid's client for Python puts names with commas into quotes, as others do.
	wire.TextAs("name", wire.Slack*mail.MaxDisplayNameBytes, func(a *mail.Address) *string { return &a.DisplayName }, mail.PlainName),
}

var contents = wire.Object[content]{
	wire.TextAs("type", wire.MaxWordBytes, func(c *content) *string { return &c.mediaType }, essence),
	wire.Text("value", mail.MaxBodyBytes, func(c *content) *string { return &c.value }),
}

var attachments = wire.Object[attachment]{
	wire.Encoded("content", func(a *attachment) *mail.Attachment { return &a.Attachment }).As("/attachments/*/contentInBase64"),
	wire.Text("filename", wire.Slack*mail.MaxAttachmentNameBytes, func(a *attachment) *string { return &a.Name }).As("/attachments/*/name"),
	wire.Text("type", wire.Slack*mail.MaxContentTypeBytes, func(a *attachment) *string { return &a.ContentType }).As("/attachments/*/contentType"),
	wire.TextAs("disposition", wire.MaxWordBytes, func(a *attachment) *string { return &a.disposition }, essence),
	wire.Text("content_id", wire.Slack*mail.MaxContentIDBytes, func(a *attachment) *string { return &a.ContentID }).As("/attachments/*/contentId"),
	wire.Passed[attachment]("name"),         // sendgrid-go writes it beside filename
	wire.Passed[attachment]("content_type"), // Medusa writes these two
	wire.Passed[attachment]("id"),
}

// essence is a media type or a disposition without its parameters, in lower case.
func essence(text string) string {
	if plain, _, err := mime.ParseMediaType(text); err == nil {
		return plain
	}
	return text
}

package wire

import (
	"slices"

	"github.com/posthorn/posthorn/handler/mail"
)

// Guards of memory where accept/check has the rule. A text may be Slack times as
// long as its rule allows, so that it is check that says by how much it is over.
const (
	Slack        = 4
	MaxAddresses = 1000 // of to, cc, bcc and replyTo each
	MaxNamed     = Slack * (mail.MaxAddressBytes + mail.MaxDisplayNameBytes)
	MaxHeaders   = 1000
	MaxTags      = 100
	MaxWordBytes = 256 // of a time, a duration, an identifier or one of a few words
)

// acs is ACS's own dialect, with the members that are ours. Source: the REST API
// "Email - Send", api-versions 2023-03-31, 2025-09-01 and their previews since
// 2023-01-15. Names are taken in any case, as ACS takes them.
var acs = Object[mail.Message]{
	Text("senderAddress", Slack*mail.MaxAddressBytes, func(m *mail.Message) *string { return &m.SenderAddress }),
	Text("senderDisplayName", Slack*mail.MaxDisplayNameBytes, func(m *mail.Message) *string { return &m.SenderDisplayName }),
	Nested("content", acsContent, func(m *mail.Message) *mail.Content { return &m.Content }),
	Nested("recipients", acsRecipients, func(m *mail.Message) *mail.Recipients { return &m.Recipients }),
	List("attachments", mail.MaxAttachments, acsAttachment, func(m *mail.Message) *[]mail.Attachment { return &m.Attachments }),
	List("replyTo", MaxAddresses, acsAddress, func(m *mail.Message) *[]mail.Address { return &m.ReplyTo }),
	Pairs("headers", MaxHeaders, Slack*mail.MaxLineBytes, func(m *mail.Message) *map[string]string { return &m.Headers }),
	Flag("userEngagementTrackingDisabled", func(m *mail.Message) *bool { return &m.UserEngagementTrackingDisabled }),
	Nested("delivery", acsDelivery, func(m *mail.Message) *mail.Delivery { return &m.Delivery }),
	Nested("sender", acsSender, func(m *mail.Message) *mail.Message { return m }),
	// ACS knew it in 2021 and passes over it now; Symfony's client still writes it,
	// beside the header X-Priority.
	Passed[mail.Message]("importance"),
	Refused[mail.Message]("senderEmail", oldForm+"Write senderAddress."),
	Refused[mail.Message]("disableUserEngagementTracking", oldForm+"Write userEngagementTrackingDisabled."),
}

// oldForm begins the sentence for a member of a version that ACS never released.
const oldForm = "This is of the form that ACS had in 2021-10-01-preview. "

// acsSender is the sender of 2025-01-01-preview.
var acsSender = Object[mail.Message]{
	Text("address", Slack*mail.MaxAddressBytes, func(m *mail.Message) *string { return &m.SenderAddress }),
	Text("displayName", Slack*mail.MaxDisplayNameBytes, func(m *mail.Message) *string { return &m.SenderDisplayName }),
}

var acsContent = Object[mail.Content]{
	Text("subject", Slack*mail.MaxSubjectBytes, func(c *mail.Content) *string { return &c.Subject }),
	Text("plainText", mail.MaxBodyBytes, func(c *mail.Content) *string { return &c.PlainText }),
	Text("html", mail.MaxBodyBytes, func(c *mail.Content) *string { return &c.HTML }),
}

var acsRecipients = Object[mail.Recipients]{
	List("to", MaxAddresses, acsAddress, func(r *mail.Recipients) *[]mail.Address { return &r.To }),
	List("cc", MaxAddresses, acsAddress, func(r *mail.Recipients) *[]mail.Address { return &r.CC }),
	List("bcc", MaxAddresses, acsAddress, func(r *mail.Recipients) *[]mail.Address { return &r.BCC }),
}

var acsAddress = Object[mail.Address]{
	Text("address", Slack*mail.MaxAddressBytes, func(a *mail.Address) *string { return &a.Address }),
	Text("displayName", Slack*mail.MaxDisplayNameBytes, func(a *mail.Address) *string { return &a.DisplayName }),
	Refused[mail.Address]("email", oldForm+"Write address."),
}

var acsAttachment = Object[mail.Attachment]{
	Text("name", Slack*mail.MaxAttachmentNameBytes, func(a *mail.Attachment) *string { return &a.Name }),
	Text("contentType", Slack*mail.MaxContentTypeBytes, func(a *mail.Attachment) *string { return &a.ContentType }),
	Text("contentId", Slack*mail.MaxContentIDBytes, func(a *mail.Attachment) *string { return &a.ContentID }),
	// Symfony's client writes it so.
	Text("content_id", Slack*mail.MaxContentIDBytes, func(a *mail.Attachment) *string { return &a.ContentID }),
	Encoded("contentInBase64", func(a *mail.Attachment) *mail.Attachment { return a }),
	Text("placement", MaxWordBytes, func(a *mail.Attachment) *mail.Placement { return &a.Placement }),
	Text("uploadId", MaxWordBytes, func(a *mail.Attachment) *string { return &a.UploadID }),
	Refused[mail.Attachment]("attachmentType", oldForm+"Write contentType, with a type such as application/pdf."),
	Refused[mail.Attachment]("contentBytesBase64", oldForm+"Write contentInBase64."),
}

// Delivery is ours in every dialect: what of delivery no other API has words for.
var Delivery = Object[mail.Delivery]{
	Text("whenBusy", MaxWordBytes, func(d *mail.Delivery) *mail.WhenBusy { return &d.WhenBusy }),
	Text("deadline", MaxWordBytes, func(d *mail.Delivery) *string { return &d.Deadline }),
	Text("priority", MaxWordBytes, func(d *mail.Delivery) *mail.Priority { return &d.Priority }),
	Text("linkExpiresAfter", MaxWordBytes, func(d *mail.Delivery) *string { return &d.LinkExpiresAfter }),
}

var acsDelivery = append(slices.Clone(Delivery),
	Text("sendAt", MaxWordBytes, func(d *mail.Delivery) *string { return &d.SendAt }),
	List("tags", MaxTags, Tag, func(d *mail.Delivery) *[]mail.Tag { return &d.Tags }),
)

// Tag is a tag, as ACS's dialect and Resend's have it.
var Tag = Object[mail.Tag]{
	Text("name", Slack*mail.MaxTagBytes, func(t *mail.Tag) *string { return &t.Name }),
	Text("value", Slack*mail.MaxTagBytes, func(t *mail.Tag) *string { return &t.Value }),
}

package wire

import "github.com/posthorn/posthorn/handler/mail"

// Guards of memory where accept/check has the rule. A text may be slack times as
// long as its rule allows, so that it is check that says by how much it is over.
const (
	slack        = 4
	maxAddresses = 1000 // of to, cc, bcc and replyTo each
	maxHeaders   = 1000
	maxTags      = 100
	maxWordBytes = 256 // of a time, a duration, an identifier or one of a few words
)

// acs is ACS's own dialect, with the members that are ours. Source: the REST API
// "Email - Send", api-versions 2023-03-31 and 2025-09-01.
var acs = object[mail.Message]{
	text("senderAddress", slack*mail.MaxAddressBytes, func(m *mail.Message) *string { return &m.SenderAddress }),
	nested("content", acsContent, func(m *mail.Message) *mail.Content { return &m.Content }),
	nested("recipients", acsRecipients, func(m *mail.Message) *mail.Recipients { return &m.Recipients }),
	list("attachments", mail.MaxAttachments, acsAttachment, func(m *mail.Message) *[]mail.Attachment { return &m.Attachments }),
	list("replyTo", maxAddresses, acsAddress, func(m *mail.Message) *[]mail.Address { return &m.ReplyTo }),
	pairs("headers", maxHeaders, slack*mail.MaxLineBytes, func(m *mail.Message) *map[string]string { return &m.Headers }),
	flag("userEngagementTrackingDisabled", func(m *mail.Message) *bool { return &m.UserEngagementTrackingDisabled }),
	nested("delivery", delivery, func(m *mail.Message) *mail.Delivery { return &m.Delivery }),
}

var acsContent = object[mail.Content]{
	text("subject", slack*mail.MaxSubjectBytes, func(c *mail.Content) *string { return &c.Subject }),
	text("plainText", mail.MaxBodyBytes, func(c *mail.Content) *string { return &c.PlainText }),
	text("html", mail.MaxBodyBytes, func(c *mail.Content) *string { return &c.HTML }),
}

var acsRecipients = object[mail.Recipients]{
	list("to", maxAddresses, acsAddress, func(r *mail.Recipients) *[]mail.Address { return &r.To }),
	list("cc", maxAddresses, acsAddress, func(r *mail.Recipients) *[]mail.Address { return &r.CC }),
	list("bcc", maxAddresses, acsAddress, func(r *mail.Recipients) *[]mail.Address { return &r.BCC }),
}

var acsAddress = object[mail.Address]{
	text("address", slack*mail.MaxAddressBytes, func(a *mail.Address) *string { return &a.Address }),
	text("displayName", slack*mail.MaxDisplayNameBytes, func(a *mail.Address) *string { return &a.DisplayName }),
}

var acsAttachment = object[mail.Attachment]{
	text("name", slack*mail.MaxAttachmentNameBytes, func(a *mail.Attachment) *string { return &a.Name }),
	text("contentType", slack*mail.MaxContentTypeBytes, func(a *mail.Attachment) *string { return &a.ContentType }),
	text("contentId", slack*mail.MaxContentIDBytes, func(a *mail.Attachment) *string { return &a.ContentID }),
	encoded("contentInBase64", func(a *mail.Attachment) *mail.Attachment { return a }),
	text("placement", maxWordBytes, func(a *mail.Attachment) *mail.Placement { return &a.Placement }),
	text("uploadId", maxWordBytes, func(a *mail.Attachment) *string { return &a.UploadID }),
}

// delivery is ours in every dialect.
var delivery = object[mail.Delivery]{
	text("sendAt", maxWordBytes, func(d *mail.Delivery) *string { return &d.SendAt }),
	text("whenBusy", maxWordBytes, func(d *mail.Delivery) *mail.WhenBusy { return &d.WhenBusy }),
	text("deadline", maxWordBytes, func(d *mail.Delivery) *string { return &d.Deadline }),
	text("priority", maxWordBytes, func(d *mail.Delivery) *mail.Priority { return &d.Priority }),
	text("linkExpiresAfter", maxWordBytes, func(d *mail.Delivery) *string { return &d.LinkExpiresAfter }),
	list("tags", maxTags, tag, func(d *mail.Delivery) *[]mail.Tag { return &d.Tags }),
}

var tag = object[mail.Tag]{
	text("name", slack*mail.MaxTagBytes, func(t *mail.Tag) *string { return &t.Name }),
	text("value", slack*mail.MaxTagBytes, func(t *mail.Tag) *string { return &t.Value }),
}

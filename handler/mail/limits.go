package mail

import "time"

// Limits of ACS Email. Source: learn.microsoft.com, "Service limits for Azure
// Communication Services", section Email.
const (
	// MaxRecipients counts to, cc and bcc together.
	MaxRecipients = 50
	// MaxACSRequestBytes is the whole request to ACS, after Base64. Microsoft
	// raises it on request, so it is also a setting.
	MaxACSRequestBytes = 10 << 20
)

// Limits of addresses and lines.
const (
	// MaxLocalPartBytes: RFC 5321 section 4.5.3.1.1.
	MaxLocalPartBytes = 64
	// MaxDomainBytes: RFC 5321 section 4.5.3.1.2.
	MaxDomainBytes = 255
	// MaxAddressBytes is a path of 256 less its angle brackets: RFC 5321
	// section 4.5.3.1.3 and erratum 1690 of RFC 3696.
	MaxAddressBytes = 254
	// MaxLineBytes is a line without CRLF: RFC 5322 section 2.1.1.
	MaxLineBytes = 998
)

// Limits of our own, where no source gives one.
const (
	// MaxDisplayNameBytes keeps an address with its name on one header line.
	MaxDisplayNameBytes = 256
	// MaxSubjectBytes is one header line.
	MaxSubjectBytes = MaxLineBytes
	// MaxBodyBytes holds for plainText and for html each: a body as large as
	// the whole request could never go.
	MaxBodyBytes = MaxACSRequestBytes
	// MaxAttachments holds for one message.
	MaxAttachments = 100
	// MaxAttachmentNameBytes is what common file systems take.
	MaxAttachmentNameBytes = 255
	// MaxContentTypeBytes holds for attachments[].contentType.
	MaxContentTypeBytes = 255
	// MaxContentIDBytes holds for attachments[].contentId.
	MaxContentIDBytes = 255
	// MaxHeaders holds for headers, MaxReplyTo for replyTo.
	MaxHeaders = 50
	// MaxHeaderNameBytes is ours; a header's name and value share a line.
	MaxHeaderNameBytes = 76
	// MaxReplyTo holds for replyTo.
	MaxReplyTo = 50
	// MaxLanguageBytes holds for Content-Language: twice what BCP 47 section 4.4.1
	// reckons with.
	MaxLanguageBytes = 64
	// MaxTags holds for delivery.tags.
	MaxTags = 10
	// MaxTagBytes holds for the name and for the value of a tag.
	MaxTagBytes = 256
)

// Messages that wait.
const (
	// MaxWait is how far ahead sendAt may be, and the deadline of a message that
	// names none.
	MaxWait = 7 * 24 * time.Hour
)

// Links to moved attachments.
const (
	// DefaultLinkLife is used when delivery.linkExpiresAfter is absent.
	DefaultLinkLife = 30 * 24 * time.Hour
	// MinLinkLife is the shortest that makes sense for mail.
	MinLinkLife = time.Hour
	// MaxLinkLife bounds what a caller may keep in storage.
	MaxLinkLife = 365 * 24 * time.Hour
	// ClickSASLife is how long the address behind a clicked link works.
	ClickSASLife = 15 * time.Minute
)

// Shape of the JSON.
const (
	// MaxDepth is the nesting of objects and arrays that a body may have.
	MaxDepth = 32
)

package mail

import "time"

// Limits of ACS Email. Source: learn.microsoft.com, "Service limits for Azure
// Communication Services", section Email.
const (
	// MaxRecipients counts `to`, `cc` and `bcc` together.
	MaxRecipients = 50 // recipients of a message
	// MaxACSRequestBytes is the size after Base64. Microsoft raises it on request,
	// so it is also a setting.
	MaxACSRequestBytes = 10 << 20 // request to ACS
)

// Limits of addresses and lines.
const (
	// MaxLocalPartBytes: RFC 5321 section 4.5.3.1.1.
	MaxLocalPartBytes = 64 // local part of an address
	// MaxDomainBytes: RFC 5321 section 4.5.3.1.2.
	MaxDomainBytes = 255 // domain of an address
	// MaxAddressBytes is a path of 256 less its angle brackets: RFC 5321
	// section 4.5.3.1.3 and erratum 1690 of RFC 3696.
	MaxAddressBytes = 254 // address
	// MaxLineBytes is a line without CRLF: RFC 5322 section 2.1.1.
	MaxLineBytes = 998 // line of a header
)

// Limits of our own, where no source gives one.
const (
	// MaxDisplayNameBytes keeps an address with its name on one header line.
	MaxDisplayNameBytes = 256 // display name
	// MaxSubjectBytes is one header line.
	MaxSubjectBytes = MaxLineBytes // `content.subject`
	// MaxBodyBytes holds for each of the two. A larger body fits no request to ACS.
	MaxBodyBytes = MaxACSRequestBytes // `content.plainText`, `content.html`
	// MaxAttachments includes attachments that become links.
	MaxAttachments = 100 // attachments of a message
	// MaxAttachmentNameBytes is what common file systems take.
	MaxAttachmentNameBytes = 255 // `attachments[].name`
	// MaxContentTypeBytes is far above any type in use.
	MaxContentTypeBytes = 255 // `attachments[].contentType`
	// MaxContentIDBytes is far above any id in use.
	MaxContentIDBytes = 255 // `attachments[].contentId`
	// MaxHeaders is a number of headers.
	MaxHeaders = 50 // `headers`
	// MaxHeaderNameBytes leaves room on the line: the name and the value share it.
	MaxHeaderNameBytes = 76 // name of a header
	// MaxReplyTo is a number of addresses.
	MaxReplyTo = 50 // `replyTo`
	// MaxLanguageBytes is about twice what BCP 47 section 4.4.1 recommends.
	MaxLanguageBytes = 64 // `Content-Language`
	// MaxTags is a number of tags.
	MaxTags = 10 // `delivery.tags`
	// MaxTagBytes holds for each of the two.
	MaxTagBytes = 256 // name or value of a tag
)

// Messages that wait.
const (
	// MaxWait is the maximum time ahead, and the default of the deadline.
	MaxWait = 7 * 24 * time.Hour // `delivery.sendAt`, `delivery.deadline`
)

// Links to moved attachments.
const (
	// DefaultLinkLife holds without `delivery.linkExpiresAfter`.
	DefaultLinkLife = 30 * 24 * time.Hour // life of a link, default
	// MinLinkLife is the shortest life that makes sense for mail.
	MinLinkLife = time.Hour // life of a link, minimum
	// MaxLinkLife bounds what a caller may keep in storage.
	MaxLinkLife = 365 * 24 * time.Hour // life of a link, maximum
	// ClickSASLife is how long the address behind a clicked link works.
	ClickSASLife = 15 * time.Minute // address behind a link
)

// Shape of the JSON.
const (
	// MaxDepth counts nested objects and arrays.
	MaxDepth = 32 // depth of the JSON
)

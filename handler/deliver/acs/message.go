package acs

// Message is one e-mail. It has the fields of EmailMessage in the service's
// specification. The service checks them, and answers with an *Error. Text that is not
// UTF-8 is sent with U+FFFD in place of every wrong byte.
//
// A Message must not change while a Send is under way.
type Message struct {
	// SenderAddress is a bare address on a domain that is verified and linked.
	SenderAddress string
	// SenderDisplayName is shown beside it, in place of the name that belongs to
	// the domain's senderUsernames. It needs APIVersion20250115Preview.
	SenderDisplayName string
	Subject           string
	// PlainText and HTML: at least one is needed; an empty one is left out.
	PlainText, HTML string
	// To, CC and BCC hold at most 50 recipients together.
	To, CC, BCC []Address
	ReplyTo     []Address
	// Headers are further headers of the mail, one value a name.
	Headers map[string]string
	// Attachments include inline images.
	Attachments []Attachment
	// UserEngagementTrackingDisabled turns tracking off for this message where
	// the domain has it on; it cannot turn it on.
	UserEngagementTrackingDisabled bool
}

// Address is a mailbox and the name shown beside it.
type Address struct {
	Address     string `json:"address"`
	DisplayName string `json:"displayName,omitempty"`
}

// Attachment is a file that travels within the message.
type Attachment struct {
	Name string `json:"name"`
	// ContentType is a MIME type. The service refuses types that it does not know.
	ContentType string `json:"contentType"`
	// ContentID makes the attachment an inline image, shown where the HTML says
	// cid: and this id. It needs api-version 2025-09-01.
	ContentID string `json:"contentId,omitempty"`
	// Content is the file itself. Send encodes it while it writes.
	Content []byte `json:"-"`
}

// Size is the exact length in bytes of the request's body that Send would write,
// Base64 included. Size does not build the body. Of nil it is 0. The service takes
// 10 MB unless Microsoft has raised that limit for the subscription.
func (m *Message) Size() int64 {
	if m == nil {
		return 0
	}
	return newBody(m).size
}

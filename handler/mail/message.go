// Package mail holds the words of the product: a message, its addresses, its
// attachments, the links that take the place of attachments too large to send,
// and the limits that all of them must keep.
//
// It does no I/O and decides nothing: accept/wire fills a Message, accept/check
// says what is wrong with it, deliver/* sends it. The JSON names are those of
// ACS's own `POST /emails:send` (api-versions 2023-03-31, 2025-09-01 and, for
// senderDisplayName, 2025-01-15-preview), which is the native dialect; `delivery` and the members marked below are ours.
//
// All sizes are bytes, before Base64 unless a name says otherwise.
package mail

import (
	"slices"
	"strings"
	"time"
)

// Message is one e-mail to send.
type Message struct {
	SenderAddress                  string            `json:"senderAddress"`
	SenderDisplayName              string            `json:"senderDisplayName,omitempty"`
	Content                        Content           `json:"content"`
	Recipients                     Recipients        `json:"recipients"`
	Attachments                    []Attachment      `json:"attachments,omitempty"`
	ReplyTo                        []Address         `json:"replyTo,omitempty"`
	Headers                        map[string]string `json:"headers,omitempty"`
	UserEngagementTrackingDisabled bool              `json:"userEngagementTrackingDisabled,omitempty"`
	Delivery                       Delivery          `json:"delivery,omitzero"` // ours

	// Language is the BCP 47 tag in which a recipient is addressed by text
	// that Posthorn adds; empty means the deployment's default.
	Language string `json:"-"`
	// Redirected says that the recipients are not those whom the sender named: the bodies
	// name them on top.
	Redirected bool `json:"-"`
}

// Bytes is about how much memory m takes: its bodies and what it carries.
func (m *Message) Bytes() int {
	n := len(m.Content.Subject) + len(m.Content.PlainText) + len(m.Content.HTML)
	for _, a := range m.Attachments {
		n += len(a.Content)
	}
	return n
}

// Content is the subject and the bodies. At least one body is not empty.
type Content struct {
	Subject   string `json:"subject"`
	PlainText string `json:"plainText,omitempty"`
	HTML      string `json:"html,omitempty"`
}

// Recipients are at most MaxRecipients over the three lists.
type Recipients struct {
	To  []Address `json:"to,omitempty"`
	CC  []Address `json:"cc,omitempty"`
	BCC []Address `json:"bcc,omitempty"`
}

// All returns to, cc and bcc in this order.
func (r Recipients) All() []Address {
	all := make([]Address, 0, len(r.To)+len(r.CC)+len(r.BCC))
	all = append(all, r.To...)
	all = append(all, r.CC...)
	return append(all, r.BCC...)
}

// Domains are those of all recipients, each once, in order.
func (r Recipients) Domains() []string {
	var list []string
	for _, a := range r.All() {
		_, domain, _ := strings.Cut(a.Address, "@")
		list = append(list, domain)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Address is a mailbox of RFC 5321 section 4.1.2 and the name shown beside it.
type Address struct {
	Address     string `json:"address"`
	DisplayName string `json:"displayName,omitempty"`
}

// Attachment describes one attachment; its bytes travel beside it, because
// they may be many and may leave the message for Blob Storage.
type Attachment struct {
	Name        string    `json:"name"`
	ContentType string    `json:"contentType"`
	ContentID   string    `json:"contentId,omitempty"` // for cid: in HTML; makes it an inline image
	Placement   Placement `json:"placement,omitempty"` // ours
	UploadID    string    `json:"uploadId,omitempty"`  // ours

	// HasContent says that contentInBase64 was a member, even an empty one.
	HasContent bool `json:"-"`
	// Size and SHA256 are those of the content after Base64.
	Size   int64    `json:"-"`
	SHA256 [32]byte `json:"-"`
	// Content is what goes to ACS with the message; nil once it has moved to
	// Blob Storage.
	Content []byte `json:"-"`
}

// Placement says where the sender wants an attachment to be.
type Placement string

// The placements. The empty one means PlacementAuto.
const (
	PlacementAuto   Placement = "auto"   // in the message if it fits, else a link
	PlacementInline Placement = "inline" // in the message, or the message is refused
	PlacementLink   Placement = "link"   // always a link
)

// Delivery is what ACS has no word for: Posthorn's own member of a message.
// Times and durations are kept as they came; check says whether they hold.
type Delivery struct {
	SendAt           string   `json:"sendAt,omitempty"`           // RFC 3339
	WhenBusy         WhenBusy `json:"whenBusy,omitempty"`         //
	Deadline         string   `json:"deadline,omitempty"`         // RFC 3339
	Priority         Priority `json:"priority,omitempty"`         //
	LinkExpiresAfter string   `json:"linkExpiresAfter,omitempty"` // ISO 8601 duration
	Tags             []Tag    `json:"tags,omitempty"`
}

// WhenBusy says what to do while the quota has no room.
type WhenBusy string

// The ways to meet a full quota.
const (
	WhenBusyWait   WhenBusy = "wait"
	WhenBusyRefuse WhenBusy = "refuse"
)

// Priority says which message goes first when several wait.
type Priority string

// The priorities. The empty one means PriorityNormal.
const (
	PriorityHigh   Priority = "high"
	PriorityNormal Priority = "normal"
	PriorityBulk   Priority = "bulk"
)

// Tag is a name and a value that stay with the record of a message.
type Tag struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Link stands in a message for an attachment that was moved to Blob Storage.
type Link struct {
	Index   int       `json:"attachment"` // position in the caller's attachments
	Name    string    `json:"name"`
	Size    int64     `json:"size"`
	URL     string    `json:"url"`
	Expires time.Time `json:"expires"`
}

package inbox

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"regexp"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
)

const (
	// searchedBytes of each body are kept for the search, lower case.
	searchedBytes = 64 << 10
	// snippetRunes of the text are shown in the list.
	snippetRunes = 140
)

// Summary is what the list shows of a message. It does not change.
type Summary struct {
	ID          string          `json:"id"`
	OperationID string          `json:"operationId"`
	At          time.Time       `json:"receivedAt"`
	From        string          `json:"from"`
	FromName    string          `json:"fromName,omitempty"`
	Recipients  mail.Recipients `json:"recipients"`
	Subject     string          `json:"subject"`
	Snippet     string          `json:"snippet"`
	Size        int64           `json:"size"` // of the request
	// AttachmentCount spares a list the attachments themselves.
	AttachmentCount int `json:"attachmentCount"`

	searched string
}

// Message is a message in full, but for the bytes of its attachments.
type Message struct {
	*Summary
	Text    string            `json:"text"`
	HTML    string            `json:"html"`
	ReplyTo []mail.Address    `json:"replyTo"`
	Headers map[string]string `json:"headers"`
	// Attachments are in the order of the request.
	Attachments []Attachment `json:"attachments"`

	UserEngagementTrackingDisabled bool `json:"userEngagementTrackingDisabled"`
}

// Attachment is a file of a message.
type Attachment struct {
	Name        string `json:"name"`
	ContentType string `json:"contentType"`
	ContentID   string `json:"contentId,omitempty"`
	Size        int    `json:"size"`
	SHA256      string `json:"sha256"` // hexadecimal
	URL         string `json:"url"`

	content []byte
}

// request is EmailMessage, as far as it is shown.
type request struct {
	SenderAddress string            `json:"senderAddress"`
	SenderName    string            `json:"senderDisplayName"`
	Content       mail.Content      `json:"content"`
	Recipients    mail.Recipients   `json:"recipients"`
	ReplyTo       []mail.Address    `json:"replyTo"`
	Headers       map[string]string `json:"headers"`
	Attachments   []struct {
		Name            string `json:"name"`
		ContentType     string `json:"contentType"`
		ContentID       string `json:"contentId"`
		ContentInBase64 []byte `json:"contentInBase64"`
	} `json:"attachments"`
	UserEngagementTrackingDisabled bool `json:"userEngagementTrackingDisabled"`
}

func parse(body []byte) (*request, error) {
	r := &request{}
	if err := json.Unmarshal(body, r); err != nil {
		return nil, fmt.Errorf("the request is not an e-mail message: %w", err)
	}
	return r, nil
}

func summarize(body []byte) (*Summary, error) {
	r, err := parse(body)
	if err != nil {
		return nil, err
	}
	text, fromHTML := clip(r.Content.PlainText, searchedBytes), clip(textOf(r.Content.HTML), searchedBytes)
	s := &Summary{
		From: r.SenderAddress, FromName: r.SenderName, Recipients: r.Recipients, Subject: r.Content.Subject,
		Snippet: snippet(cmp.Or(text, fromHTML)), Size: int64(len(body)), AttachmentCount: len(r.Attachments),
	}
	searched := []string{s.From, s.FromName, s.Subject}
	for _, a := range s.Recipients.All() {
		searched = append(searched, a.Address, a.DisplayName)
	}
	s.searched = strings.ToLower(strings.Join(append(searched, text, fromHTML), "\n"))
	return s, nil
}

func expand(s *Summary, body []byte) (*Message, error) {
	r, err := parse(body)
	if err != nil {
		return nil, err
	}
	m := &Message{
		Summary: s, Text: r.Content.PlainText, HTML: r.Content.HTML, ReplyTo: r.ReplyTo, Headers: r.Headers,
		Attachments: []Attachment{}, UserEngagementTrackingDisabled: r.UserEngagementTrackingDisabled,
	}
	for n, a := range r.Attachments {
		sum := sha256.Sum256(a.ContentInBase64)
		m.Attachments = append(m.Attachments, Attachment{
			Name: a.Name, ContentType: a.ContentType, ContentID: a.ContentID,
			Size: len(a.ContentInBase64), SHA256: hex.EncodeToString(sum[:]),
			URL: fmt.Sprintf("/api/messages/%s/attachments/%d", s.ID, n), content: a.ContentInBase64,
		})
	}
	return m, nil
}

func searchWords(query string) []string { return strings.Fields(strings.ToLower(query)) }

// matches says whether every word stands somewhere in the message.
func (s *Summary) matches(words []string) bool {
	for _, w := range words {
		if !strings.Contains(s.searched, w) {
			return false
		}
	}
	return true
}

var (
	unseen = regexp.MustCompile(`(?is)<(style|script|head)\b.*?</(style|script|head)>|<!--.*?-->`)
	tag    = regexp.MustCompile(`(?s)<[^>]*>`)
)

// textOf is the text of HTML well enough for searching and for a snippet. Its
// result is text and must be escaped like any other.
func textOf(source string) string {
	return html.UnescapeString(tag.ReplaceAllString(unseen.ReplaceAllString(clip(source, 4*searchedBytes), " "), " "))
}

func snippet(text string) string {
	runes := []rune(strings.Join(strings.Fields(clip(text, 8*snippetRunes)), " "))
	if len(runes) > snippetRunes {
		return string(runes[:snippetRunes]) + "…"
	}
	return string(runes)
}

// clip cuts s to at most n bytes of whole characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

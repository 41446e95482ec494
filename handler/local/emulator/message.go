package emulator

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/posthorn/posthorn/handler/mail"
)

// message is what the emulator looks at in an EmailMessage. Pointers tell an
// absent member from an empty one.
type message struct {
	SenderAddress *string `json:"senderAddress"`
	SenderName    *string `json:"senderDisplayName"`
	Content       *struct {
		Subject   *string `json:"subject"`
		PlainText string  `json:"plainText"`
		HTML      string  `json:"html"`
	} `json:"content"`
	Recipients  *recipients       `json:"recipients"`
	Attachments []attachment      `json:"attachments"`
	ReplyTo     []address         `json:"replyTo"`
	Headers     map[string]string `json:"headers"`
	// Tracking is here for its type to be checked.
	Tracking *bool `json:"userEngagementTrackingDisabled"`
}

type recipients struct {
	To  []address `json:"to"`
	CC  []address `json:"cc"`
	BCC []address `json:"bcc"`
}

type address struct {
	Address     *string `json:"address"`
	DisplayName string  `json:"displayName"`
}

type attachment struct {
	Name            *string `json:"name"`
	ContentType     *string `json:"contentType"`
	ContentInBase64 *string `json:"contentInBase64"`
	ContentID       *string `json:"contentId"`
}

// Headers that ACS reserves for itself. Source: learn.microsoft.com, "Custom email
// headers".
const (
	ignoreDuplicateContentID = "x-ms-acsemail-ignore-duplicate-content-id"
	validateMessageID        = "x-ms-acsemail-validate-message-id"
)

// checkedID is the Message-ID of a message that asks for it to be checked.
func (m *message) checkedID() string {
	if !m.asks(validateMessageID) {
		return ""
	}
	return m.header("Message-ID")
}

// addressForm is deliberately plain: ACS does not say which addresses it takes.
var addressForm = regexp.MustCompile(`^[^\s@<>(),;:"\[\]\\]{1,64}@([\pL\pN]([\pL\pN-]{0,61}[\pL\pN])?\.)+[\pL\pN]([\pL\pN-]{0,61}[\pL\pN])$`)

// parse reads and checks the body of a send call.
func parse(body []byte, version string) (*message, *refusal) {
	m := &message{}
	if err := json.Unmarshal(body, m); err != nil {
		if wrongType, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrongType.Field != "" {
			return nil, invalid(wrongType.Field)
		}
		return nil, badRequest("Request body validation error. The body is not a JSON object.")
	}
	for _, check := range []func() *refusal{m.checkContent, m.checkHeaders, m.checkAddresses,
		func() *refusal { return m.checkSenderName(version) }, m.checkAttachments} {
		if refused := check(); refused != nil {
			return nil, refused
		}
	}
	return m, nil
}

func (m *message) checkContent() *refusal {
	switch {
	case m.SenderAddress == nil || *m.SenderAddress == "":
		return invalid("senderAddress")
	case m.Content == nil:
		return invalid("content")
	case m.Content.Subject == nil || *m.Content.Subject == "":
		return invalid("content.subject")
	case m.Content.PlainText == "" && m.Content.HTML == "":
		return invalid("content")
	}
	return nil
}

func (m *message) checkAddresses() *refusal {
	if m.Recipients == nil {
		return invalid("recipients")
	}
	lists := []struct {
		name string
		list []address
	}{{"recipients.to", m.Recipients.To}, {"recipients.cc", m.Recipients.CC}, {"recipients.bcc", m.Recipients.BCC}, {"replyTo", m.ReplyTo}}
	for _, l := range lists {
		for i, a := range l.list {
			if a.Address == nil {
				return invalid(fmt.Sprintf("%s[%d].address", l.name, i))
			}
			if !isLine(a.DisplayName) {
				return invalid(fmt.Sprintf("%s[%d].displayName", l.name, i))
			}
			if !addressForm.MatchString(*a.Address) {
				return invalidAddress()
			}
		}
	}
	if n := len(m.recipients()); n == 0 || n > mail.MaxRecipients {
		return invalid("recipients")
	}
	// ACS takes a sender in angle brackets, and calls a wrong one an invalid member.
	if !addressForm.MatchString(m.sender()) {
		return invalid("senderAddress")
	}
	return nil
}

// sender is the address alone.
func (m *message) sender() string {
	if inner, ok := strings.CutPrefix(*m.SenderAddress, "<"); ok && strings.HasSuffix(inner, ">") {
		return strings.TrimSuffix(inner, ">")
	}
	return *m.SenderAddress
}

func (m *message) checkSenderName(version string) *refusal {
	if m.SenderName != nil && (version != preview2025 || !isLine(*m.SenderName)) {
		return invalid("senderDisplayName")
	}
	return nil
}

// headerName is RFC 5322's field-name.
var headerName = regexp.MustCompile(`^[!-9;-~]+$`)

// isLine says whether a text can be the value of a header: ACS encodes what is not
// ASCII, and nothing could encode a line break.
func isLine(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\t' })
}

// checkHeaders refuses what no mail can have. It is not known how ACS does.
func (m *message) checkHeaders() *refusal {
	if !isLine(*m.Content.Subject) {
		return invalid("content.subject")
	}
	for name, value := range m.Headers {
		if !headerName.MatchString(name) || !isLine(value) {
			return invalid("headers")
		}
	}
	return nil
}

func invalidAddress() *refusal {
	return &refusal{status: http.StatusBadRequest, code: "InvalidEmailAddress", message: "Invalid format for email address"}
}

func (m *message) checkAttachments() *refusal {
	seen := map[string]bool{}
	for i, a := range m.Attachments {
		at := fmt.Sprintf("attachments[%d].", i)
		switch {
		case a.Name == nil || *a.Name == "":
			return invalid(at + "name")
		case a.ContentType == nil || !mediaType(*a.ContentType):
			return invalid(at + "contentType")
		case a.ContentInBase64 == nil || *a.ContentInBase64 == "":
			return invalid(at + "contentInBase64")
		case a.ContentID != nil && seen[*a.ContentID] && !m.asks(ignoreDuplicateContentID):
			return invalid(at + "contentId")
		}
		if _, err := base64.StdEncoding.DecodeString(*a.ContentInBase64); err != nil {
			return badRequest("ContentBytes invalid. Should be base64.")
		}
		if a.ContentID != nil {
			seen[*a.ContentID] = true
		}
	}
	return nil
}

func mediaType(s string) bool {
	t, _, err := mime.ParseMediaType(s)
	return err == nil && strings.Count(t, "/") == 1
}

// header returns the value of a header, whose name is written in any case.
func (m *message) header(name string) string {
	for k, v := range m.Headers {
		if strings.EqualFold(k, name) {
			return v
		}
	}
	return ""
}

// asks says whether a header that ACS reserves is set to true.
func (m *message) asks(name string) bool { return strings.EqualFold(m.header(name), "true") }

// recipients returns to, cc and bcc; the addresses are there once m is checked.
func (m *message) recipients() []string {
	var all []string
	for _, a := range slices.Concat(m.Recipients.To, m.Recipients.CC, m.Recipients.BCC) {
		all = append(all, *a.Address)
	}
	return all
}

func (e *Emulator) checkSender(m *message) *refusal {
	_, domain, _ := strings.Cut(m.sender(), "@")
	linked := len(e.cfg.SenderDomains) == 0 || slices.ContainsFunc(e.cfg.SenderDomains, func(d string) bool { return strings.EqualFold(d, domain) })
	if !linked {
		return &refusal{status: http.StatusNotFound, code: "DomainNotLinked", message: "The specified sender domain has not been linked."}
	}
	return nil
}

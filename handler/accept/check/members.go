package check

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// members holds each member of m by itself.
func members(f *violations, m *mail.Message) {
	f.form("/senderAddress", m.SenderAddress, required, mailbox)
	f.text("/senderDisplayName", m.SenderDisplayName, mail.MaxDisplayNameBytes, mail.Line)
	f.text("/content/subject", m.Content.Subject, mail.MaxSubjectBytes, required, mail.Seen, mail.Line)
	f.text("/content/plainText", m.Content.PlainText, mail.MaxBodyBytes, validUTF8)
	f.text("/content/html", m.Content.HTML, mail.MaxBodyBytes, validUTF8)
	addresses(f, "/recipients/to/", m.Recipients.To)
	addresses(f, "/recipients/cc/", m.Recipients.CC)
	addresses(f, "/recipients/bcc/", m.Recipients.BCC)
	addresses(f, "/replyTo/", m.ReplyTo)
	for i, a := range m.Attachments {
		here := "/attachments/" + strconv.Itoa(i)
		f.text(here+"/name", a.Name, mail.MaxAttachmentNameBytes)
		f.text(here+"/contentType", a.ContentType, mail.MaxContentTypeBytes, required, mediaType)
		f.text(here+"/contentId", a.ContentID, mail.MaxContentIDBytes)
		oneOf(f, here+"/placement", a.Placement, mail.PlacementAuto, mail.PlacementInline, mail.PlacementLink)
	}
	for i, t := range m.Delivery.Tags {
		here := "/delivery/tags/" + strconv.Itoa(i)
		f.text(here+"/name", t.Name, mail.MaxTagBytes, required, mail.Line)
		f.text(here+"/value", t.Value, mail.MaxTagBytes, mail.Line)
	}
}

func addresses(f *violations, list string, all []mail.Address) {
	for i, a := range all {
		here := list + strconv.Itoa(i)
		f.form(here+"/address", a.Address, required, mailbox)
		f.text(here+"/displayName", a.DisplayName, mail.MaxDisplayNameBytes, mail.Line)
	}
}

// text holds a text by its form and its size, so that one with two violations has both told.
func (f *violations) text(pointer, s string, limit int, forms ...func(string) error) {
	f.form(pointer, s, forms...)
	if len(s) > limit {
		f.add(pointer, "This is longer than %d bytes.", limit)
	}
}

// form holds a text by forms, up to the first that it has not.
func (f *violations) form(pointer, s string, forms ...func(string) error) {
	for _, form := range forms {
		if err := form(s); err != nil {
			f.add(pointer, "%s", problem.AsSentence(err))
			return
		}
	}
}

var errRequired = errors.New("this is required and may not be empty")

func required(s string) error {
	if s == "" {
		return errRequired
	}
	return nil
}

func mailbox(s string) error {
	_, err := mail.Mailbox(s)
	return err
}

// oneOf holds a word, which may be empty, by the words that there are.
func oneOf[S ~string](f *violations, pointer string, word S, words ...S) {
	if word != "" && !slices.Contains(words, word) {
		f.add(pointer, "This must be one of: %s.", strings.Trim(strings.ReplaceAll(fmt.Sprint(words), " ", ", "), "[]"))
	}
}

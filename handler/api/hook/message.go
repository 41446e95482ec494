package hook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// maxSubjectRunes is what a list of messages still shows, and then some.
const maxSubjectRunes = 200

// Messages are what d asks for. A subject that comes out empty asks for nothing.
// What is wrong with the payload is a problem for its sender; a template that
// cannot render it is the TemplateError of a message in the generic layout.
func (h Hook) Messages(ctx context.Context, d Delivery) ([]Message, error) {
	all, err := h.items(ctx, d)
	if err != nil {
		return nil, err
	}
	var messages []Message
	for i, item := range all {
		name := h.deliveryName(d, item, i)
		render := h.message
		if h.IsForm() {
			render = h.formMessage
		}
		m, err := render(d, item)
		if problem.Is(err, problem.InvalidMessage) {
			messages = append(messages, Message{Refused: err})
			continue
		}
		if err != nil {
			return nil, err
		}
		if m.Content.Subject == "" {
			continue
		}
		m.OperationID = name
		messages = append(messages, m)
	}
	return messages, nil
}

// message makes one message of one item.
func (h Hook) message(d Delivery, item value) (Message, error) {
	// A template's time is the processor's, whatever the time of the delivery.
	s := scope{hook: h.Name, form: h.IsForm(), payload: item, header: h.readable(d.Header), now: time.Now}
	content, failed := h.content(s)
	if failed != nil {
		said := content.Subject
		if content = fallback(s); said != "" { // the subject did not fail
			content.Subject = said
		}
	}
	p := h.Policy
	to, err := p.recipients(item)
	if err != nil {
		return Message{}, err
	}
	m := Message{TemplateError: templateLocation(failed), Message: mail.Message{
		SenderAddress: p.Sender, Content: content,
		Recipients: mail.Recipients{To: addresses(to), CC: addresses(p.CC), BCC: addresses(p.BCC)},
		ReplyTo:    addresses(p.replyTo(item)),
		Delivery:   mail.Delivery{Priority: p.Priority, Tags: p.Tags},
	}}
	if !h.IsForm() {
		// Nobody is there to read an answer of a machine: RFC 3834 section 5.
		m.Headers = map[string]string{"Auto-Submitted": "auto-generated"}
	}
	return m, nil
}

// fallback is the payload as a table, and without HTML if even that is too much for a
// busy machine. It cannot fail.
func fallback(s scope) mail.Content {
	const lead = "The template of this hook could not be used for this payload, which is below as it came.\n\n"
	t, err := builtinTemplate("generic")
	if err == nil {
		if c, err := t.render(s); err == nil {
			c.PlainText = lead + c.PlainText
			return c
		}
	}
	var text strings.Builder
	for _, r := range rows(s.payload) {
		text.WriteString(r.Name + ": " + r.Text + "\n")
	}
	return mail.Content{Subject: "Webhook " + s.hook, PlainText: lead + text.String()}
}

// templateLocations is where a template failed, in its own words. What follows them in an
// error of text/template may quote a value.
var templateLocations = regexp.MustCompile(`^(?:subject|text|html): (?:template: )?[a-z]+:[0-9]+(?::[0-9]+)?(?:: executing "[^"]*" at <[^>]*>)?`)

// templateLocation leaves out of a template's error all that may quote a value.
func templateLocation(failed error) error {
	switch {
	case failed == nil:
		return nil
	case wasStopped(failed), errors.Is(failed, errEmpty):
		return failed
	}
	if at := templateLocations.FindString(failed.Error()); at != "" {
		return errors.New(at)
	}
	return errors.New("the template failed")
}

// wasStopped says whether a template was stopped.
func wasStopped(failed error) bool {
	return errors.Is(failed, errSteps) || errors.Is(failed, errOutput) || errors.Is(failed, errValue)
}

// content renders the hook's own template, or else the sender's. Where the sender's
// finds members of other types than the sender documents, the operator of the sender has
// shaped the payload. It is then laid out as an unknown payload.
func (h Hook) content(s scope) (mail.Content, error) {
	if h.Template != (Template{}) {
		return h.Template.render(s)
	}
	t, err := builtinTemplate(h.Policy.Builtin)
	if err != nil {
		return mail.Content{}, err
	}
	c, err := t.render(s)
	if err != nil && senders[h.Policy.Builtin].shaped && !wasStopped(err) {
		s.payload = wrapped(s.payload)
		return t.render(s)
	}
	return c, err
}

func (t Template) render(s scope) (c mail.Content, err error) {
	if c.Subject, err = execute(t.Subject, false, s); err != nil {
		return c, fmt.Errorf("subject: %w", err)
	}
	if c.Subject = subjectLine(c.Subject); c.Subject == "" {
		return c, nil
	}
	if mail.Seen(c.Subject) != nil { // the payload's words, so no wish to send nothing
		c.Subject = "Webhook " + s.hook
	}
	s.subject = c.Subject
	if t.Text != "" {
		if c.PlainText, err = execute(t.Text, false, s); err != nil {
			return c, fmt.Errorf("text: %w", err)
		}
		if t.Text == t.HTML { // each part begins and ends with a gap
			c.PlainText = gaps.ReplaceAllString(c.PlainText, "\n\n")
		}
		c.PlainText = strings.TrimSpace(c.PlainText) + "\n"
	}
	if t.HTML != "" {
		if c.HTML, err = execute(t.HTML, true, s); err != nil {
			return c, fmt.Errorf("html: %w", err)
		}
	}
	if c.PlainText == "" && c.HTML == "" {
		return c, errEmpty
	}
	return c, nil
}

// subjectLine puts a subject on one line and takes out what check refuses there:
// what ends a line, hides in it, or turns the direction of text. An encoded word that
// hides such a thing is left as text that no mail program decodes.
func subjectLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Bidi_Control, r), r >= 0xE0000 && r <= 0xE007F: // tags
			return -1
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return ' '
		}
		return r
	}, s)
	s = clip(strings.Join(strings.Fields(s), " "), maxSubjectRunes)
	if mail.Line(s) != nil {
		s = strings.ReplaceAll(s, "=?", "= ?")
	}
	return s
}

// readable are the headers that the sender's template may read.
func (h Hook) readable(all http.Header) http.Header {
	some := http.Header{}
	for _, name := range senders[h.Policy.Builtin].headers {
		if of := all.Get(name); of != "" {
			some.Set(name, of)
		}
	}
	return some
}

// recipients are those that the payload names, if it may, else the fixed ones.
func (p Policy) recipients(item value) ([]string, error) {
	if p.ToFrom == "" {
		return p.To, nil
	}
	var to []string
	for _, word := range item.at(p.ToFrom).words() {
		mailbox, err := mail.Mailbox(word)
		if err != nil || !p.allows(mailbox) {
			return nil, problem.New(problem.InvalidMessage, "The payload names a recipient at %s that this hook does not allow.", p.ToFrom)
		}
		if !slices.Contains(to, mailbox) {
			to = append(to, mailbox)
		}
	}
	if len(to) > 0 {
		return to, nil
	}
	if len(p.To) == 0 {
		return nil, problem.New(problem.InvalidMessage, "The payload names no recipient at %s, and this hook has none of its own.", p.ToFrom)
	}
	return p.To, nil
}

func (p Policy) allows(mailbox string) bool {
	return slices.ContainsFunc(p.Allow, func(a string) bool { return mail.Fits(a, mailbox) })
}

// replyTo are the addresses for Reply-To.
func (p Policy) replyTo(item value) []string {
	if p.ReplyToFrom != "" {
		if mailbox, err := mail.Mailbox(strings.TrimSpace(item.at(p.ReplyToFrom).text)); err == nil {
			return []string{mailbox}
		}
	}
	return p.ReplyTo
}

func addresses(list []string) []mail.Address {
	all := make([]mail.Address, len(list))
	for i, a := range list {
		all[i].Address = a
	}
	return all
}

// deliveryName makes an operation id of what names the i-th item of d. Without a
// name of the sender's the body is the name, for as long as RepeatWindow. A hook that
// was made anew knows nothing of the one before it.
func (h Hook) deliveryName(d Delivery, item value, i int) string {
	kind, of, _ := strings.Cut(h.Policy.Dedupe, ":")
	name := ""
	switch kind {
	case "none":
		return ""
	case "header":
		name = d.Header.Get(of)
	case "member":
		name = item.at(of).line()
	default:
		if id := senders[h.Policy.Builtin].id; id != nil {
			name = id(d.Header, item, d.Body)
		}
	}
	if name == "" {
		sum := sha256.Sum256(d.Body)
		window := d.At.Truncate(RepeatWindow).Unix()
		name = fmt.Sprintf("body %s %d %d", hex.EncodeToString(sum[:]), window, i)
	}
	return uuid.NewHash(sha256.New(), uuid.Nil, []byte("posthorn hook delivery\x00"+h.Name+"\x00"+strconv.FormatInt(h.Began, 10)+"\x00"+name), 8).String()
}

package hook

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// Fields of a form that are for us: those that begin with an underscore, as the services
// for forms have them, and what captchas and those services put in. Sources:
// help.formspree.io, "Honeypot spam filtering" and "Email subject"; formsubmit.co,
// "Documentation"; docs.netlify.com, "Forms setup" and "Spam filters"; docs.web3forms.com,
// "Spam protection"; developers.google.com/recaptcha, docs.hcaptcha.com,
// developers.cloudflare.com/turnstile and developer.friendlycaptcha.com, each on the
// token in the form.
const (
	nextField    = "_next"    // the page after success
	replyToField = "_replyto" // address for Reply-To
	subjectField = "_subject" // the subject, but for the name of the form
	charsetField = "_charset_"
)

// honeypots are the usual names of the field that only robots fill in.
var honeypots = []string{DefaultHoneypot, "_honey", "bot-field", "botcheck"}

// hiddenFields are left out of a message: the tokens of captchas, and what says which form
// it is.
var hiddenFields = []string{
	"g-recaptcha-response", "recaptcha_response", "recaptcha-token", "recaptcha_token", "h-captcha-response", "cf-turnstile-response",
	"frc-captcha-response", "frc-captcha-solution", "form-name",
}

// usualReplyTo stands for the usual fields for the visitor's own address.
const usualReplyTo = "/email"

// replyToFields are those fields, in lower case and in the order in which they count.
var replyToFields = []string{replyToField, "_reply_to", "email", "e-mail", "mail", "email_address", "email-address", "emailaddress", "your-email", "your_email", "from"}

// anySite among the origins of a form allows every site.
const anySite = "*"

// IsForm says whether h takes an HTML form.
func (h Hook) IsForm() bool { return h.Policy.Form != nil }

// AllowsOrigin says whether a site has the form. The origin "null" stands
// for a hidden site; only * allows it.
func (h Hook) AllowsOrigin(origin string) bool {
	f := h.Policy.Form
	return f != nil && origin != "" && (slices.Contains(f.Origins, anySite) || slices.Contains(f.Origins, strings.ToLower(origin)))
}

// fromItsSite looks at Origin, which browsers send with every form, or at Referer.
// That keeps other sites from using the form; it keeps no robot away.
func (h Hook) fromItsSite(header http.Header) error {
	origin := single(header, "Origin")
	if origin == "" || origin == "null" {
		if from, ok := originOf(single(header, "Referer")); ok {
			origin = from
		}
	}
	if h.AllowsOrigin(origin) || slices.Contains(h.Policy.Form.Origins, anySite) {
		return nil
	}
	return problem.New(problem.Forbidden, "This form takes nothing from this site. The operator can add the site's origin.")
}

// Submission is what a form asks for beside its message.
type Submission struct {
	Robot bool   // the honeypot was filled in: say thanks, and send nothing
	Next  string // where the browser goes; "" means our own page
}

// Submission reads the fields of a form that are for us. A page that the form
// names must stand on one of the form's own sites, so that our address leads no visitor
// elsewhere.
func (h Hook) Submission(ctx context.Context, d Delivery) (Submission, error) {
	fields, err := h.payload(ctx, d)
	if err != nil {
		return Submission{}, err
	}
	f := h.Policy.Form
	s := Submission{Next: f.Redirect}
	for _, name := range h.honeypotFields() {
		s.Robot = s.Robot || len(fields.step(name).words()) > 0
	}
	next := fields.step(nextField).text
	if origin, ok := originOf(next); ok && slices.Contains(f.Origins, origin) {
		s.Next = next
	}
	return s, nil
}

// honeypotFields are the honeypots of h.
func (h Hook) honeypotFields() []string {
	if h.Policy.Form.Honeypot == DefaultHoneypot {
		return honeypots
	}
	return []string{h.Policy.Form.Honeypot}
}

// shownFields is a form as its message has it: without the fields that are for us, but with
// the address for Reply-To. The brackets of a list are left out.
func (h Hook) shownFields(fields value) value {
	traps, all := h.honeypotFields(), fields.members
	fields.members = nil
	for _, of := range all {
		switch {
		case of.name == replyToField && !of.value.blank():
			of.name = "reply to"
		case strings.HasPrefix(of.name, "_"), slices.Contains(traps, of.name), slices.Contains(hiddenFields, of.name):
			continue
		}
		if of.value.kind == array || of.value.scalar() {
			of.name = strings.TrimSuffix(of.name, "[]")
		}
		if of.name == "" {
			of.name = "(no name)"
		}
		fields.members = append(fields.members, of)
	}
	return fields
}

// blank says whether v was left empty.
func (v value) blank() bool {
	switch v.kind {
	case object:
		return !slices.ContainsFunc(v.members, func(of member) bool { return !of.value.blank() })
	case array:
		return !slices.ContainsFunc(v.items, func(of value) bool { return !of.blank() })
	}
	return strings.TrimSpace(v.text) == ""
}

// formMessage is the message of a form. An empty form makes no message.
func (h Hook) formMessage(d Delivery, fields value) (Message, error) {
	shown := h.shownFields(fields)
	if shown.blank() {
		return Message{}, problem.New(problem.InvalidRequest, "The form is empty, so nothing was sent. Fill it in and send it again.")
	}
	m, err := h.message(d, shown)
	if err != nil || m.Content.Subject == "" {
		return m, err
	}
	if asked := subjectLine(fields.step(subjectField).text); asked != "" && h.Template == (Template{}) {
		m.Content.Subject = clip(asked, maxSubjectRunes-len(h.Name)-3) + " (" + h.Name + ")"
	}
	m.ReplyTo = addresses(h.Policy.replyTo(fields))
	if h.Policy.ReplyToFrom == usualReplyTo {
		m.ReplyTo = addresses(replyToIn(fields, h.Policy.ReplyTo))
	}
	m.Delivery.Priority = h.Policy.MessagePriority()
	return m, nil
}

// MessagePriority is the priority of a hook's messages. A form's come last, unless its operator
// says otherwise.
func (p Policy) MessagePriority() mail.Priority {
	if p.Priority == "" && p.Form != nil {
		return mail.PriorityBulk
	}
	return p.Priority
}

// replyToIn is the first address in the fields that usually have it, else others.
func replyToIn(fields value, others []string) []string {
	for _, want := range replyToFields {
		for _, of := range fields.members {
			name := strings.ToLower(strings.TrimSpace(of.name))
			if inner, ok := strings.CutSuffix(name, "]"); ok { // contact[email]
				name = inner[strings.LastIndexByte(inner, '[')+1:]
			}
			if name != want {
				continue
			}
			if mailbox, err := mail.Mailbox(strings.TrimSpace(of.value.text)); err == nil {
				return []string{mailbox}
			}
		}
	}
	return others
}

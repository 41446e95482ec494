// Package check says whether a mail.Message is well-formed, addressed and within limits.
//
// In: a message. Out: all its violations at once, each with its JSON pointer and a sentence;
// or the message with its addresses normalised, and the terms of its delivery.
//
// Validator's rules, in the tables of members.go, hold each member by itself. The functions
// of the other files hold rules about two members, and the names of headers. What clients
// write in several ways gets one form: domains, names of files and of inline images, headers
// that are empty or folded, an address that stands twice. Nothing else is repaired.
//
// It does not read JSON: accept/wire does, and refuses unknown members. It knows no caller:
// accept/caller says who may send, from which address, and to whom. It does not ask whether
// the message fits ACS's request: deliver/offload makes it fit.
//
// All sizes are bytes of UTF-8. The limits and their sources stand in mail; the
// sources of a rule stand at the rule.
package check

import (
	"time"

	"github.com/go-playground/validator/v10"

	"github.com/posthorn/posthorn/handler/mail"
)

// Checker holds the compiled rules. It may be used by many at once.
type Checker struct {
	// SenderNames says that ACS takes the sender's name. It is set before any use.
	SenderNames bool

	forms *validator.Validate
	sizes *validator.Validate
}

// Terms is what the message's delivery member asked for.
type Terms struct {
	// LinkLife is how long links to moved attachments work.
	LinkLife time.Duration
	// SendAt is when the message may go; zero if it may at once.
	SendAt time.Time
	// Deadline is the last moment at which the message may be sent: mail.MaxWait after SendAt
	// or now, or earlier.
	Deadline time.Time
	// Wait says that the message waits for quota rather than be refused.
	Wait bool
}

// New compiles the rules.
func New() *Checker {
	return &Checker{forms: compile(forms), sizes: compile(sizes)}
}

// Message checks m at the time now. A good message is tidied, in place: see tidied.
// Checking it again changes nothing.
//
// The error is a *problem.Problem of kind InvalidMessage, with the violations in the order of
// their pointers; m stays as it was. A list that is longer than its limit is one violation,
// and its elements beyond the limit are not looked at. At most problem.MaxViolations are told,
// so that a person can read the answer. No sentence repeats a value.
func (c *Checker) Message(m *mail.Message, now time.Time) (Terms, error) {
	var f violations
	tidy := tidied(&f, m)
	if !c.SenderNames {
		tidy.SenderDisplayName = "" // clients write it as a habit, and ACS passes it over
	}
	counts(&f, &tidy)
	seen := clip(m, &tidy)
	members(&f, c.forms, &seen)
	members(&f, c.sizes, &seen)
	bodies(&f, seen.Content)
	attachments(&f, seen.Attachments)
	terms := delivery(&f, &seen.Delivery, now)
	if err := f.problem(); err != nil {
		return Terms{}, err
	}
	*m = tidy
	normalise(m)
	return terms, nil
}

// clip returns tidy with each list cut to its limit, and the addresses as they came, so that
// each has the index that it has in m.
func clip(m, tidy *mail.Message) mail.Message {
	seen, r := *tidy, m.Recipients
	seen.Recipients = mail.Recipients{To: upTo(r.To, tidy.Recipients.To), CC: upTo(r.CC, tidy.Recipients.CC), BCC: upTo(r.BCC, tidy.Recipients.BCC)}
	seen.ReplyTo = upTo(m.ReplyTo, tidy.ReplyTo)
	seen.Attachments = head(tidy.Attachments, mail.MaxAttachments)
	seen.Delivery.Tags = head(tidy.Delivery.Tags, mail.MaxTags)
	return seen
}

// upTo is the part of list in which MaxRecipients stand that are distinct.
func upTo(list, distinct []mail.Address) []mail.Address {
	return head(list, mail.MaxRecipients+len(list)-len(distinct))
}

func head[T any](list []T, limit int) []T {
	return list[:min(len(list), limit)]
}

// normalise rewrites the addresses of a message without violations.
func normalise(m *mail.Message) {
	m.SenderAddress = normal(m.SenderAddress)
	for _, list := range [][]mail.Address{m.Recipients.To, m.Recipients.CC, m.Recipients.BCC, m.ReplyTo} {
		for i := range list {
			list[i].Address = normal(list[i].Address)
		}
	}
}

func normal(address string) string {
	mailbox, err := mail.Mailbox(address)
	if err != nil {
		return address
	}
	return mailbox
}

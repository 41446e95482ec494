package caller

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// Any in a list of a policy allows everything.
const Any = mail.Anyone

// Policy is what a caller may do.
type Policy struct {
	// Senders are addresses, or *@domain for every address of a domain, or *.
	// They are compared with the domain in A-labels and without regard to case.
	Senders []string `json:"senders"`
	// RecipientDomains may be written to; * is every domain. Empty means every
	// domain in production, and none anywhere else.
	RecipientDomains []string `json:"recipientDomains,omitempty"`
	// MaxRequestBytes bounds the body of a request; 0 means the gateway's limit.
	MaxRequestBytes int64 `json:"maxRequestBytes,omitempty"`
	// MaxRecipients bounds a message; 0 means mail.MaxRecipients.
	MaxRecipients int `json:"maxRecipients,omitempty"`
	// MaxUploads bounds the uploads that are open at once; 0 means the gateway's limit.
	MaxUploads int `json:"maxUploads,omitempty"`
	// Share is the guaranteed percentage of the hourly quota. Callers with 0 split the
	// rest equally. Cap is the percentage that the caller never exceeds; 0 means all.
	Share int `json:"share,omitempty"`
	Cap   int `json:"cap,omitempty"`
	// MaxWaiting bounds the messages that wait; 0 means what the quota can send in the
	// longest time that a message waits. Those of forms do not count.
	MaxWaiting int `json:"maxWaiting,omitempty"`
	// Priority is the highest that the caller's messages may have; empty means high.
	Priority mail.Priority `json:"priority,omitempty"`
	// HMAC lets the caller sign requests as ACS's SDKs do.
	HMAC bool `json:"hmac,omitempty"`
	// EntraApps and EntraObjects are the ids of the applications and of the objects
	// (managed identities, service principals, people) of Entra ID whose tokens
	// stand for the caller.
	EntraApps    []string `json:"entraApps,omitempty"`
	EntraObjects []string `json:"entraObjects,omitempty"`
	// Sandbox lets everything be checked and nothing be sent.
	Sandbox bool `json:"sandbox,omitempty"`
	// RedirectTo receives all that the caller sends, in place of the true recipients.
	RedirectTo string `json:"redirectTo,omitempty"`
}

// normalised returns p with its addresses and domains written as check writes
// the addresses of a message. What is no address or domain is a problem of kind
// InvalidRequest.
func (p Policy) normalised() (Policy, error) {
	if err := cmp.Or(p.normaliseLists(), p.checkSizes(), p.checkQuota(), p.checkRedirect()); err != nil {
		return Policy{}, err
	}
	if len(store.JSON(p)) > store.TextChars {
		return Policy{}, wrong("The policy is longer than %d characters. Name domains (*@example.com) in place of single addresses.", store.TextChars)
	}
	return p, nil
}

func wrong(format string, args ...any) error {
	return problem.New(problem.InvalidRequest, format, args...)
}

// normaliseLists gives p lists of its own.
func (p *Policy) normaliseLists() (err error) {
	p.Senders, p.RecipientDomains = append([]string{}, p.Senders...), slices.Clone(p.RecipientDomains)
	for i, s := range p.Senders {
		if p.Senders[i], err = mail.Pattern(s); err != nil {
			return wrong("The sender %q is no address, nor *@DOMAIN, nor *: %s.", s, err)
		}
	}
	for i, d := range p.RecipientDomains {
		if d == Any {
			continue
		}
		if p.RecipientDomains[i], err = mail.Domain(d); err != nil {
			return wrong("The recipient domain %q is no domain, nor *: %s.", d, err)
		}
	}
	if p.EntraApps, err = uuids("application", p.EntraApps); err != nil {
		return err
	}
	p.EntraObjects, err = uuids("object", p.EntraObjects)
	return err
}

func (p Policy) checkSizes() error {
	if p.MaxRequestBytes < 0 || p.MaxUploads < 0 || p.MaxRecipients < 0 || p.MaxRecipients > mail.MaxRecipients {
		return wrong("The sizes of a policy must not be negative, and the recipients at most %d.", mail.MaxRecipients)
	}
	return nil
}

// checkRedirect normalises RedirectTo in place. Where the policy has recipient domains,
// the mailbox must be in one of them.
func (p *Policy) checkRedirect() (err error) {
	if p.RedirectTo == "" {
		return nil
	}
	given := p.RedirectTo
	if p.RedirectTo, err = mail.Mailbox(given); err != nil {
		return wrong("The messages cannot be redirected to %q: %s.", given, err)
	}
	if len(p.RecipientDomains) > 0 && !p.listsDomain(p.RedirectTo) {
		return wrong("The messages cannot be redirected to %s: its domain is not among the recipient domains. Add its domain, or name no recipient domains.", p.RedirectTo)
	}
	return nil
}

func (p Policy) checkQuota() error {
	switch p.Priority {
	case "", mail.PriorityHigh, mail.PriorityNormal, mail.PriorityBulk:
	default:
		return wrong("The priority of a policy must be high, normal or bulk.")
	}
	if p.MaxWaiting < 0 {
		return wrong("The number of messages that may wait must not be negative.")
	}
	if p.Share < 0 || p.Share > 100 || p.Cap < 0 || p.Cap > 100 || p.Cap > 0 && p.Share > p.Cap {
		return wrong("Share and cap are percentages, and the share is at most the cap.")
	}
	return nil
}

// mayUse says whether a message may have a priority.
func (p Policy) mayUse(m mail.Priority) bool {
	switch p.Priority {
	case mail.PriorityNormal:
		return m != mail.PriorityHigh
	case mail.PriorityBulk:
		return m == mail.PriorityBulk
	}
	return true
}

// Accept is Allow for a message that c sends now: it is a problem of kind Paused if the
// operator has those refused.
func (c Caller) Accept(m *mail.Message) error {
	if c.Pause != nil && c.Pause.Refuse {
		return c.Pause.Problem("this caller")
	}
	return c.Allow(m)
}

// Allow says whether c may send m, whose addresses check has normalised. It
// returns a problem of kind Forbidden that names every rule that says no.
func (c Caller) Allow(m *mail.Message) error {
	all := c.violations(m)
	if !c.Policy.mayUse(m.Delivery.Priority) {
		all = append(all, problem.Violation{Pointer: "/delivery/priority", Detail: "The rule `priority` of this caller allows nothing more urgent than `" + string(c.Policy.Priority) + "`."})
	}
	return c.forbidden(all)
}

// StillAllows says whether m, which was allowed, may leave under c's policy of now. What
// is too urgent by now, only waits longer. It returns a problem of kind Forbidden.
func (c Caller) StillAllows(m *mail.Message) error {
	if c.Policy.Sandbox {
		return problem.New(problem.Forbidden, "The caller %q is in the sandbox now, so its messages are not sent. This message was not sent.", c.Name)
	}
	return c.forbidden(c.violations(m))
}

// AllowsSize is StillAllows for a body of so many bytes.
func (c Caller) AllowsSize(bytes int64) error {
	if most := c.Policy.MaxRequestBytes; most > 0 && bytes > most {
		return c.forbidden([]problem.Violation{{Pointer: "/content", Detail: "The rule `maxRequestBytes` of this caller allows smaller messages."}})
	}
	return nil
}

func (c Caller) forbidden(all []problem.Violation) error {
	if all == nil {
		return nil
	}
	no := problem.New(problem.Forbidden, "The policy of caller %q does not allow this message. The operator of this gateway can change its rules.", c.Name)
	no.Violations = all
	return no
}

// violations are the rules that say no to m, whatever its priority.
func (c Caller) violations(m *mail.Message) (all []problem.Violation) {
	p := c.Policy
	if !p.allowsSender(m.SenderAddress) {
		all = append(all, problem.Violation{Pointer: "/senderAddress", Detail: "The rule `senders` of this caller does not list this address."})
	}
	if p.MaxRecipients > 0 && len(m.Recipients.All()) > p.MaxRecipients {
		all = append(all, problem.Violation{Pointer: "/recipients", Detail: "The rule `maxRecipients` of this caller allows fewer recipients."})
	}
	for _, list := range []struct {
		pointer   string
		addresses []mail.Address
	}{
		{"/recipients/to/", m.Recipients.To}, {"/recipients/cc/", m.Recipients.CC}, {"/recipients/bcc/", m.Recipients.BCC},
	} {
		for i, a := range list.addresses {
			if reason := c.refusesRecipient(a.Address); reason != "" {
				all = append(all, problem.Violation{Pointer: list.pointer + strconv.Itoa(i) + "/address", Detail: reason})
			}
		}
	}
	return all
}

func (p Policy) allowsSender(address string) bool {
	return slices.ContainsFunc(p.Senders, func(s string) bool { return mail.Fits(s, address) })
}

// refusesRecipient is why nothing may be sent to an address. A redirected message reaches
// the mailbox alone, so no recipient is refused.
func (c Caller) refusesRecipient(address string) string {
	p := c.Policy
	switch {
	case p.RedirectTo != "" || c.production && len(p.RecipientDomains) == 0 || p.listsDomain(address):
		return ""
	case len(p.RecipientDomains) == 0:
		return "Outside production a caller needs the rule `recipientDomains`, so that no test reaches a stranger."
	}
	return "The rule `recipientDomains` of this caller does not list the domain of this address."
}

func (p Policy) listsDomain(address string) bool {
	_, domain, _ := strings.Cut(address, "@")
	return slices.ContainsFunc(p.RecipientDomains, func(d string) bool { return d == Any || strings.EqualFold(d, domain) })
}

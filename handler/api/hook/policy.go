package hook

import (
	"cmp"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// DefaultHoneypot is the field that only robots fill in.
const DefaultHoneypot = "_gotcha"

var (
	jsonPointer = regexp.MustCompile(`^(?:/(?:[^~/]|~[01])*)+$`)
	headerNames = regexp.MustCompile("^[A-Za-z0-9-]{1,64}$")
)

// normalised returns p with its defaults and with addresses as check writes them.
// What cannot work is a problem of kind InvalidRequest.
func (p Policy) normalised() (Policy, error) {
	if p.Builtin == "" {
		p.Builtin = "generic"
	}
	s, err := builtinSender(p.Builtin)
	if err != nil {
		return Policy{}, err
	}
	if p.Check == "" {
		p.Check = s.checks[0]
	}
	if !slices.Contains(s.checks, p.Check) {
		return Policy{}, wrong("A hook for %s is checked by %s, not by %q.", p.Builtin, join(s.checks), p.Check)
	}
	if p.Caller == "" || p.Sender == "" {
		return Policy{}, wrong("A hook needs a caller whose policy holds, and a sender address.")
	}
	if err := cmp.Or(p.addresses(), p.pointers(), p.form()); err != nil {
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

func join(checks []Check) string {
	words := make([]string, len(checks))
	for i, c := range checks {
		words[i] = string(c)
	}
	return strings.Join(words, " or ")
}

// allows says whether the sender may dictate its secret, or must.
func (c Check) allows(dictated bool) error {
	switch {
	case c == CheckStripe && !dictated:
		return wrong("Stripe dictates its signing secret: give the hook's, whsec_…")
	case !c.Signs() && dictated:
		return wrong("A hook that is checked by %s has no secret of the sender's.", c)
	}
	return nil
}

func (c Check) allowsSecret(secret string) error {
	if len(secret) < 16 {
		return wrong("A secret has at least 16 characters.")
	}
	if _, err := c.secret([]byte(secret)); err != nil {
		return wrong("The secret cannot be used: %s.", err)
	}
	return nil
}

// addresses normalises all addresses of p in place.
func (p *Policy) addresses() error {
	var err error
	if p.Sender, err = mail.Mailbox(p.Sender); err != nil {
		return wrong("The sender is no address: %s.", err)
	}
	for _, list := range []*[]string{&p.To, &p.CC, &p.BCC, &p.ReplyTo} {
		*list = slices.Clone(*list)
		for i, a := range *list {
			if (*list)[i], err = mail.Mailbox(a); err != nil {
				return wrong("%q is no address: %s.", a, err)
			}
		}
	}
	p.Allow = slices.Clone(p.Allow)
	for i, a := range p.Allow {
		if p.Allow[i], err = mail.Pattern(a); err != nil {
			return wrong("%q is no address, nor *@DOMAIN, nor *: %s.", a, err)
		}
	}
	if len(p.To)+len(p.CC)+len(p.BCC) > mail.MaxRecipients {
		return wrong("A message has at most %d recipients.", mail.MaxRecipients)
	}
	return nil
}

// pointers checks the members of p that name a part of the delivery.
func (p *Policy) pointers() error {
	switch {
	case p.ToFrom == "" && len(p.To) == 0:
		return wrong("A hook needs recipients: fixed ones, or a pointer to them in the payload.")
	case p.ToFrom != "" && len(p.Allow) == 0:
		return wrong("Recipients from the payload need a list of those that are allowed.")
	case p.ToFrom == "" && len(p.Allow) > 0:
		return wrong("A list of allowed recipients is for those from the payload, and no pointer leads there.")
	}
	for _, pointer := range []string{p.ToFrom, p.ReplyToFrom} {
		if pointer != "" && !jsonPointer.MatchString(pointer) {
			return wrong("%q is no JSON pointer such as /commonLabels/email.", pointer)
		}
	}
	if p.TokenHeader != "" && (p.Check != CheckKey || !headerNames.MatchString(p.TokenHeader)) {
		return wrong("%q cannot be the header of the key; the hook must be checked by key.", p.TokenHeader)
	}
	p.TokenHeader = textproto.CanonicalMIMEHeaderKey(p.TokenHeader)
	kind, of, _ := strings.Cut(p.Dedupe, ":")
	if ok := p.Dedupe == "" || p.Dedupe == "none" || kind == "header" && headerNames.MatchString(of) || kind == "member" && jsonPointer.MatchString(of); !ok {
		return wrong("%q does not say what names a delivery: use none, header:NAME or member:/POINTER.", p.Dedupe)
	}
	return nil
}

// form checks what an HTML form may and must have, and sets its defaults.
func (p *Policy) form() error {
	if p.Builtin != "form" {
		if p.Form != nil {
			return wrong("Origins, a redirect, a honeypot, rates and a cap are for hooks with the built-in form.")
		}
		return nil
	}
	if p.ToFrom != "" {
		return wrong("Anybody can send a form, so its recipients must be fixed.")
	}
	if p.Form == nil || len(p.Form.Origins) == 0 {
		return wrong("A form needs the origins of the sites that have it, such as https://www.example.com, or *.")
	}
	f := *p.Form
	f.Origins = slices.Clone(f.Origins)
	for i, o := range f.Origins {
		if o == anySite {
			continue
		}
		origin, ok := originOf(o)
		if !ok || origin != strings.ToLower(strings.TrimSuffix(o, "/")) {
			return wrong("%q is no origin such as https://www.example.com.", o)
		}
		f.Origins[i] = origin
	}
	if f.Redirect != "" {
		if _, ok := originOf(f.Redirect); !ok {
			return wrong("%q is no address to send a browser to.", f.Redirect)
		}
	}
	if f.PerAddress < 0 || f.PerHour < 0 || f.MaxWaiting < 0 || f.Cap < 0 || f.Cap > 100 {
		return wrong("A form's rates and its number of queued messages must not be negative. Its cap is a percentage.")
	}
	if f.Honeypot == "" {
		f.Honeypot = DefaultHoneypot
	}
	if p.ReplyToFrom == "" && len(p.ReplyTo) == 0 {
		p.ReplyToFrom = usualReplyTo
	}
	if p.Priority == "" {
		p.Priority = mail.PriorityBulk
	}
	p.Form = &f
	return nil
}

// originOf is scheme and host of an http URL, in lower case.
func originOf(address string) (string, bool) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return "", false
	}
	return strings.ToLower(u.Scheme + "://" + u.Host), true
}

package check

import (
	"errors"
	"fmt"
	"maps"
	"mime"
	"regexp"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/version"
)

var (
	errHeaderNameless = errors.New("a header needs a name")
	errHeaderLongName = fmt.Errorf("the name of a header is longer than %d bytes", mail.MaxHeaderNameBytes)
	errHeaderChar     = errors.New("the name of a header has letters, digits and !#$%&'*+-.^_`|~ only")
	errHeaderUnicode  = errors.New("the value has characters outside ASCII, which this header may not have")
	errHeaderLong     = fmt.Errorf("the header with its name is longer than a line of %d bytes", mail.MaxLineBytes)
)

// Header is a rule for a header's name, for the page that tells of it.
type Header struct {
	Name   string // in lower case; with an asterisk at its end, any that begins so
	Reason string // a clause
	Passed bool   // it is dropped; else it is refused
}

// Reasons why a header is not the caller's to set.
const (
	hasMember  = "the message has a member of its own for it"
	forServers = "only mail servers may vouch for a message or say how it came"
	forBounces = "reports about the message go where ACS and the sender's domain say"
	forHTTP    = "it is a header of HTTP that carries a credential"
	setHere    = "Posthorn sets it, since ACS knows a repeat by it"
	setByACS   = "ACS sets it"
)

// Headers are those that a message may not set; every other name passes, as it does
// at ACS: learn.microsoft.com, "Email headers" of ACS. Reserved is what names the
// people of a message, vouches for it, or proves a caller. Passed over is what the
// clients of other APIs write as a habit, and nobody misses. The first rule that
// fits a name holds.
var Headers = []Header{
	{Name: "message-id", Reason: setHere, Passed: true}, {Name: "x-ms-acsemail-validate-message-id", Reason: setHere, Passed: true},
	{Name: "date", Reason: setByACS, Passed: true}, {Name: "mime-version", Reason: setByACS, Passed: true},
	{Name: "content-transfer-encoding", Reason: setByACS, Passed: true},
	{Name: "from", Reason: hasMember}, {Name: "sender", Reason: "the message is from its sender alone"},
	{Name: "to", Reason: hasMember}, {Name: "cc", Reason: hasMember}, {Name: "bcc", Reason: hasMember},
	{Name: replyTo, Reason: hasMember + ", beside which it is passed over"},
	{Name: "subject", Reason: hasMember},
	{Name: "content-type", Reason: "ACS sets it, as the bodies and attachments are"},
	{Name: "content-disposition", Reason: "attachments have members for it"}, {Name: "content-id", Reason: "attachments have members for it"},
	{Name: "return-path", Reason: forBounces}, {Name: "errors-to", Reason: forBounces},
	{Name: "received*", Reason: forServers}, {Name: "delivered-to", Reason: forServers},
	{Name: "dkim*", Reason: forServers}, {Name: "domainkey-*", Reason: forServers},
	{Name: "authentication-results*", Reason: forServers}, {Name: "arc-*", Reason: forServers}, {Name: "x-ms-exchange-*", Reason: forServers},
	{Name: "resent-*", Reason: "it says that someone sent the message again"},
	{Name: "authorization", Reason: forHTTP}, {Name: "proxy-authorization", Reason: forHTTP}, {Name: "cookie", Reason: forHTTP},
	{Name: "x-api-key", Reason: forHTTP}, {Name: "x-functions-key", Reason: forHTTP}, {Name: "x-postmark-server-token", Reason: forHTTP},
	{Name: "x-posthorn-*", Reason: "Posthorn sets it"},
}

// setBy are the headers for which the message has a member.
var setBy = map[string]string{
	"from": "/senderAddress", "to": "/recipients/to", "cc": "/recipients/cc", "bcc": "/recipients/bcc",
	replyTo: "/replyTo", "subject": "/content/subject",
}

const (
	replyTo    = "reply-to"
	references = "references"
)

// headersPage has the list of Headers.
const headersPage = version.Docs + "send.md#headers"

// rule is that for a name in lower case.
func rule(folded string) (Header, bool) {
	for _, h := range Headers {
		prefix, open := strings.CutSuffix(h.Name, "*")
		if folded == h.Name || open && strings.HasPrefix(folded, prefix) {
			return h, true
		}
	}
	return Header{}, false
}

// headers holds each header of m in the order of the names, and returns those that
// are to be sent, as they are to be sent: all itself, if nothing about it changes.
func headers(f *violations, m *mail.Message) map[string]string {
	all, sent, own := m.Headers, m.Headers, false
	if len(all) > mail.MaxHeaders {
		f.add("/headers", "A message has at most %d headers, not %d.", mail.MaxHeaders, len(all))
	}
	first := make(map[string]string)
	for _, name := range head(slices.Sorted(maps.Keys(all)), mail.MaxHeaders) {
		folded, value := strings.ToLower(name), headerText(name, all[name])
		h, ruled := rule(folded)
		passed := value == "" || h.Passed || folded == replyTo && len(m.ReplyTo) > 0
		if passed || value != all[name] {
			if !own {
				sent, own = maps.Clone(all), true
			}
			sent[name] = value
		}
		if passed {
			delete(sent, name)
			continue
		}
		pointer := "/headers/" + escape(name)
		if len(name) > mail.MaxHeaderNameBytes {
			pointer = "/headers" // an answer does not carry a name of any length
		}
		if err := headerName(name); err != nil {
			f.add(pointer, "%s", problem.AsSentence(err))
		} else if member := setBy[folded]; member != "" {
			f.add(pointer, "This header is reserved: %s sets it. Leave it out. All of them: %s", problem.Name{member}, headersPage)
		} else if ruled {
			f.add(pointer, "This header is reserved: %s. Leave it out. All of them: %s", h.Reason, headersPage)
		}
		if err := headerValue(name, value); err != nil {
			f.add(pointer, "%s", problem.AsSentence(err))
		} else if strings.EqualFold(name, "Content-Language") && mail.Languages(value) != nil {
			f.add(pointer, "%s", problem.AsSentence(mail.Languages(value)))
		}
		if at, twice := first[folded]; twice {
			f.add(pointer, "%s is the same header: case makes no difference.", problem.Name{at})
			continue
		}
		first[folded] = pointer
	}
	return sent
}

// headerName is stricter than RFC 5322 section 2.2, whose names may hold
// brackets and quotes that no header in use has.
func headerName(name string) error {
	switch {
	case name == "":
		return errHeaderNameless
	case len(name) > mail.MaxHeaderNameBytes:
		return errHeaderLongName
	case !tokens.MatchString(name):
		return errHeaderChar
	}
	return nil
}

// folds are the line breaks of a folded header: RFC 5322 section 2.2.3. Symfony's
// clients send long encoded words so.
var folds = regexp.MustCompile(`\r?\n[ \t]+`)

// headerText is a value as it goes to ACS: on one line, and in ASCII. It is empty
// if there is nothing in it. What headerValue refuses stays.
func headerText(name, value string) string {
	if strings.ContainsRune(value, '\n') {
		value = folds.ReplaceAllString(value, " ")
	}
	value = strings.Trim(value, " \t")
	if mail.Line(value) != nil {
		return value
	}
	if !isASCII(value) && isUnstructured(name) {
		value = mime.QEncoding.Encode("utf-8", value)
	}
	if strings.EqualFold(name, references) {
		value = trimmed(value, mail.MaxLineBytes-len(name)-len(": "))
	}
	return value
}

// isUnstructured says whether a header may have encoded words: RFC 2047 section 5
// keeps them out of addresses and identifiers.
func isUnstructured(name string) bool {
	folded := strings.ToLower(name)
	return !strings.HasPrefix(folded, "list-") && folded != references && folded != "in-reply-to"
}

// trimmed drops identifiers after the first of References until the others fit:
// RFC 5537 section 3.4.4.
func trimmed(ids string, room int) string {
	for len(ids) > room {
		first, others, _ := strings.Cut(ids, " ")
		_, last, more := strings.Cut(strings.TrimLeft(others, " "), " ")
		if !more {
			break
		}
		ids = first + " " + last
	}
	return ids
}

func headerValue(name, value string) error {
	if err := mail.Line(value); err != nil {
		return err
	}
	switch {
	case !isASCII(value):
		return errHeaderUnicode
	case len(name)+len(": ")+len(value) > mail.MaxLineBytes:
		return errHeaderLong
	}
	return nil
}

package check

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

var (
	errHeaderNameless = errors.New("a header needs a name")
	errHeaderLongName = fmt.Errorf("the name of a header is longer than %d bytes", mail.MaxHeaderNameBytes)
	errHeaderChar     = errors.New("the name of a header has letters, digits and !#$%&'*+-.^_`|~ only")
	errHeaderUnlisted = errors.New("only X-…, List-… and a list of known headers may be set; this is none of them")
	errHeaderBlank    = errors.New("the value is empty; leave the header out")
	errHeaderUnicode  = errors.New("the value has characters outside ASCII; write them as encoded words of RFC 2047")
	errHeaderLong     = fmt.Errorf("the header with its name is longer than a line of %d bytes", mail.MaxLineBytes)
)

// allowed are the headers that may be set beside X-… and List-…. It is a list of
// what may pass, not of what may not: ACS publishes none, new headers that route
// or vouch for mail keep being registered, and a name that is missing here costs
// a plain refusal where a name missing there would cost a forgery.
var allowed = map[string]bool{
	"accept-language":  true, // RFC 4021
	"archived-at":      true, // RFC 5064
	"auto-submitted":   true, // RFC 3834
	"comments":         true, // RFC 5322
	"content-language": true, // RFC 3282
	"expires":          true, // RFC 4021
	"feedback-id":      true, // Google, "Feedback Loop"
	"importance":       true, // RFC 4021
	"in-reply-to":      true, // RFC 5322
	"keywords":         true, // RFC 5322
	"organization":     true, // RFC 5536
	"precedence":       true, // RFC 3834
	"priority":         true, // RFC 4021
	"references":       true, // RFC 5322
	"sensitivity":      true, // RFC 4021
	"thread-index":     true, // Outlook
	"thread-topic":     true, // Outlook
}

const (
	setByACS   = "ACS sets it"
	forServers = "only mail servers may vouch for a message"
	forHTTP    = "it is a header of HTTP that carries a credential"
)

// reserved are the names that would be refused anyway, or are exceptions to X-…,
// each with the reason.
var reserved = map[string]string{
	"from": "senderAddress sets it", "sender": "senderAddress sets it",
	"to": "recipients sets it", "cc": "recipients sets it", "bcc": "recipients sets it",
	"reply-to": "replyTo sets it",
	"subject":  "content.subject sets it",
	"date":     setByACS, "message-id": setByACS, "mime-version": setByACS,
	"return-path": setByACS, "received": setByACS,
	"content-type": setByACS, "content-transfer-encoding": setByACS,
	"content-disposition": "attachments sets it", "content-id": "attachments sets it",
	"dkim-signature": forServers, "domainkey-signature": forServers,
	"authentication-results": forServers, "received-spf": forServers,
	"authorization": forHTTP, "proxy-authorization": forHTTP, "cookie": forHTTP,
	"x-api-key": forHTTP, "x-functions-key": forHTTP, "x-postmark-server-token": forHTTP,
}

// reservedPrefixes go on where reserved ends.
var reservedPrefixes = []struct{ prefix, reason string }{
	{"arc-", forServers},
	{"resent-", "it says that someone sent the message again"},
	{"x-ms-acsemail-", "it steers ACS itself"}, // learn.microsoft.com, "Email headers" of ACS
	{"x-ms-exchange-", forServers},
	{"x-posthorn-", "Posthorn sets it"},
}

// headers holds each header in the order of the names.
func headers(f *faults, all map[string]string) {
	if len(all) > mail.MaxHeaders {
		f.add("/headers", "A message has at most %d headers, not %d.", mail.MaxHeaders, len(all))
	}
	first := make(map[string]string)
	for _, name := range head(slices.Sorted(maps.Keys(all)), mail.MaxHeaders) {
		pointer := "/headers/" + escape(name)
		if len(name) > mail.MaxHeaderNameBytes {
			pointer = "/headers" // an answer does not carry a name of any length
		}
		if err := headerName(name); err != nil {
			f.add(pointer, "%s", problem.AsSentence(err))
		}
		if err := headerValue(name, all[name]); err != nil {
			f.add(pointer, "%s", problem.AsSentence(err))
		} else if strings.EqualFold(name, "Content-Language") && mail.Languages(all[name]) != nil {
			f.add(pointer, "%s", problem.AsSentence(mail.Languages(all[name])))
		}
		folded := strings.ToLower(name)
		if at, twice := first[folded]; twice {
			f.add(pointer, "The same header stands at %s; case makes no difference.", at)
			continue
		}
		first[folded] = pointer
	}
}

// headerName is stricter than RFC 5322 section 2.2, whose names may hold
// brackets and quotes that no header in use has.
func headerName(name string) error {
	folded := strings.ToLower(name)
	switch {
	case name == "":
		return errHeaderNameless
	case len(name) > mail.MaxHeaderNameBytes:
		return errHeaderLongName
	case !tokens.MatchString(name):
		return errHeaderChar
	case reserved[folded] != "":
		return reservedError(reserved[folded])
	}
	for _, r := range reservedPrefixes {
		if strings.HasPrefix(folded, r.prefix) {
			return reservedError(r.reason)
		}
	}
	if !allowed[folded] && !strings.HasPrefix(folded, "x-") && !strings.HasPrefix(folded, "list-") {
		return errHeaderUnlisted
	}
	return nil
}

func reservedError(reason string) error {
	return errors.New("this header is reserved: " + reason)
}

// headerValue wants ASCII because RFC 5322 does, and what ACS makes of other
// characters is not documented.
func headerValue(name, value string) error {
	if strings.TrimSpace(value) == "" {
		return errHeaderBlank
	}
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

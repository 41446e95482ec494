package sendtest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"syscall"
)

// fault says what an answer means that is not the one that was hoped for: a problem of
// Posthorn's, or a page of whatever stands before it.
func (a *answer) fault() *Error {
	var p struct {
		Type, Detail string
		Errors       []struct{ Pointer, Detail string }
	}
	if json.Unmarshal(a.body, &p) != nil || p.Detail == "" || !strings.Contains(p.Type, "#") {
		return a.foreign()
	}
	_, slug, _ := strings.Cut(p.Type, "#")
	f := &Error{Detail: fmt.Sprintf("The gateway says: %s (%d %s)", p.Detail, a.status, slug), again: a.retryAfter()}
	for _, e := range p.Errors {
		f.Detail += "\n" + e.Pointer + ": " + e.Detail
	}
	f.passing = a.status == http.StatusTooManyRequests || a.status >= http.StatusInternalServerError
	f.Away = a.status >= http.StatusInternalServerError
	f.Advice = a.advice(slug)
	return f
}

// advice is what to do about a problem, where its detail does not say.
func (a *answer) advice(slug string) string {
	switch slug {
	case "unauthenticated":
		return `The key or POSTHORN_MASTER_KEY may belong to another deployment than POSTHORN_PUBLIC_URL. "posthorn callers rotate NAME" prints a new key.`
	case "forbidden":
		return `"posthorn callers list" shows what the caller may do, and "posthorn callers set" changes it.`
	case "paused":
		return `"posthorn sending show" and "posthorn callers list" say what is paused, and "resume" ends it.`
	case "acs-misconfigured":
		return `"posthorn send-test TO --direct" shows ACS's own words.`
	case "unavailable":
		return "GET /readyz of the gateway names what the gateway cannot reach. Its log has the cause."
	case "too-many-queued":
		return `"posthorn messages list" lists the queued messages.`
	}
	if wait := a.retryAfter(); wait > 0 {
		return fmt.Sprintf("Try again in %s.", wait)
	}
	return ""
}

// foreign is for an answer that Posthorn does not give: the Functions host's, App
// Service's, or a proxy's. No documentation describes such answers, so the status decides.
func (a *answer) foreign() *Error {
	f := &Error{Away: true, passing: a.status == http.StatusTooManyRequests || a.status >= http.StatusInternalServerError, again: a.retryAfter()}
	f.Detail = fmt.Sprintf("%s answered %d %s, which is not an answer of Posthorn", a.host, a.status, http.StatusText(a.status))
	if words := a.words(); words != "" {
		f.Detail += fmt.Sprintf(": %q", words)
	} else {
		f.Detail += ": it is empty."
	}
	switch {
	case a.status < 300:
		f.Advice = "Something else answers there. Check POSTHORN_PUBLIC_URL."
	case a.status < 400:
		to := "another address"
		if at, err := url.Parse(a.header.Get("Location")); err == nil && at.Host != "" {
			to = at.Scheme + "://" + at.Host
		}
		f.Advice = fmt.Sprintf("The address leads to %s. If that is the gateway, set POSTHORN_PUBLIC_URL to it.", to)
	case a.status == http.StatusUnauthorized, a.status == http.StatusForbidden:
		f.Advice = "The platform refuses before Posthorn is asked: the app is stopped, its access restrictions do not allow this network, or App Service's own authentication is on."
	case a.status == http.StatusNotFound:
		f.Advice = "The function app has no such function, or it is another app. Check POSTHORN_PUBLIC_URL, and the functions of the app."
	case a.status == http.StatusTooManyRequests:
		f.Advice = "The platform asks to wait. Try again later."
	case a.status >= http.StatusInternalServerError:
		f.Advice = "The host runs, but the handler does not answer: it has just started, or it has ended. Try again. If it fails again, check the log of the function app."
	}
	return f
}

var (
	titled = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)
	tag    = regexp.MustCompile(`(?s)<(?:style|script).*?</(?:style|script)>|<[^>]*>`)
	beyond = regexp.MustCompile(`[^\pL\pM\pN\pP\pS]+`)
)

// longestWords bounds what is quoted of a page, in characters.
const longestWords = 100

// words are the title of a page, or how its text begins.
func (a *answer) words() string {
	text := string(a.body)
	if t := titled.FindStringSubmatch(text); t != nil && strings.TrimSpace(t[1]) != "" {
		text = t[1]
	}
	all := []rune(strings.TrimSpace(beyond.ReplaceAllString(tag.ReplaceAllString(text, " "), " ")))
	return string(all[:min(len(all), longestWords)])
}

// unreached says why there is no answer. Nothing is known of what was sent: the message
// may have been taken if the connection broke late.
func unreached(host string, err error) *Error {
	f := &Error{Away: true, Advice: "Check POSTHORN_PUBLIC_URL and the network."}
	if name, ok := errors.AsType[*net.DNSError](err); ok {
		f.Detail = fmt.Sprintf("The name %s is not known, or the name servers do not answer.", name.Name)
		return f
	}
	if said := certificate(host, err); said != "" {
		f.Detail = said
		f.Advice = "Check the certificate of the custom domain. A proxy that opens TLS needs its authority in this computer's list."
		return f
	}
	_, plain := errors.AsType[tls.RecordHeaderError](err)
	timeout, ok := errors.AsType[net.Error](err)
	switch {
	case plain, strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		f.Detail = host + " does not speak TLS."
	case errors.Is(err, syscall.ECONNREFUSED):
		f.Detail = host + " refuses connections: no program listens there."
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		f.Detail = host + " closed the connection without an answer."
		f.Advice = "It is not known whether the message was taken. Check the mailbox, then try again."
	case ok && timeout.Timeout():
		f.Detail = host + " does not answer."
	default:
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err
		}
		f.Detail = fmt.Sprintf("%s could not be reached: %s", host, err)
	}
	return f
}

// certificate says what is wrong with one; "" if nothing is.
func certificate(host string, err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Sprintf("The certificate of %s is of an authority that this computer does not trust.", host)
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Sprintf("The certificate of %s is for another name.", host)
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if invalid.Reason == x509.Expired {
			return fmt.Sprintf("The certificate of %s has expired, or the clock of this computer is wrong.", host)
		}
		return fmt.Sprintf("The certificate of %s is not valid: %s.", host, invalid)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Sprintf("The certificate of %s cannot be verified.", host)
	}
	return ""
}

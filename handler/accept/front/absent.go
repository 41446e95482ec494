package front

import (
	"maps"
	"net/http"
	"slices"

	"github.com/posthorn/posthorn/handler/accept/wire/postmark"
	"github.com/posthorn/posthorn/handler/accept/wire/resend"
	"github.com/posthorn/posthorn/handler/accept/wire/sendgrid"
	"github.com/posthorn/posthorn/handler/problem"
)

// The forms of other APIs. Of a path that two of them have, the header of the key tells
// which API the client speaks.
func inResend(p *problem.Problem, keyed bool) (int, any) { return resend.Refusal(p, keyed) }

func inSendGrid(p *problem.Problem, _ bool) (int, any) { return sendgrid.Refusal(p) }

func inPostmark(p *problem.Problem, _ bool) (int, any) { s, b := postmark.Refusal(p); return s, b }

// absence is a path that clients of another API call and behind which nothing is.
type absence struct {
	form    form
	instead string // what to know, and what to do
}

const (
	noContacts  = "Posthorn keeps no contacts. Send the messages by POST /emails, or up to 100 of them by POST /emails/batch."
	noTemplates = "Posthorn keeps no templates. Send the text and the HTML of each message."
	whatBecame  = "GET /emails/operations/{id} tells what became of a message."
	mayDo       = "GET /callers/me tells what the key may do."
)

// absent are such paths. The host answers without a word to all that has no template, and
// clients then show something that is wrong, so each has one. Source: the calls that
// resend 6.38.0, postmark 5.1.0 and @sendgrid/client 8.1.6 make.
var absent = map[string]absence{
	"/email/withTemplate":             {inPostmark, "Posthorn keeps no templates. Send HtmlBody or TextBody by POST /email."},
	"/email/batchWithTemplates":       {inPostmark, "Posthorn keeps no templates. Send HtmlBody or TextBody by POST /email/batch."},
	"/server":                         {inPostmark, "Posthorn has no servers of Postmark. " + mayDo},
	"/messages/outbound/{id}/details": {inPostmark, "Posthorn keeps no messages. " + whatBecame},
	"/emails/{id}/attachments":        {inResend, "Posthorn keeps no attachments. " + whatBecame},
	"/domains":                        {inResend, "Domains are kept by ACS. " + mayDo},
	"/api-keys":                       {inResend, "The operator makes keys, with `posthorn callers add`. " + mayDo},
	"/audiences":                      {inResend, noContacts},
	"/contacts":                       {inResend, noContacts},
	"/broadcasts":                     {inResend, noContacts},
	"/templates":                      {inResend, noTemplates},
	"/webhooks":                       {inResend, "Posthorn calls no webhooks. " + whatBecame},
	"/v3/scopes":                      {inSendGrid, "Keys have no scopes here. " + mayDo},
	"/v3/user/{part}":                 {inSendGrid, "Posthorn has no accounts. " + mayDo},
	"/v3/templates":                   {inSendGrid, noTemplates},
	"/v3/suppression/{list}":          {inSendGrid, "ACS keeps the list of recipients that it does not write to. " + whatBecame},
}

// Absent lists the paths that have a template and nothing behind them.
func Absent() []string { return slices.Sorted(maps.Keys(absent)) }

// Dialects lists the paths of other APIs that are here.
func Dialects() []string { return slices.Sorted(maps.Keys(forms)) }

// unchanged says what to do instead of a method that a path of another API has there and
// not here.
var unchanged = map[string]string{
	"PATCH /emails/{id}": " A message that waits cannot be changed. Cancel it, and send it again.",
	"GET /emails":        " Messages are not listed. GET /emails/{id} tells of one.",
}

// absentPaths finds the path of a request among those.
func absentPaths() *http.ServeMux {
	mux := http.NewServeMux()
	for path := range absent {
		mux.Handle(path, http.NotFoundHandler())
	}
	return mux
}

// wordsOf is the form of another API in which a problem is told; nil is ours.
func wordsOf(path string, h http.Header) form {
	if a, is := absent[path]; is {
		if h.Get("X-Postmark-Server-Token") != "" {
			return inPostmark
		}
		return a.form
	}
	return forms[path]
}

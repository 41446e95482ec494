package rest

import (
	"maps"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
)

// absence is a path that clients of another API call, and all below it, behind which
// nothing is.
type absence struct {
	dialect *dialect
	instead string // what to know, and what to do
}

const (
	whatBecame    = "GET /emails/operations/{id} tells what became of a message."
	mayDo         = "GET /callers/me tells what the key may do."
	noContacts    = "Posthorn keeps no contacts. Send the messages by POST /emails, or up to 100 of them by POST /emails/batch."
	noLists       = "Posthorn keeps no contacts. Send the messages by POST /v3/mail/send, up to 100 of them in one request."
	noTemplates   = "Posthorn keeps no templates. Send the text and the HTML of each message."
	noAutomations = "Posthorn runs no automations. Send each message by POST /emails."
	noMessages    = "Posthorn keeps no messages. " + whatBecame
	noStatistics  = "Posthorn keeps no statistics. " + whatBecame
	noInbound     = "Posthorn sends mail, and receives none."
	noBatch       = "Messages are cancelled one by one. Send DELETE /emails/operations/{id} while a message waits."
	noAccounts    = "Posthorn has no accounts. " + mayDo
	ofACS         = "ACS keeps the list of recipients that it does not write to. " + whatBecame
	domains       = "Domains are kept by ACS. " + mayDo
	senders       = "Senders are kept by ACS. " + mayDo
	keys          = "The operator makes keys, with `posthorn callers add`. " + mayDo
)

// absent are such paths, in lower case. The host answers without a word to all that has no
// template, and clients then show something that is wrong, so each has one. Source: the
// calls that resend 6.38.0 and postmark 5.1.0 make; SendGrid's OpenAPI documents,
// github.com/twilio/sendgrid-oai.
var absent = map[string]absence{
	"/email":                    {inPostmark, "Messages go by POST /email, and up to 100 of them by POST /email/batch."},
	"/email/withtemplate":       {inPostmark, "Posthorn keeps no templates. Send HtmlBody or TextBody by POST /email."},
	"/email/batchwithtemplates": {inPostmark, "Posthorn keeps no templates. Send HtmlBody or TextBody by POST /email/batch."},
	"/server":                   {inPostmark, "Posthorn has no servers of Postmark. " + mayDo},
	"/servers":                  {inPostmark, "Posthorn has no servers of Postmark. " + mayDo},
	"/senders":                  {inPostmark, senders},
	"/bounces":                  {inPostmark, "Posthorn keeps no bounces. " + whatBecame},
	"/deliverystats":            {inPostmark, noStatistics},
	"/stats":                    {inPostmark, noStatistics},
	"/messages":                 {inPostmark, noMessages},
	"/messages/inbound":         {inPostmark, noInbound},
	"/triggers":                 {inPostmark, noInbound},
	"/message-streams":          {inPostmark, "Posthorn has no streams. MessageStream of a message is a priority or a tag. " + ofACS},
	"/data-removals":            {inPostmark, "Posthorn removes no data on request. Ask the operator."},

	"/emails/{id}/attachments": {inResend, "Posthorn keeps no attachments. " + whatBecame},
	"/emails/{id}/share":       {inResend, "Posthorn shares no messages. " + whatBecame},
	"/emails/metrics":          {inResend, noStatistics},
	"/emails/receiving":        {inResend, noInbound},
	"/inboxes":                 {inResend, noInbound},
	"/domains":                 {inResend, domains},
	"/api-keys":                {inResend, keys},
	"/oauth":                   {inResend, keys},
	"/audiences":               {inResend, noContacts},
	"/contacts":                {inResend, noContacts},
	"/contact-properties":      {inResend, noContacts},
	"/segments":                {inResend, noContacts},
	"/topics":                  {inResend, noContacts},
	"/broadcasts":              {inResend, noContacts},
	"/automations":             {inResend, noAutomations},
	"/events":                  {inResend, noAutomations},
	"/templates":               {inResend, noTemplates},
	"/webhooks":                {inResend, "Posthorn calls no webhooks. " + whatBecame},
	"/suppressions":            {inResend, ofACS},
	"/logs":                    {inResend, noMessages},
	"/usage":                   {inResend, "Posthorn has no plans. GET /quota tells what is left of the quota."},

	"/v3":                      {inSendGrid, "Posthorn has POST /v3/mail/send of SendGrid's API, and nothing else."},
	"/v3/mail/batch":           {inSendGrid, noBatch},
	"/v3/user/scheduled_sends": {inSendGrid, noBatch},
	"/v3/scopes":               {inSendGrid, "Keys have no scopes here. " + mayDo},
	"/v3/api_keys":             {inSendGrid, keys},
	"/v3/user":                 {inSendGrid, noAccounts},
	"/v3/subusers":             {inSendGrid, noAccounts},
	"/v3/teammates":            {inSendGrid, noAccounts},
	"/v3/templates":            {inSendGrid, noTemplates},
	"/v3/designs":              {inSendGrid, noTemplates},
	"/v3/marketing":            {inSendGrid, noLists},
	"/v3/contactdb":            {inSendGrid, noLists},
	"/v3/campaigns":            {inSendGrid, noLists},
	"/v3/asm":                  {inSendGrid, "Posthorn has no groups of unsubscribed recipients. " + ofACS},
	"/v3/suppression":          {inSendGrid, ofACS},
	"/v3/stats":                {inSendGrid, noStatistics},
	"/v3/categories":           {inSendGrid, noStatistics},
	"/v3/messages":             {inSendGrid, noMessages},
	"/v3/whitelabel":           {inSendGrid, domains},
	"/v3/senders":              {inSendGrid, senders},
	"/v3/verified_senders":     {inSendGrid, senders},
}

// Absent lists the paths of other APIs behind which, and below which, nothing is.
func Absent() []string { return slices.Sorted(maps.Keys(absent)) }

// Dialects lists the paths of other APIs that are here.
func Dialects() []string { return slices.Sorted(maps.Keys(dialects)) }

// unchanged says what to do instead of a method that a path of another API has there and
// not here.
var unchanged = map[string]string{
	"PATCH /emails/{id}": " A queued message cannot be changed. Cancel it, and send it again.",
	"GET /emails":        " Messages are not listed. GET /emails/{id} tells of one.",
}

var oneEmail = regexp.MustCompile("^/emails/[^/]+/")

// absentAbove is the nearest of those paths, at or above the one that is asked for. The host
// does not look at the case of a path either.
func absentAbove(asked string) (of string, is bool) {
	for p := strings.ToLower(asked); len(p) > 1; p = path.Dir(p) {
		for _, of := range []string{p, oneEmail.ReplaceAllString(p, "/emails/{id}/")} {
			if _, is := absent[of]; is {
				return of, true
			}
		}
	}
	return "", false
}

// dialectOf is that in which a client is answered; nil is ours. Of a path that two APIs
// have, the header of the key tells which of them the client speaks.
func dialectOf(path string, h http.Header) *dialect {
	known, absence := dialects[path], absent[path]
	switch {
	case known != nil:
		return known
	case absence.dialect != nil && (h.Get("X-Postmark-Server-Token") != "" || h.Get("X-Postmark-Account-Token") != ""):
		return inPostmark
	}
	return absence.dialect
}

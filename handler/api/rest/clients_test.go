package rest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/test/require"
)

const clientsFolder = "../../test/clients"

// vendor is another service's own client, whose users see the text of its error.
type vendor struct {
	script  string // beside the client for Node.js
	message string // a good one
	call    string // with it as %s
	golang  string // what the client for Go is called; empty without one
}

var vendors = map[string]vendor{
	"acs": {"send.mjs", `{"senderAddress":"donotreply@example.com","recipients":{"to":[{"address":"ann@example.com"}]},"content":{"subject":"Hi","plainText":"Hello"}}`, "%s", ""},
	"resend": {"resend.mjs", `{"from":"donotreply@example.com","to":["ann@example.com"],"subject":"Hi","text":"Hello"}`,
		`["post","/emails",%s]`, "resend"},
	"sendgrid": {"sendgrid.mjs", `{"from":{"email":"donotreply@example.com"},"personalizations":[{"to":[{"email":"ann@example.com"}]}],"subject":"Hi","content":[{"type":"text/plain","value":"Hello"}]}`,
		`["request",{"method":"POST","url":"/v3/mail/send","body":%s}]`, "sendgrid"},
	"postmark": {"postmark.mjs", `{"From":"donotreply@example.com","To":"ann@example.com","Subject":"Hi","TextBody":"Hello"}`, `["sendEmail",%s]`, "postmark"},
}

// shown is one thing wrong: for each vendor the members of the message that differ, null
// for one that is left out, and what a user sees.
type shown struct {
	name   string
	golang bool // the types of clients for Go can say it
	as     map[string][2]string
}

const (
	noSpace = "The address contains a space, a line break or a control character."
	policy  = "The operator of this gateway can change its rules. "
	senders = "The rule `senders` of this caller does not list this address."
	tooMuch = "The body is larger than (the )?100000 bytes( that this caller may send)?. Upload large files by POST /attachments, and send the message by POST /emails:send."
)

var allShown = []shown{
	{"no text", true, map[string][2]string{
		"acs":      {`{"content":{"subject":"Hi"}}`, "/content: The message has no text. Set plainText or html."},
		"resend":   {`{"text":null}`, "The message has no text. Set text or html."},
		"sendgrid": {`{"content":null}`, "content: The message has no text. Set content."},
		"postmark": {`{"TextBody":null}`, "The message has no text. Set TextBody or HtmlBody."},
	}},
	{"no recipient", true, map[string][2]string{
		"acs":      {`{"recipients":{"to":[]}}`, "/recipients: At least one recipient is needed in to, cc or bcc."},
		"resend":   {`{"to":null}`, "/to: At least one recipient is needed in to, cc or bcc."},
		"sendgrid": {`{"personalizations":[{}]}`, "personalizations.0: At least one recipient is needed in to, cc or bcc."},
		"postmark": {`{"To":null}`, "/To: At least one recipient is needed in To, Cc or Bcc."},
	}},
	{"a bad address", true, map[string][2]string{
		"acs":      {`{"recipients":{"to":[{"address":"ann@example.com"},{"address":"x y"}]}}`, "/recipients/to/1/address: " + noSpace},
		"resend":   {`{"to":["ann@example.com","x y"]}`, "/to/1: " + noSpace},
		"sendgrid": {`{"personalizations":[{"to":[{"email":"ann@example.com"},{"email":"x y"}]}]}`, "personalizations.0.to.1.email: " + noSpace},
		"postmark": {`{"To":"ann@example.com, x y"}`, "/To: " + noSpace},
	}},
	{"a sender that the policy does not list", true, map[string][2]string{
		"acs":      {`{"senderAddress":"a@example.org"}`, policy + "/senderAddress: " + senders},
		"resend":   {`{"from":"a@example.org"}`, policy + "/from: " + senders},
		"sendgrid": {`{"from":{"email":"a@example.org"}}`, policy + "from.email: " + senders},
		"postmark": {`{"From":"a@example.org"}`, policy + "/From: " + senders},
	}},
	{"a header that a member sets", true, map[string][2]string{
		"acs":      {`{"headers":{"From":"a@example.com"}}`, "/headers/From: This header is reserved: senderAddress sets it."},
		"resend":   {`{"headers":{"From":"a@example.com"}}`, "/headers/From: This header is reserved: from sets it."},
		"sendgrid": {`{"headers":{"From":"a@example.com"}}`, "headers.From: This header is reserved: from.email sets it."},
		"postmark": {`{"Headers":[{"Name":"From","Value":"a@example.com"}]}`, "/Headers/0: This header is reserved: From sets it."},
	}},
	{"too large", true, map[string][2]string{
		"acs":      {`{"content":{"subject":"Hi","plainText":"LARGE"}}`, tooMuch},
		"resend":   {`{"text":"LARGE"}`, tooMuch},
		"sendgrid": {`{"content":[{"type":"text/plain","value":"LARGE"}]}`, tooMuch},
		"postmark": {`{"TextBody":"LARGE"}`, tooMuch},
	}},
	{"an unknown member", false, map[string][2]string{
		"resend":   {`{"txt":"Hello"}`, "/txt: There is no such member."},
		"sendgrid": {`{"txt":"Hello"}`, "txt: There is no such member."},
		"postmark": {`{"Txt":"Hello"}`, "/Txt: There is no such member."},
	}},
	{"bad Base64", false, map[string][2]string{
		"acs":      {`{"attachments":[{"name":"a.bin","contentType":"a/b","contentInBase64":"?"}]}`, "/attachments/0/contentInBase64: This character is not Base64. Write the bytes of the file in Base64."},
		"resend":   {`{"attachments":[{"filename":"a.bin","content":"?"}]}`, "/attachments/0/content: This character is not Base64. Write the bytes of the file in Base64."},
		"sendgrid": {`{"attachments":[{"filename":"a.bin","content":"?"}]}`, "attachments.0.content: This character is not Base64. Write the bytes of the file in Base64."},
		"postmark": {`{"Attachments":[{"Name":"a.bin","Content":"?"}]}`, "/Attachments/0/Content: This character is not Base64. Write the bytes of the file in Base64."},
	}},
	{"an attachment without content", false, map[string][2]string{
		"resend":   {`{"attachments":[{"filename":"a.bin"}]}`, "/attachments/0/content: The attachment has no content. Set content."},
		"sendgrid": {`{"attachments":[{"filename":"a.bin"}]}`, "attachments.0.content: The attachment has no content. Set content."},
		"postmark": {`{"Attachments":[{"Name":"a.bin"}]}`, "/Attachments/0/Content: The attachment has no content. Set Content."},
	}},
	// The cause comes first: that there is no text follows from it.
	{"a template in place of a text", false, map[string][2]string{
		"resend":   {`{"template":{"id":"x"},"text":null}`, "/template: Templates are kept by Resend and not known here. Send html or text. The message has no text."},
		"sendgrid": {`{"template_id":"x","content":null}`, "(Bad Request|400)[^a-z]*template_id: Templates are kept by SendGrid and not known here"},
		"postmark": {`{"TemplateId":1,"TextBody":null}`, "/TemplateId: Templates are kept by Postmark and not known here. Send HtmlBody or TextBody. The message has no text."},
	}},
	{"a content of another type has no second fault", false, map[string][2]string{
		"sendgrid": {`{"content":[{"type":"text/calendar","value":"x"}]}`, `content.0.type: This must be text/plain or text/html: ACS takes no other. A calendar goes as an attachment.\n +content.0.type\n +http[^ ]*$`},
	}},
	{"a paused caller", true, same("The operator has paused this caller: a loop. The message was not sent. Send it again after Retry-After, or ask the operator.")},
	{"a bad key", true, same("The key is not valid")},
	{"no quota left", false, refusing("The sending quota has no room now. Try again in ")},
	{"storage away", true, same("could not be")},
}

// same is what is wrong with no member.
func same(text string) map[string][2]string {
	return map[string][2]string{"acs": {`{"delivery":{"whenBusy":"refuse"}}`, text}, "resend": {"{}", text}, "sendgrid": {"{}", text}, "postmark": {"{}", text}}
}

func refusing(text string) map[string][2]string {
	const refuse = `{"delivery":{"whenBusy":"refuse"}}`
	return map[string][2]string{"acs": {refuse, text}, "resend": {refuse, text}, "sendgrid": {refuse, text}, "postmark": {`{"Delivery":{"whenBusy":"refuse"}}`, text}}
}

// deployed is where a thing goes wrong.
func (s shown) deployed(t *testing.T) *deployment {
	t.Helper()
	limits := plenty
	if s.name == "no quota left" {
		limits = quota.Limits{PerMinute: 1, PerHour: 9}
	}
	d := newDeployment(t, limits)
	switch s.name {
	case "a paused caller":
		if err := d.callers.Pause(t.Context(), "shop", "a loop", true); err != nil {
			t.Fatal(err)
		}
	case "a bad key":
		d.key, d.access = "ph_shop_1_"+strings.Repeat("0", 64), base64.StdEncoding.EncodeToString([]byte("another"))
	case "no quota left":
		d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("first")))
	case "storage away":
		d.storageDown(true)
	}
	return d
}

// with is a message in which members are others.
func with(t *testing.T, message, patch string) string {
	t.Helper()
	var m, p map[string]any
	if json.Unmarshal([]byte(message), &m) != nil || json.Unmarshal([]byte(patch), &p) != nil {
		t.Fatalf("%s, %s: no JSON", message, patch)
	}
	maps.Copy(m, p)
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "LARGE", strings.Repeat("x", 100_001))
}

// ofACS are the names that no other API has, as a person would read them.
var ofACS = regexp.MustCompile(`\b(senderAddress|senderDisplayName|plainText|contentInBase64|contentType|contentId|displayName|userEngagementTrackingDisabled|replyTo|uploadId|placement|recipients/|content\.subject)\b`)

func requireClients(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("runs programs")
	}
	if _, err := os.Stat(filepath.Join(clientsFolder, "node_modules", "postmark")); err != nil {
		require.Missing(t, require.Clients)
	}
}

// What a user of a client sees of each thing wrong is the reason, in the words of the
// client's own API.
func TestClientsShowTheReason(t *testing.T) {
	t.Parallel()
	requireClients(t)
	program := filepath.Join(t.TempDir(), "client")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	build.Dir = "../../test/goclients"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Run("what is not here", func(t *testing.T) {
		t.Parallel()
		newDeployment(t, plenty).expectNothing(t, "Go", program, "", [][2]string{
			{`{"client":"resend, domains"}`, "Domains are kept by ACS."}, {`{"client":"resend, contacts"}`, "Posthorn keeps no contacts."},
			{`{"client":"sendgrid, contacts"}`, "Posthorn keeps no contacts."}, {`{"client":"postmark, bounces"}`, "Posthorn keeps no bounces."},
		})
	})
	for _, s := range allShown {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for name, v := range vendors {
				as, ok := s.as[name]
				if !ok {
					continue
				}
				d := s.deployed(t)
				message := with(t, v.message, as[0])
				d.expect(t, name, as[1], "node", v.script, v.input(message))
				if s.golang && v.golang != "" {
					d.expect(t, name+" for Go", as[1], program, "", fmt.Sprintf(`[{"client":%q,"message":%s}]`, v.golang, message))
				}
			}
		})
	}
}

func (v vendor) input(message string) string {
	if v.call == "%s" {
		return message // its script takes one
	}
	return "[" + fmt.Sprintf(v.call, message) + "]"
}

// clientSaid is what a client shows of one call.
type clientSaid struct{ ID, Message string }

// said runs a client with calls, and has what it shows of each.
func (d *deployment) said(t *testing.T, name, program, script, input string) (all []clientSaid) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, strings.Fields(script)...)
	cmd.Dir = clientsFolder
	cmd.Env = append(os.Environ(), "POSTHORN_URL="+d.server.URL, "POSTHORN_KEY="+d.key, "CONNECTION_STRING=endpoint="+d.server.URL+"/;accesskey="+d.access)
	cmd.Stdin = strings.NewReader(input)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, complaint.String())
	}
	if out[0] == '{' {
		out = slices.Concat([]byte("["), out, []byte("]"))
	}
	if err := json.Unmarshal(out, &all); err != nil || len(all) == 0 {
		t.Fatalf("%s: %v %s", name, err, out)
	}
	return all
}

// expect runs a client and looks at what it shows.
func (d *deployment) expect(t *testing.T, name, want, program, script, input string) {
	t.Helper()
	all := d.said(t, name, program, script, input)
	text := all[0].Message
	if name == "acs" && want == "The key is not valid" {
		want = "The HMAC signature was not accepted"
	}
	if !strings.Contains(text, want) && !regexp.MustCompile(want).MatchString(text) || all[0].ID != "" {
		t.Errorf("%s shows %q\nwant %q", name, text, want)
	}
	if leak := ofACS.FindString(text); leak != "" && name != "acs" {
		t.Errorf("%s shows %q, which only ACS has: %q", name, leak, text)
	}
}

// What other APIs have and Posthorn has not, is refused with a reason by a route of its
// own: clients show something else for an answer that they do not know.
func TestClientsShowWhatIsNotHere(t *testing.T) {
	t.Parallel()
	requireClients(t)
	const id, later = "11111111-1111-4111-8111-111111111111", "tells what became of a message."
	for script, calls := range map[string][][2]string{
		"resend.mjs": {
			{`["fetch","/emails"]`, "This route does not take GET. It takes POST. Messages are not listed. GET /emails/{id} tells of one."},
			{`["patch","/emails/` + id + `",{"scheduledAt":"x"}]`, "This route does not take PATCH. It takes GET. A queued message cannot be changed. Cancel it, and send it again."},
			{`["domains.list"]`, "Domains are kept by ACS. GET /callers/me tells what the key may do."},
			{`["domains.get","` + id + `"]`, "Domains are kept by ACS."},
			{`["domains.verify","` + id + `"]`, "Domains are kept by ACS."},
			{`["domains.remove","` + id + `"]`, "Domains are kept by ACS."},
			{`["apiKeys.create",{"name":"x"}]`, "The operator makes keys, with `posthorn callers add`."},
			{`["apiKeys.remove","` + id + `"]`, "The operator makes keys"},
			{`["templates.create",{"name":"x","html":"x"}]`, "Posthorn keeps no templates."},
			{`["templates.get","welcome"]`, "Posthorn keeps no templates."},
			{`["templates.publish","welcome"]`, "Posthorn keeps no templates."},
			{`["contacts.list",{"audienceId":"` + id + `"}]`, "Posthorn keeps no contacts."},
			{`["contacts.get",{"email":"ann@example.com"}]`, "Posthorn keeps no contacts."},
			{`["contactProperties.list"]`, "Posthorn keeps no contacts."},
			{`["segments.list"]`, "Posthorn keeps no contacts."},
			{`["topics.get","` + id + `"]`, "Posthorn keeps no contacts."},
			{`["broadcasts.send","` + id + `"]`, "Posthorn keeps no contacts."},
			{`["webhooks.get","` + id + `"]`, "Posthorn calls no webhooks."},
			{`["events.send",{"event":"x","email":"ann@example.com","payload":{}}]`, "Posthorn runs no automations."},
			{`["fetch","/automations/` + id + `/runs"]`, "Posthorn runs no automations."},
			{`["fetch","/suppressions/ann@example.com"]`, "ACS keeps the list of recipients"},
			{`["fetch","/logs/` + id + `"]`, "Posthorn keeps no messages."},
			{`["fetch","/oauth/grants"]`, "The operator makes keys"},
			{`["fetch","/usage"]`, "GET /quota tells what is left of the quota."},
			{`["fetch","/inboxes"]`, "Posthorn sends mail, and receives none."},
			{`["fetch","/emails/` + id + `/attachments"]`, "Posthorn keeps no attachments."},
			{`["fetch","/emails/` + id + `/attachments/` + id + `"]`, "Posthorn keeps no attachments."},
			{`["post","/emails/` + id + `/share"]`, "Posthorn shares no messages."},
			{`["fetch","/emails/metrics"]`, "Posthorn keeps no statistics."},
			{`["fetch","/emails/receiving"]`, "Posthorn sends mail, and receives none."},
			{`["fetch","/emails/receiving/` + id + `/attachments"]`, "Posthorn sends mail, and receives none."},
		},
		"postmark.mjs": {
			{`["sendEmailWithTemplate",{"From":"donotreply@example.com","To":"ann@example.com","TemplateId":1,"TemplateModel":{}}]`, "Posthorn keeps no templates. Send HtmlBody or TextBody by POST /email."},
			{`["sendEmailBatchWithTemplates",[]]`, "Send HtmlBody or TextBody by POST /email/batch."},
			{`["getServer"]`, "Posthorn has no servers of Postmark."},
			{`["editServer",{"Name":"x"}]`, "Posthorn has no servers of Postmark."},
			{`["getTemplates"]`, "Posthorn keeps no templates."},
			{`["getTemplate",1]`, "Posthorn keeps no templates."},
			{`["getBounces"]`, "Posthorn keeps no bounces."},
			{`["activateBounce",1]`, "Posthorn keeps no bounces."},
			{`["getBounceDump",1]`, "Posthorn keeps no bounces."},
			{`["getDeliveryStatistics"]`, "Posthorn keeps no statistics."},
			{`["getOutboundOverview"]`, "Posthorn keeps no statistics."},
			{`["getClickCounts"]`, "Posthorn keeps no statistics."},
			{`["getOutboundMessages"]`, "Posthorn keeps no messages."},
			{`["getOutboundMessageDetails","` + id + `"]`, "Posthorn keeps no messages. GET /emails/operations/{id} " + later},
			{`["getInboundMessages"]`, "Posthorn sends mail, and receives none."},
			{`["getInboundRuleTriggers"]`, "Posthorn sends mail, and receives none."},
			{`["getMessageStreams"]`, "Posthorn has no streams."},
			{`["getSuppressions","outbound"]`, "ACS keeps the list of recipients"},
			{`["getWebhooks"]`, "Posthorn calls no webhooks."},
			{`["editWebhook",1,{}]`, "Posthorn calls no webhooks."},
		},
		"sendgrid.mjs": {
			{`["request",{"method":"GET","url":"/v3/mail/send"}]`, "This route does not take GET. It takes POST."},
			{`["request",{"method":"POST","url":"/v3/mail/batch"}]`, "Messages are cancelled one by one."},
			{`["request",{"method":"GET","url":"/v3/scopes"}]`, "Keys have no scopes here. GET /callers/me tells what the key may do."},
			{`["request",{"method":"GET","url":"/v3/api_keys/x"}]`, "The operator makes keys"},
			{`["request",{"method":"PUT","url":"/v3/marketing/contacts","body":{"contacts":[]}}]`, "Posthorn keeps no contacts."},
			{`["request",{"method":"GET","url":"/v3/asm/suppressions/global/ann@example.com"}]`, "Posthorn has no groups of unsubscribed recipients."},
			{`["request",{"method":"GET","url":"/v3/suppression/bounces"}]`, "ACS keeps the list of recipients"},
			{`["request",{"method":"DELETE","url":"/v3/suppression/bounces/ann@example.com"}]`, "ACS keeps the list of recipients"},
			{`["request",{"method":"GET","url":"/v3/templates/x/versions/y"}]`, "Posthorn keeps no templates."},
			{`["request",{"method":"GET","url":"/v3/stats?start_date=2026-11-01"}]`, "Posthorn keeps no statistics."},
			{`["request",{"method":"GET","url":"/v3/user/webhooks/event/settings"}]`, "Posthorn has no accounts."},
			{`["request",{"method":"POST","url":"/v3/user/scheduled_sends"}]`, "Messages are cancelled one by one."},
			{`["request",{"method":"POST","url":"/v3/whitelabel/domains/1/validate"}]`, "Domains are kept by ACS."},
			{`["request",{"method":"GET","url":"/v3/ips/pools"}]`, "Posthorn has POST /v3/mail/send of SendGrid's API, and nothing else."},
		},
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			newDeployment(t, plenty).expectNothing(t, script, "node", script, calls)
		})
	}
}

// expectNothing makes calls of what is not here, and looks at what a client shows of each.
func (d *deployment) expectNothing(t *testing.T, name, program, script string, calls [][2]string) {
	t.Helper()
	var input []string
	for _, c := range calls {
		input = append(input, c[0])
	}
	said := d.said(t, name, program, script, "["+strings.Join(input, ",")+"]")
	for i, c := range calls {
		if i >= len(said) || said[i].ID != "" || !strings.Contains(said[i].Message, c[1]) {
			t.Errorf("%s shows of %s %+v\nwant %q", name, c[0], said[min(i, len(said)-1)], c[1])
		}
	}
}

// Each message of a batch has its own reason.
func TestClientsShowTheReasonOfABatch(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	resend := d.do(t, d.request(t, "POST", "/emails/batch", `[{"from":"donotreply@example.com","to":"ann@example.com","subject":"Hi"}]`, "X-Batch-Validation", "permissive"))
	if want := `"errors":[{"index":0,"message":"The message has no text. Set text or html."}]`; !strings.Contains(resend.text, want) {
		t.Errorf("%s\nwant %s", resend.text, want)
	}
	strict := d.do(t, d.request(t, "POST", "/emails/batch", `[{"from":"donotreply@example.com","to":"ann@example.com","subject":"Hi"}]`))
	if want := `"message":"/0: The message has no text. Set text or html."`; !strings.Contains(strict.text, want) {
		t.Errorf("%s\nwant %s", strict.text, want)
	}
	postmark := d.do(t, d.request(t, "POST", "/email/batch", `[{"From":"donotreply@example.com","To":"ann@example.com","Subject":"Hi"}]`))
	if want := `"Message":"The message has no text. Set TextBody or HtmlBody."`; !strings.Contains(postmark.text, want) {
		t.Errorf("%s\nwant %s", postmark.text, want)
	}
}

package sendgrid_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/accept/wire/sendgrid"
	"github.com/posthorn/posthorn/handler/accept/wire/wiretest"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// What @sendgrid/mail 8.1.6 sent.
const byNode = `{"from":{"email":"o@example.com","name":"Acme"},"subject":"Hi","personalizations":[{"to":[{"email":"a@example.com","name":"Ann"}],"cc":[{"email":"c@example.com"}]}],
	"attachments":[{"content":"aGVsbG8gYXR0YWNo","filename":"a.txt","type":"text/plain","disposition":"attachment"},
	{"content":"UE5H","filename":"logo.png","type":"image/png","disposition":"inline","contentId":"logo"}],
	"content":[{"value":"Hello","type":"text/plain"},{"value":"<p>Hello</p>","type":"text/html"}],"headers":{"X-Test":"1"},"custom_args":{"k":"v"},
	"categories":["a","b"],"reply_to":{"email":"r@example.com"},"send_at":1900000000,"mail_settings":{"sandbox_mode":{"enable":false}},
	"tracking_settings":{"click_tracking":{"enable":false,"enable_text":false},"open_tracking":{"enable":false}}}`

func TestWhatNodeSends(t *testing.T) {
	t.Parallel()
	l, kept := wiretest.One(t, sendgrid.Source(), byNode)
	wiretest.Equal(t, l.Message, &mail.Message{
		SenderAddress: "o@example.com", SenderDisplayName: "Acme",
		Content: mail.Content{Subject: "Hi", PlainText: "Hello", HTML: "<p>Hello</p>"},
		Recipients: mail.Recipients{
			To: []mail.Address{{Address: "a@example.com", DisplayName: "Ann"}},
			CC: []mail.Address{{Address: "c@example.com"}},
		},
		ReplyTo: []mail.Address{{Address: "r@example.com"}},
		Headers: map[string]string{"X-Test": "1"},
		Attachments: []mail.Attachment{
			{Name: "a.txt", ContentType: "text/plain", HasContent: true},
			{Name: "logo.png", ContentType: "image/png", ContentID: "logo", HasContent: true},
		},
		UserEngagementTrackingDisabled: true,
		Delivery: mail.Delivery{SendAt: "2030-03-17T17:46:40Z",
			Tags: []mail.Tag{{Name: "categories", Value: "a,b"}, {Name: "k", Value: "v"}}},
	})
	wiretest.Equal(t, kept, wiretest.Keep{0: "hello attach", 1: "PNG"})
	if l.Pretend {
		t.Error("it is taken for a trial")
	}
}

func TestPersonalizationsAreMessages(t *testing.T) {
	t.Parallel()
	parsed, _, err := wiretest.Read(t, sendgrid.Source(), `{"from":{"email":"o@example.com"},"subject":"Hi -name-","content":[{"type":"text/html","value":"<p>-name-, -name-s</p>"}],
		"headers":{"X-A":"1","X-B":"1"},"custom_args":{"a":"1"},"send_at":1900000000,"attachments":[{"filename":"a"}],"reply_to":{"email":"-code-@example.com"},"mail_settings":{"sandbox_mode":{"enable":true}},
		"personalizations":[
			{"to":[{"email":"a@example.com"}],"substitutions":{"-name-":"<b>Ann</b>","-name-s":"-name-","-code-":"r1"}},
			{"to":[{"email":"b@example.com"}],"subject":"Other","from":{"email":"p@example.com"},"headers":{"X-B":"2"},"custom_args":{"a":"2","b":"3"},"send_at":1900000001}]}`)
	if err != nil || len(parsed) != 2 {
		t.Fatalf("%d messages, %v", len(parsed), err)
	}
	a, b := parsed[0].Message, parsed[1].Message
	wiretest.Equal(t, a.Content, mail.Content{Subject: "Hi <b>Ann</b>", HTML: "<p><b>Ann</b>, -name-</p>"})
	wiretest.Equal(t, b.Content, mail.Content{Subject: "Other", HTML: "<p>-name-, -name-s</p>"})
	wiretest.Equal(t, []string{a.SenderAddress, a.ReplyTo[0].Address, a.Delivery.SendAt}, []string{"o@example.com", "r1@example.com", "2030-03-17T17:46:40Z"})
	wiretest.Equal(t, []string{b.SenderAddress, b.ReplyTo[0].Address, b.Delivery.SendAt}, []string{"p@example.com", "-code-@example.com", "2030-03-17T17:46:41Z"})
	wiretest.Equal(t, []map[string]string{a.Headers, b.Headers}, []map[string]string{{"X-A": "1", "X-B": "1"}, {"X-A": "1", "X-B": "2"}})
	wiretest.Equal(t, [][]mail.Tag{a.Delivery.Tags, b.Delivery.Tags}, [][]mail.Tag{{{Name: "a", Value: "1"}}, {{Name: "a", Value: "2"}, {Name: "b", Value: "3"}}})
	if !parsed[0].Pretend || !parsed[1].Pretend {
		t.Error("sandbox mode is not told")
	}
	if b.Attachments[0].Name = "other"; a.Attachments[0].Name != "a" {
		t.Error("the messages share their list of attachments")
	}
}

// Each row is what a client writes, where it was seen, and what is read.
func TestWhatClientsWrite(t *testing.T) {
	t.Parallel()
	const to = `"personalizations":[{"to":[{"email":"a@example.com"}]}]`
	image := func(more string) string {
		return `{` + to + `,"content":[{"type":"text/html","value":"<img src=\"cid:logo\">"}],"attachments":[{"content":"aGk=","filename":"l.png","content_id":"logo"` + more + `}]}`
	}
	id := func(want string) func(m *mail.Message) (any, any) {
		return func(m *mail.Message) (any, any) { return m.Attachments[0].ContentID, want }
	}
	for name, tt := range map[string]struct {
		source, body string
		want         func(m *mail.Message) (got, want any)
	}{
		"a name in quotes": {"sendgrid-python pull request 618; django-anymail, sendgrid.py", `{"personalizations":[{"to":[{"email":"a@example.com","name":"\"Doe, \\\"A\\\"\""}]}],"from":{"name":"\"A\" B"}}`, func(m *mail.Message) (any, any) {
			return []string{m.Recipients.To[0].DisplayName, m.SenderDisplayName}, []string{`Doe, "A"`, `"A" B`}
		}},
		"an encoded name": {"RFC 2047", `{` + to + `,"reply_to":{"email":"r@example.com","name":"=?utf-8?b?w7w=?="}}`, func(m *mail.Message) (any, any) {
			return m.ReplyTo[0].DisplayName, "ü"
		}},
		"an id without disposition":         {"sendgrid-go issue 259; sendgrid-python issue 951", image(""), id("logo")},
		"an id of an attachment":            {"the same", image(`,"disposition":"attachment"`), id("logo")},
		"an id of which the HTML is silent": {"a file that stays beside the text", strings.Replace(image(""), "cid:logo", "cid:log", 1), id("")},
		"a type with parameters": {"messages of mail clients", `{` + to + `,"content":[{"type":"text/plain; charset=utf-8","value":"a"},{"type":"TEXT/HTML","value":"b"}]}`, func(m *mail.Message) (any, any) {
			return m.Content, mail.Content{PlainText: "a", HTML: "b"}
		}},
		"a dynamic mail": {"docs.sendgrid.com, AMP for email", `{` + to + `,"content":[{"type":"text/plain","value":"a"},{"type":"text/x-amp-html","value":"<html ⚡4email>"},{"type":"text/html","value":"b"}]}`, func(m *mail.Message) (any, any) {
			return m.Content, mail.Content{PlainText: "a", HTML: "b"}
		}},
		"a type, twice":           {"@medusajs/notification-sendgrid 2.21.2", image(`,"content_type":"image/png","disposition":"inline"`), id("logo")},
		"an id of Medusa's":       {"@medusajs/notification-sendgrid, sendgrid.ts", image(`,"id":"logo"`), id("logo")},
		"inline, and no image":    {"SendGrid's OpenAPI document: content and filename are required; Medusa, too", strings.Replace(image(`,"disposition":"inline"`), `,"content_id":"logo"`, "", 1), id("")},
		"a disposition of a mail": {"RFC 2183", image(`,"disposition":"INLINE; filename=l.png"`), id("logo")},
		"switches that are texts": {"json_encode of what a form sent", `{` + to + `,"tracking_settings":{"click_tracking":{"enable":"false"},"open_tracking":{"enable":"False"}},"mail_settings":{"footer":{"enable":"false"}}}`, func(m *mail.Message) (any, any) {
			return m.UserEngagementTrackingDisabled, true
		}},
		"null in a member of a later day": {"clients of .NET and Java, which write what is not set", `{` + to + `,"new":null,"mail_settings":{"new":null}}`, func(m *mail.Message) (any, any) { return m.Content, mail.Content{} }},
		"empty maps of PHP":               {"json_encode of an empty array", `{` + to + `,"custom_args":[],"headers":[],"mail_settings":[]}`, func(m *mail.Message) (any, any) { return m.Delivery, mail.Delivery{} }},
		"empties":                         {"clients that leave nothing out", `{` + to + `,"template_id":"","sections":{},"batch_id":"","asm":{},"ip_pool_name":null}`, func(m *mail.Message) (any, any) { return m.Content, mail.Content{} }},
		"empty template data":             {"the same", `{"personalizations":[{"to":[{"email":"a@example.com"}],"dynamic_template_data":{},"categories":[]}]}`, func(m *mail.Message) (any, any) { return m.Content, mail.Content{} }},
		"arguments": {"SendGrid's clients, USAGE.md", `{` + to + `,"custom_args":{"New Argument 1":"New Value 1","activationAttempt":1,"big":-1.50E+3,"ok":true,"none":null}}`, func(m *mail.Message) (any, any) {
			return m.Delivery.Tags, []mail.Tag{{Name: "New Argument 1", Value: "New Value 1"}, {Name: "activationAttempt", Value: "1"}, {Name: "big", Value: "-1.50E+3"}, {Name: "ok", Value: "true"}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, _ := wiretest.One(t, sendgrid.Source(), tt.body)
			if got, want := tt.want(l.Message); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %+v, want %+v", tt.source, got, want)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	const templates = "Templates are kept by SendGrid and not known here. Send content, with substitutions if it differs."
	to := `"personalizations":[{"to":[{"email":"a@example.com"}]}]`
	for name, tt := range map[string]struct {
		body string
		want []string
	}{
		"nobody to write to": {`{}`, []string{"/personalizations: At least one is needed, with a recipient."}},
		"what SendGrid keeps": {`{` + to + `,"template_id":"d-1","sections":{"a":"b"},"batch_id":"x","asm":{"group_id":1},"ip_pool_name":"x"}`, []string{
			"/template_id: " + templates, "/sections: " + templates,
			"/batch_id: Messages are cancelled one by one here, with DELETE /emails/operations/{id}. Leave it out.",
			"/asm: Groups of unsubscribed recipients are kept by SendGrid and not known here. Leave it out.",
			"/ip_pool_name: ACS chooses the addresses that it sends from. Leave it out."}},
		"templates' data": {`{"personalizations":[{"dynamic_template_data":{"a":[{}]}}]}`, []string{"/personalizations/0/dynamic_template_data: " + templates}},
		"settings that are on": {`{` + to + `,"mail_settings":{"footer":{"enable":true,"text":"x"},"bypass_list_management":{"enable":false},"spam_check":{"enable":true,"threshold":1}},
			"tracking_settings":{"ganalytics":{"enable":true,"utm_source":"x"}}}`, []string{
			"/mail_settings/footer: A footer is not added here. Put it into the content.",
			"/mail_settings/spam_check: Messages are not checked for spam here.",
			"/tracking_settings/ganalytics: Links are not changed here. Put the parameters into them."}},
		"contents of other kinds": {`{` + to + `,"content":[{"type":"text/html","value":"a"},{"type":"text/calendar","value":"b"},{"type":"text/html","value":"c"}]}`, []string{
			"/content/1/type: This must be text/plain or text/html: ACS takes no other. A calendar goes as an attachment.",
			"/content/2/type: There is a content of this type already."}},
		"dispositions": {`{` + to + `,"attachments":[{"disposition":"inline"},{"disposition":"hidden"}]}`, []string{
			"/attachments/1/disposition: This must be inline or attachment."}},
		"a switch that is neither": {`{` + to + `,"tracking_settings":{"click_tracking":{"enable":"yes"},"open_tracking":{"enable":1}}}`, []string{
			"/tracking_settings/click_tracking/enable: It must be true or false, not a string.",
			"/tracking_settings/open_tracking/enable: It must be true or false, not a number."}},
		"times that are none": {`{` + to + `,"send_at":-1}`, []string{"/send_at: It must be a whole number, not negative and not too large."}},
		"times in halves":     {`{` + to + `,"send_at":1.5}`, []string{"/send_at: It must be a whole number, not negative and not too large."}},
		"times in words":      {`{` + to + `,"send_at":"now"}`, []string{"/send_at: It must be a number, not a string."}},
		"times without end":   {`{` + to + `,"send_at":99999999999999999999999}`, []string{"/send_at: It must be a whole number, not negative and not too large."}},
		"an empty tag":        {`{"personalizations":[{"substitutions":{"":"a"}}]}`, []string{"/personalizations/0/substitutions: A tag may not be empty."}},
		"long substitutions": {`{"personalizations":[{"substitutions":{"a":"` + strings.Repeat("b", 10_000) + `"}}]}`, []string{
			"/personalizations/0/substitutions: These are longer than 10000 bytes together."}},
		"substitutions that swell": {`{"content":[{"type":"text/plain","value":"` + strings.Repeat("a", 200) + `"}],"personalizations":[{"substitutions":{"a":"` + strings.Repeat("b", 9_000) + `"}}]}`, []string{
			"/personalizations/0/substitutions: With substitutions, the texts of all messages may be 1048576 bytes long together."}},
		"too many messages": {`{"personalizations":[` + strings.Repeat(`{},`, 100) + `{}]}`, []string{"/personalizations: There are more than 100 of them."}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wiretest.Invalid(t, sendgrid.Source(), tt.body, tt.want...)
		})
	}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	parsed, _, err := wiretest.Read(t, sendgrid.Source(), `{"reply_to":{"email":"r@example.com"},"content":[{"type":"text/html"}],"categories":["c"],"custom_args":{"a":"1"},
		"personalizations":[{},{"from":{},"subject":"s","headers":{"X-~/":""},"custom_args":{"b/":"2"},"send_at":1}]}`)
	if err != nil {
		t.Fatal(err)
	}
	wiretest.Places(t, parsed[0], map[string]string{
		"/senderAddress":             "/from/email",
		"/senderDisplayName":         "/from/name",
		"/recipients/to/3/address":   "/personalizations/0/to/3/email",
		"/recipients/cc":             "/personalizations/0/cc",
		"/recipients":                "/personalizations/0",
		"/content/subject":           "/subject",
		"/content/html":              "/content/0/value",
		"/content/plainText":         "/content",
		"/content":                   "/content",
		"/replyTo/0/address":         "/reply_to/email",
		"/replyTo/2/displayName":     "/reply_to_list/1/name",
		"/replyTo":                   "/reply_to_list",
		"/headers/X-~0~1":            "/headers/X-~0~1",
		"/headers":                   "/headers",
		"/delivery/sendAt":           "/send_at",
		"/delivery/tags/0/value":     "/categories",
		"/delivery/tags/1/name":      "/custom_args/a",
		"/delivery/tags":             "/custom_args",
		"/delivery/linkExpiresAfter": "/delivery/linkExpiresAfter",
		"/attachments/1/name":        "/attachments/1/filename",
		"/attachments/1/placement":   "/attachments/1",
	})
	wiretest.Places(t, parsed[1], map[string]string{
		"/senderAddress":                "/personalizations/1/from/email",
		"/senderDisplayName":            "/personalizations/1/from/name",
		"/recipients/bcc/0/displayName": "/personalizations/1/bcc/0/name",
		"/content/subject":              "/personalizations/1/subject",
		"/headers/X-~0~1":               "/personalizations/1/headers/X-~0~1",
		"/delivery/sendAt":              "/personalizations/1/send_at",
		"/delivery/tags/1/value":        "/custom_args/a",
		"/delivery/tags/2/value":        "/personalizations/1/custom_args/b~1",
	})
}

func TestEveryKindHasAForm(t *testing.T) {
	t.Parallel()
	for _, k := range problem.Kinds() {
		p := problem.New(k, "Something.")
		p.Violations = []problem.Violation{{Pointer: "/personalizations/0/to/1/email", Detail: "It is wrong."}, {Detail: "So is this."}}
		status, body := sendgrid.Refusal(p)
		text, err := json.Marshal(body)
		help := fmt.Sprintf("%q", k.Type())
		want := `{"errors":[{"message":"Something. personalizations.0.to.1.email: It is wrong.","field":"personalizations.0.to.1.email","help":` + help + `},{"message":"So is this.","field":null,"help":` + help + `}],"type":` + help + `}`
		if err != nil || status < 400 || string(text) != want {
			t.Errorf("%s: %d %s, %v", k, status, text, err)
		}
		if (k.Status() >= 500) != (status >= 500) || (k.Status() == http.StatusTooManyRequests) != (status == http.StatusTooManyRequests) {
			t.Errorf("%s is %d here and %d at home", k, status, k.Status())
		}
	}
}

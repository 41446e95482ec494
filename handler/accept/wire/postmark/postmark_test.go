package postmark_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/accept/wire/postmark"
	"github.com/posthorn/posthorn/handler/accept/wire/wiretest"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// What postmark for Node.js 5.1.0 sent, with all that its type has.
const byNode = `{"From":"\"Acme, Inc.\" <o@example.com>","To":"a@example.com, Bo <b@example.com>","Cc":"c@example.com","Bcc":"","ReplyTo":"r@example.com,s@example.com",
	"Subject":"Hi","TextBody":"Hello","HtmlBody":"<img src=\"cid:logo\">","Attachments":[{"Name":"a.txt","Content":"aGVsbG8gYXR0YWNo","ContentType":"text/plain","ContentID":null},
	{"Name":"logo.png","Content":"UE5H","ContentType":"image/png","ContentID":"cid:logo"}],
	"Headers":[{"Name":"X-Test","Value":"1"}],"Metadata":{"k":"v","a":"b"},"Tag":"welcome","MessageStream":"outbound","TrackOpens":false,"TrackLinks":"None"}`

func TestWhatNodeSends(t *testing.T) {
	t.Parallel()
	l, kept := wiretest.One(t, postmark.Source(), byNode)
	wiretest.Equal(t, l.Message, &mail.Message{
		SenderAddress: "o@example.com", SenderDisplayName: "Acme, Inc.",
		Content: mail.Content{Subject: "Hi", PlainText: "Hello", HTML: `<img src="cid:logo">`},
		Recipients: mail.Recipients{
			To: []mail.Address{{Address: "a@example.com"}, {Address: "b@example.com", DisplayName: "Bo"}},
			CC: []mail.Address{{Address: "c@example.com"}},
		},
		ReplyTo: []mail.Address{{Address: "r@example.com"}, {Address: "s@example.com"}},
		Headers: map[string]string{"X-Test": "1"},
		Attachments: []mail.Attachment{
			{Name: "a.txt", ContentType: "text/plain", HasContent: true},
			{Name: "logo.png", ContentType: "image/png", ContentID: "logo", HasContent: true},
		},
		UserEngagementTrackingDisabled: true,
		Delivery:                       mail.Delivery{Tags: []mail.Tag{{Name: "Tag", Value: "welcome"}, {Name: "a", Value: "b"}, {Name: "k", Value: "v"}}},
	})
	wiretest.Equal(t, kept, wiretest.Keep{0: "hello attach", 1: "PNG"})
}

func TestMembers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body string
		want func(m *mail.Message) (got, want any)
	}{
		"any case": {`{"from":"a@example.com","HTMLBODY":"b","attachments":[{"contentid":"c"}]}`, func(m *mail.Message) (any, any) {
			return []string{m.SenderAddress, m.Content.HTML, m.Attachments[0].ContentID}, []string{"a@example.com", "b", "c"}
		}},
		// What clients write, and where it was seen.
		"a comma too many": {`{"To":"a@example.com,,b@example.com","Cc":"c@example.com, ","Bcc":","}`, func(m *mail.Message) (any, any) {
			return m.Recipients, mail.Recipients{To: []mail.Address{{Address: "a@example.com"}, {Address: "b@example.com"}}, CC: []mail.Address{{Address: "c@example.com"}}}
		}},
		"an encoded name": {`{"From":"=?utf-8?Q?J=C3=B6rg?= <a@example.com>","ReplyTo":"\"=?utf-8?B?w7w=?=\" <b@example.com>"}`, func(m *mail.Message) (any, any) {
			return []string{m.SenderDisplayName, m.ReplyTo[0].DisplayName}, []string{"Jörg", "ü"}
		}},
		"empty maps of PHP": {`{"Metadata":[],"Delivery":[]}`, func(m *mail.Message) (any, any) { return m.Delivery, mail.Delivery{} }}, // postmark-wordpress issue 113
		"values that are no texts": {`{"Metadata":{"a":1,"b":true,"c":null}}`, func(m *mail.Message) (any, any) {
			return m.Delivery.Tags, []mail.Tag{{Name: "a", Value: "1"}, {Name: "b", Value: "true"}}
		}},
		"templates that are none": {`{"TemplateId":0,"TemplateAlias":"","TemplateModel":{},"InlineCss":false}`, func(m *mail.Message) (any, any) { return m.Content, mail.Content{} }},
		"the stream for bulk":     {`{"MessageStream":"broadcast"}`, func(m *mail.Message) (any, any) { return m.Delivery, mail.Delivery{Priority: "bulk"} }},
		"the stream for bulk, but urgent": {`{"MessageStream":"broadcast","Delivery":{"priority":"high"}}`, func(m *mail.Message) (any, any) {
			return m.Delivery, mail.Delivery{Priority: "high"}
		}},
		"another stream": {`{"MessageStream":"receipts"}`, func(m *mail.Message) (any, any) {
			return m.Delivery.Tags, []mail.Tag{{Name: "MessageStream", Value: "receipts"}}
		}},
		"opens alone are not tracked":   {`{"TrackOpens":false}`, func(m *mail.Message) (any, any) { return m.UserEngagementTrackingDisabled, false }},
		"links alone are not tracked":   {`{"TrackOpens":true,"TrackLinks":"none"}`, func(m *mail.Message) (any, any) { return m.UserEngagementTrackingDisabled, false }},
		"opens are tracked, as a text":  {`{"TrackOpens":"true","TrackLinks":"None"}`, func(m *mail.Message) (any, any) { return m.UserEngagementTrackingDisabled, false }},
		"nothing is tracked, as a text": {`{"TrackOpens":"false","TrackLinks":"None"}`, func(m *mail.Message) (any, any) { return m.UserEngagementTrackingDisabled, true }},
		"nothing is tracked":            {`{"TrackOpens":false,"TrackLinks":"NONE"}`, func(m *mail.Message) (any, any) { return m.UserEngagementTrackingDisabled, true }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, _ := wiretest.One(t, postmark.Source(), tt.body)
			got, want := tt.want(l.Message)
			wiretest.Equal(t, got, want)
		})
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body string
		want []string
	}{
		"a quote too few":      {`{"From":"\"Acme <o@example.com>"}`, []string{"/From: The quotes around the name must be closed, and end before the address."}},
		"a header twice":       {`{"Headers":[{"Name":"X-A","Value":"1"},{"Name":"X-A","Value":"2"}]}`, []string{"/Headers/1/Name: The same header stands there already."}},
		"a word that is none":  {`{"TrackLinks":"yes"}`, []string{"/TrackLinks: This must be one of: None, HtmlAndText, HtmlOnly, TextOnly."}},
		"templates":            {`{"TemplateId":1,"TemplateModel":{"a":1}}`, []string{"/TemplateId: Templates are kept by Postmark and not known here. Send HtmlBody or TextBody.", "/TemplateModel: Templates are kept by Postmark and not known here. Send HtmlBody or TextBody."}},
		"twice, in two cases":  {`{"To":"a@example.com","to":"b@example.com"}`, []string{"/to: This member is given twice."}},
		"an array of bytes":    {`{"Attachments":[{"Content":[1]}]}`, []string{"/Attachments/0/Content: It must be a string, not an array."}},
		"a list of recipients": {`{"To":["a@example.com"]}`, []string{"/To: It must be a string, not an array."}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wiretest.Invalid(t, postmark.Source(), tt.body, tt.want...)
		})
	}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	l, _ := wiretest.One(t, postmark.Source(), `{"Tag":"t","MessageStream":"s","Metadata":{"a/b":"c"},"Headers":[{"Name":"X-A"},{"Name":"X-~/"}]}`)
	wiretest.Places(t, l, map[string]string{
		"/senderAddress":            "/From",
		"/senderDisplayName":        "/From",
		"/recipients/to/1/address":  "/To",
		"/recipients/bcc/0/address": "/Bcc",
		"/recipients":               "/To",
		"/replyTo/0/displayName":    "/ReplyTo",
		"/content/html":             "/HtmlBody",
		"/content":                  "",
		"/attachments/7/contentId":  "/Attachments/7/ContentID",
		"/attachments/7":            "/Attachments/7",
		"/headers/X-~0~1":           "/Headers/1",
		"/headers":                  "/Headers",
		"/delivery/tags/0/value":    "/Tag",
		"/delivery/tags/1/value":    "/MessageStream",
		"/delivery/tags/2/name":     "/Metadata/a~1b",
		"/delivery/tags":            "/Metadata",
		"/delivery/deadline":        "/Delivery/deadline",
	})
}

func TestEveryKindHasAForm(t *testing.T) {
	t.Parallel()
	for _, k := range problem.Kinds() {
		p := problem.New(k, "Something.")
		p.Violations = []problem.Violation{{Pointer: "/To", Detail: "It is wrong."}}
		status, e := postmark.Refusal(p)
		if status < 400 || e.ErrorCode == 0 || e.Message != "Something. /To: It is wrong." || e.Type != k.Type() {
			t.Errorf("%s: %d %+v", k, status, e)
		}
		if (k.Status() >= 500) != (status >= 500) || (k.Status() == http.StatusTooManyRequests) != (status == http.StatusTooManyRequests) {
			t.Errorf("%s is %d here and %d at home", k, status, k.Status())
		}
	}
	p := problem.New(problem.Forbidden, "No.")
	p.Violations = []problem.Violation{{Pointer: "/From", Detail: "Not you."}}
	if _, e := postmark.Refusal(p); e.ErrorCode != 400 {
		t.Errorf("a sender that may not be used is %d", e.ErrorCode)
	}
}

func TestAccepted(t *testing.T) {
	t.Parallel()
	for said, sandbox := range map[string]bool{"OK": false, "Test job accepted": true} {
		text, err := json.Marshal(postmark.Accepted([]mail.Address{{Address: "a@example.com", DisplayName: "Ann"}, {Address: "b@example.com"}},
			time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), "an-id", sandbox))
		if want := `{"To":"a@example.com, b@example.com","SubmittedAt":"2027-01-02T03:04:05Z","MessageID":"an-id","ErrorCode":0,"Message":"` + said + `"}`; err != nil || string(text) != want {
			t.Errorf("%s, %v", text, err)
		}
	}
}

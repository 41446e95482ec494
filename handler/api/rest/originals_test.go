package rest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/mail"
)

// examples are the requests that Microsoft publishes, one a version: the members,
// their spelling and what their texts have in common are those of
// github.com/Azure/azure-rest-api-specs, specification/communication/data-plane/Email,
// VERSION/examples/SendEmail.json. Addresses and texts are ours.
var examples = map[string]string{
	"2023-01-15-preview": published(`"senderAddress":"donotreply@example.com"`, `"pZ2h0IHdvcmsu5kcyBtYWtlIGxpZ2h0IHdvcmsu"`, ``), // Base64 of 39 characters
	"2023-03-31":         published(`"senderAddress":"donotreply@example.com"`, `"cG9zdGhvcm4="`, ``),
	"2024-07-01-preview": published(`"senderAddress":"donotreply@example.com"`, `"cG9zdGhvcm4="`, image),
	"2025-01-01-preview": published(`"sender":{"address":"donotreply@example.com","displayName":"abc"}`, `"cG9zdGhvcm4="`, image),
	"2025-01-15-preview": published(`"senderAddress":"donotreply@example.com","senderDisplayName":"ABC"`, `"cG9zdGhvcm4="`, image),
	"2025-09-01":         published(`"senderAddress":"donotreply@example.com"`, `"cG9zdGhvcm4="`, ``),
}

const image = `,{"name":"MyInlineImage.jpg","contentType":"image/jpeg","contentInBase64":"cG9zdGhvcm4=","contentId":"my-inline-image"}`

func published(sender, content, more string) string {
	return `{"headers":{"ClientCorrelationId":"123","ClientCustomHeaderName":"ClientCustomHeaderValue"},` + sender + `,
		"content":{"subject":"An offer","plainText":"It is for you.","html":"<html><body><img src=\"cid:my-inline-image\" alt=\"Logo\"/><h1>It is for you.</h1></body></html>"},
		"recipients":{"to":[{"address":"john@example.com","displayName":"John Doe"},{"address":"jane@example.com","displayName":"Jane Doe"}],
			"cc":[{"address":"wendy@example.com","displayName":"Wendy"}],"bcc":[{"address":"bob@example.com","displayName":"Bob"}]},
		"attachments":[{"name":"MyAttachment.pdf","contentType":"application/pdf","contentInBase64":"cG9zdGhvcm4="},
			{"name":"MyAttachment2.docx","contentType":"application/vnd.openxmlformats-officedocument.wordprocessingml.document","contentInBase64":` + content + `}` + more + `],
		"replyTo":[{"address":"support@example.com","displayName":"Support"}],"userEngagementTrackingDisabled":true}`
}

func TestMicrosoftsExamplesPass(t *testing.T) {
	t.Parallel()
	for version, body := range examples {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, plenty)
			res := d.do(t, d.request(t, "POST", "/emails:send?api-version="+version, body, "Operation-Id", "8540c0de-899f-5cce-acb5-3ec493af3800"))
			if res.StatusCode != http.StatusAccepted || len(d.ACS.Sent) != 1 {
				t.Fatalf("%d %s", res.StatusCode, res.text)
			}
			m := d.ACS.Sent[0]
			if m.Headers["ClientCorrelationId"] != "123" || m.SenderAddress != "donotreply@example.com" || m.SenderDisplayName != "" || len(m.Recipients.All()) != 4 || !m.UserEngagementTrackingDisabled {
				t.Errorf("sent as %+v", m)
			}
			if n := strings.Count(body, `"contentType"`); len(m.Attachments) != n || n == 3 && m.Attachments[2].ContentID != "my-inline-image" {
				t.Errorf("sent with %+v", m.Attachments)
			}
		})
	}
}

// Of the form that ACS had before, each member is told by the name that it has now.
func TestTheFormOf2021IsTold(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	res := d.do(t, d.request(t, "POST", "/emails:send?api-version=2021-10-01-preview", `{"sender":"donotreply@example.com","content":{"subject":"s","plainText":"t"},"importance":"normal",
		"recipients":{"to":[{"email":"ann@example.com"}],"CC":[],"bCC":[]},"disableUserEngagementTracking":true}`))
	for _, want := range []string{"2021-10-01-preview. Write address.", "Write userEngagementTrackingDisabled.", `"/sender"`} {
		if res.StatusCode != http.StatusBadRequest || !strings.Contains(res.text, want) {
			t.Errorf("%d %s lacks %s", res.StatusCode, res.text, want)
		}
	}
}

// Each row is a request as a client or an example has it, cut down to what matters,
// with where it was seen, and what of it goes to ACS.
func TestWhatTheOriginalsTakeIsTaken(t *testing.T) {
	t.Parallel()
	acs := func(more string) string {
		return `{"senderAddress":"donotreply@example.com","recipients":{"to":[{"address":"ann@example.com"}]},"content":{"subject":"Hi","plainText":"Hello"}` + more + `}`
	}
	dialect := func(message, more string) string { return strings.Replace(message, "%s", more, 1) }
	for name, tt := range map[string]struct {
		source, path, body string
		want               func(m mail.Message) (got, want any)
	}{
		"importance and an inline image": {"symfony/symfony, Bridge/Azure, and pull request 64016", "/emails:send",
			acs(`,"importance":"normal","headers":null,"attachments":[{"name":"a b.png","contentType":"image/png","contentInBase64":"aGk=","content_id":"a b.png"}]`),
			func(m mail.Message) (any, any) { return m.Attachments[0].ContentID, "a_b.png" }},
		"members in capitals": {"PowerShell's ConvertTo-Json, in public scripts", "/emails:send",
			`{"SenderAddress":"<donotreply@example.com>","Recipients":{"To":[{"Address":"ann@example.com"}]},"Content":{"Subject":"Hi","PlainText":"Hello"}}`,
			func(m mail.Message) (any, any) { return m.SenderAddress, "donotreply@example.com" }},
		"an empty map of PHP": {"postmark-wordpress issue 113", "/emails:send", acs(`,"headers":[]`), func(m mail.Message) (any, any) { return len(m.Headers), 0 }},
		"the same recipient again": {"@azure/communication-email at an emulator", "/emails:send",
			strings.Replace(acs(""), `"to":[`, `"cc":[{"address":"ANN@example.com"}],"to":[`, 1), func(m mail.Message) (any, any) { return len(m.Recipients.All()), 1 }},
		"a Message-ID": {"nodemailer-sendgrid 1.0.3", "/v3/mail/send", dialect(inSendGrid, `,"headers":{"message-id":"<a@b>"}`),
			func(m mail.Message) (any, any) { return len(m.Headers), 0 }},
		"a name in quotes": {"sendgrid-python pull request 618", "/v3/mail/send",
			strings.Replace(dialect(inSendGrid, ""), `"ann@example.com"`, `"ann@example.com","name":"\"Doe, Ann\""`, 1), func(m mail.Message) (any, any) { return m.Recipients.To[0].DisplayName, "Doe, Ann" }},
		"an image without a name": {"django-anymail, sendgrid.py", "/v3/mail/send",
			dialect(inSendGrid, `,"attachments":[{"content":"aGk=","filename":"","type":"image/png","disposition":"inline","content_id":"logo"}]`),
			func(m mail.Message) (any, any) { return m.Attachments[0].Name, "logo.png" }},
		"arguments with spaces": {"SendGrid's clients, USAGE.md", "/v3/mail/send", dialect(inSendGrid, `,"custom_args":{"New Argument 1":"New Value 1","n":7},"template_id":""`),
			func(m mail.Message) (any, any) { return m.Delivery.Tags[1], mail.Tag{Name: "n", Value: "7"} }},
		"tags and metadata as headers": {"django-anymail, resend.py, set_tags and set_metadata", "/emails", dialect(inResend, `,"headers":{"X-Metadata":"{\"order\": 1}","X-Tags":"[\"a\", \"b\"]"}`),
			func(m mail.Message) (any, any) {
				return m.Headers["X-Tags"] + m.Headers["X-Metadata"], `["a", "b"]{"order": 1}`
			}},
		"a calendar": {"resend-laravel pull request 84", "/emails", dialect(inResend, `,"attachments":[{"filename":"i.ics","content":"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"}]`),
			func(m mail.Message) (any, any) {
				return string(m.Attachments[0].Content), "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"
			}},
		"a header's own example": {"postmarkapp.com/developer/api/email-api", "/email",
			dialect(inPostmark, `,"Headers":[{"Name":"CUSTOM-HEADER","Value":"value"},{"Name":"Message-ID","Value":"<a@b>"}],"Metadata":[]`),
			func(m mail.Message) (any, any) { return m.Headers["CUSTOM-HEADER"], "value" }},
		"a comma too many": {"lists that were joined", "/email", strings.Replace(dialect(inPostmark, ""), `"ann@example.com"`, `"ann@example.com, bo@example.com,"`, 1),
			func(m mail.Message) (any, any) { return len(m.Recipients.To), 2 }},
		"a name of no file": {"msg_parser issue 117", "/email", dialect(inPostmark, `,"Attachments":[{"Name":"RE: a/b.eml","Content":"aGk=","ContentType":"message/rfc822"}]`),
			func(m mail.Message) (any, any) { return m.Attachments[0].Name, "RE_ a_b.eml" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, plenty)
			res := d.do(t, d.request(t, "POST", tt.path, tt.body))
			if len(d.ACS.Sent) != 1 {
				t.Fatalf("%s: %d %s", tt.source, res.StatusCode, res.text)
			}
			if got, want := tt.want(d.ACS.Sent[0]); got != want {
				t.Errorf("%s: got %v, want %v", tt.source, got, want)
			}
		})
	}
}

// A time in words is the same message when it is repeated, at the time of the first.
func TestATimeInWords(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	body := strings.Replace(inResend, "%s", `,"scheduled_at":"in 1 hour"`, 1)
	var ids []string
	for range 2 {
		res := d.do(t, d.request(t, "POST", "/emails", body, "Idempotency-Key", "order-1"))
		var sent struct{ ID string }
		if err := json.Unmarshal([]byte(res.text), &sent); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", res.StatusCode, res.text)
		}
		ids = append(ids, sent.ID)
	}
	if ids[0] != ids[1] || len(d.ACS.Sent) != 0 {
		t.Errorf("%v, %d sent", ids, len(d.ACS.Sent))
	}
	res := d.do(t, d.request(t, "POST", "/emails", strings.Replace(body, "in 1 hour", "tomorrow at 9am", 1)))
	if res.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(field(res, "message"), "in words: in 2 hours") {
		t.Errorf("%d %s", res.StatusCode, res.text)
	}
}

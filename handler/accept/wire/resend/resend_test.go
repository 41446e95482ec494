package resend_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/accept/wire/resend"
	"github.com/posthorn/posthorn/handler/accept/wire/wiretest"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// What resend for Node.js 6.38.0 sent.
const byNode = `{"attachments":[{"content":"aGVsbG8gYXR0YWNo","filename":"a.txt","content_type":"text/plain"}],"cc":"c@example.com","from":"Acme <o@example.com>",
	"headers":{"X-Test":"1"},"html":"<p>Hello</p>","reply_to":"r@example.com","subject":"Hi","tags":[{"name":"k","value":"v"}],"text":"Hello","to":["a@example.com"]}`

func TestWhatNodeSends(t *testing.T) {
	t.Parallel()
	l, kept := wiretest.One(t, resend.Source(), byNode)
	wiretest.Equal(t, l.Message, &mail.Message{
		SenderAddress: "o@example.com", SenderDisplayName: "Acme",
		Content:     mail.Content{Subject: "Hi", PlainText: "Hello", HTML: "<p>Hello</p>"},
		Recipients:  mail.Recipients{To: []mail.Address{{Address: "a@example.com"}}, CC: []mail.Address{{Address: "c@example.com"}}},
		ReplyTo:     []mail.Address{{Address: "r@example.com"}},
		Headers:     map[string]string{"X-Test": "1"},
		Attachments: []mail.Attachment{{Name: "a.txt", ContentType: "text/plain", HasContent: true}},
		Delivery:    mail.Delivery{Tags: []mail.Tag{{Name: "k", Value: "v"}}},
	})
	wiretest.Equal(t, kept, wiretest.Keep{0: "hello attach"})
}

func TestMembers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body string
		want func(m *mail.Message) (got, want any)
	}{
		"a time": {`{"scheduled_at":"2027-01-02T03:04:05Z"}`, func(m *mail.Message) (any, any) { return m.Delivery.SendAt, "2027-01-02T03:04:05Z" }},
		"camel case": {`{"replyTo":["a@example.com","Bo <b@example.com>"],"scheduledAt":"x"}`, func(m *mail.Message) (any, any) {
			return m.ReplyTo, []mail.Address{{Address: "a@example.com"}, {Address: "b@example.com", DisplayName: "Bo"}}
		}},
		"addresses in one text": {`{"cc":"a@example.com, \"Doe, Bo\" <b@example.com>","bcc":"Doe, Ann <c@example.com>"}`, func(m *mail.Message) (any, any) {
			return m.Recipients, mail.Recipients{CC: []mail.Address{{Address: "a@example.com"}, {Address: "b@example.com", DisplayName: "Doe, Bo"}},
				BCC: []mail.Address{{Address: "c@example.com", DisplayName: "Doe, Ann"}}}
		}},
		"an empty text for a list":     {`{"cc":"","bcc":[]}`, func(m *mail.Message) (any, any) { return m.Recipients, mail.Recipients{} }},
		"null is as good as absent":    {`{"cc":null,"template":null}`, func(m *mail.Message) (any, any) { return m.Recipients, mail.Recipients{} }},
		"nothing that Resend keeps":    {`{"template":{},"topic_id":"","headers":[],"attachments":[{"path":""}]}`, func(m *mail.Message) (any, any) { return m.Headers, map[string]string(nil) }},
		"a header that is a number":    {`{"headers":{"X-Entity-Ref-ID":123}}`, func(m *mail.Message) (any, any) { return m.Headers, map[string]string{"X-Entity-Ref-ID": "123"} }},
		"an encoded name":              {`{"from":"=?utf-8?Q?J=C3=B6rg?= <a@example.com>"}`, func(m *mail.Message) (any, any) { return m.SenderDisplayName, "Jörg" }},
		"what a file's name says":      {`{"attachments":[{"filename":"a.PDF"}]}`, func(m *mail.Message) (any, any) { return m.Attachments[0].ContentType, "application/pdf" }},
		"a file's name that says none": {`{"attachments":[{"filename":"pdf."}]}`, func(m *mail.Message) (any, any) { return m.Attachments[0].ContentType, "application/octet-stream" }},
		"content ids": {`{"attachments":[{"content_id":"a"},{"inline_content_id":"b"},{"contentId":"c"}]}`, func(m *mail.Message) (any, any) {
			return []string{m.Attachments[0].ContentID, m.Attachments[1].ContentID, m.Attachments[2].ContentID}, []string{"a", "b", "c"}
		}},
		"our own member": {`{"delivery":{"whenBusy":"refuse","priority":"bulk"}}`, func(m *mail.Message) (any, any) {
			return m.Delivery, mail.Delivery{WhenBusy: mail.WhenBusyRefuse, Priority: "bulk"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, _ := wiretest.One(t, resend.Source(), tt.body)
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
		"what Resend keeps": {`{"template":{"id":"a"},"topic_id":"b"}`, []string{
			"/template: Templates are kept by Resend and not known here. Send html or text.",
			"/topic_id: Topics are kept by Resend and not known here. Leave it out."}},
		"a file elsewhere": {`{"attachments":[{"path":"http://169.254.169.254/"}]}`, []string{
			"/attachments/0/path: Posthorn fetches no files from other servers. Send the content."}},
		"two addresses in one": {`{"from":"a@example.com, b@example.com","to":["a@example.com","b@example.com,c@example.com"]}`, []string{
			"/from: There is a comma outside quotes: give one address, and put a name with a comma into quotes.",
			"/to/1: There is a comma outside quotes: give one address, and put a name with a comma into quotes."}},
		"a list that is a text": {`{"bcc":"Bo <b@example.com"}`, []string{"/bcc: An address with a name is written Name <ann@example.com>."}},
		"a list that is neither": {`{"to":{"email":"a@example.com"},"cc":[1]}`, []string{
			"/to: It must be a string or an array of strings, not an object.", "/cc/0: It must be a string, not a number."}},
		"one member, twice spelt": {`{"reply_to":"a@example.com","replyTo":"b@example.com"}`, []string{"/replyTo: This member is given twice."}},
		"no such member":          {`{"Subject":"a","sender":"b"}`, []string{"/Subject: There is no such member.", "/sender: There is no such member."}},
		"a body that is a batch":  {`[{}]`, []string{": It must be an object, not an array."}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wiretest.Invalid(t, resend.Source(), tt.body, tt.want...)
		})
	}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	l, _ := wiretest.One(t, resend.Source(), `{"to":["a@example.com","b@example.com"],"cc":"c@example.com","reply_to":"r@example.com"}`)
	wiretest.Places(t, l, map[string]string{
		"/senderAddress":                 "/from",
		"/senderDisplayName":             "/from",
		"/recipients/to/1/address":       "/to/1",
		"/recipients/to/1/displayName":   "/to/1",
		"/recipients/cc/0/address":       "/cc",
		"/recipients":                    "/to",
		"/replyTo/0/address":             "/reply_to",
		"/content/plainText":             "/text",
		"/content":                       "",
		"/attachments/7/name":            "/attachments/7/filename",
		"/attachments/7/placement":       "/attachments/7",
		"/attachments/7/contentInBase64": "/attachments/7/content",
		"/headers/X-A~1b":                "/headers/X-A~1b",
		"/headers":                       "/headers",
		"/delivery/sendAt":               "/scheduled_at",
		"/delivery/tags/3/value":         "/tags/3/value",
		"/delivery/whenBusy":             "/delivery/whenBusy",
	})
}

func TestBatchIsReadOneByOne(t *testing.T) {
	t.Parallel()
	var got []string
	body := `[{"subject":"a"},{"sender":1},{"subject":"c","attachments":[{"content":[104,105]}]}]`
	err := resend.Source().Each(t.Context(), strings.NewReader(body), func(i int, read func(wire.Sink) ([]wire.Parsed, error)) error {
		kept := wiretest.Keep{}
		parsed, err := read(kept)
		if len(parsed) != 1 {
			return errors.New("no message")
		}
		got = append(got, fmt.Sprintf("%d %s %v %v", i, parsed[0].Message.Content.Subject, kept, wiretest.Faults(err)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wiretest.Equal(t, got, []string{"0 a map[] []", "1  map[] [/sender: There is no such member.]", "2 c map[0:hi] []"})
}

func TestEveryKindHasAForm(t *testing.T) {
	t.Parallel()
	for _, k := range problem.Kinds() {
		p := problem.New(k, "Something.")
		p.Violations = []problem.Violation{{Pointer: "/to/0", Detail: "It is wrong."}}
		status, body := resend.Refusal(p, true)
		e, ok := body.(resend.Error)
		if !ok || e.StatusCode != status || status < 400 || e.Name == "" || e.Message != "Something. /to/0: It is wrong." || e.Type != k.Type() {
			t.Errorf("%s: %d %+v", k, status, body)
		}
		// A client that tries again does so by the class of the status.
		if (k.Status() >= 500) != (status >= 500) || (k.Status() == http.StatusTooManyRequests) != (status == http.StatusTooManyRequests) {
			t.Errorf("%s is %d here and %d at home", k, status, k.Status())
		}
	}
	if status, _ := resend.Refusal(problem.New(problem.Unauthenticated, "No."), false); status != http.StatusUnauthorized {
		t.Error("without a key the status is", status)
	}
}

func TestAFailureThatIsKeptNamesMembersAsResendDoes(t *testing.T) {
	t.Parallel()
	for kept, want := range map[string]string{
		"ACS refused the message.": "ACS refused the message.",
		"No. /senderAddress: It is not listed. /recipients/to/1/address: Nor is this.": "No. /from: It is not listed. /to/1: Nor is this.",
		"/delivery/sendAt: It has passed; see https://example.com/x: there.":           "/scheduled_at: It has passed; see https://example.com/x: there.",
	} {
		if got := resend.Failed("Code", kept); got.Message != want || got.Code != "Code" {
			t.Errorf("%+v, want %s", got, want)
		}
	}
}

func TestEvent(t *testing.T) {
	t.Parallel()
	for state, want := range map[string]string{"claimed": "queued", "sending": "queued", "waiting": "scheduled", "cancelled": "canceled", "accepted": "sent", "failed": "failed", "unknown": "failed"} {
		if got := resend.Event(state, false, ""); got != want {
			t.Errorf("%s is %s, want %s", state, got, want)
		}
	}
	if got := resend.Event("accepted", true, ""); got != "queued" {
		t.Errorf("while ACS is at work it is %s", got)
	}
	if got := resend.Event("waiting", true, ""); got != "scheduled" {
		t.Errorf("what waits is %s", got)
	}
	if got := resend.Event("failed", false, "EmailDroppedAllRecipientsSuppressed"); got != "suppressed" {
		t.Errorf("with all recipients suppressed it is %s", got)
	}
	if got := resend.Event("failed", false, "EmailDropped"); got != "failed" {
		t.Errorf("when ACS has dropped it, it is %s", got)
	}
}

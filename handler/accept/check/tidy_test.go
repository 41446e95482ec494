package check

import (
	"reflect"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// Each row is what a client or an example sends, where it was seen, and what goes to
// ACS of it.
func TestMessageTidies(t *testing.T) {
	t.Parallel()
	address := func(list ...string) (all []mail.Address) {
		for _, a := range list {
			all = append(all, mail.Address{Address: a})
		}
		return all
	}
	header := func(name, value string) func(*mail.Message) {
		return func(m *mail.Message) { m.Headers = map[string]string{name: value} }
	}
	gone := func(m *mail.Message) { m.Headers = map[string]string{} }
	ids := func(n int) string { return strings.TrimSpace(strings.Repeat("<0123456789@example.com> ", n)) }
	rows := []struct {
		name, source string
		sent, want   func(m *mail.Message)
	}{
		{"the same recipient again", "sendgrid-csharp issue 678; laravel-sendgrid-driver issue 145", func(m *mail.Message) {
			m.Recipients = mail.Recipients{
				To: address("ada@example.com", "b@example.com", "ADA@example.com"), CC: address("ada@EXAMPLE.com", "c@example.com"), BCC: address("Ada@ｅxample.com"),
			}
		}, func(m *mail.Message) {
			m.Recipients = mail.Recipients{To: address("ada@example.com", "b@example.com"), CC: address("c@example.com"), BCC: []mail.Address{}}
		}},
		{"50 recipients, and 50 again", "the same", func(m *mail.Message) {
			m.Recipients = mail.Recipients{To: people("to", 50), CC: people("to", 50)}
		}, func(m *mail.Message) { m.Recipients = mail.Recipients{To: people("to", 50), CC: []mail.Address{}} }},
		{"the same address to reply to", "the same", func(m *mail.Message) { m.ReplyTo = append(m.ReplyTo, m.ReplyTo[0]) }, func(*mail.Message) {}},
		{
			"an address in brackets", "azure-sdk-for-java issue 39910", func(m *mail.Message) { m.SenderAddress = "<donotreply@example.com>" },
			func(*mail.Message) {},
		},
		{"the sender's name", "azure-rest-api-specs, SendEmail.json of 2025-01-15-preview", func(m *mail.Message) { m.SenderDisplayName = "Ada" }, func(*mail.Message) {}},
		{"headers of any name", "azure-rest-api-specs, SendEmail.json of 2023-03-31", func(m *mail.Message) {
			m.Headers = map[string]string{"ClientCorrelationId": "7", "CUSTOM-HEADER": "v", "Campaign-Id": "7", "x-ms-acsemail-suppress-invalid-attachment": "true"}
		}, func(m *mail.Message) {
			m.Headers = map[string]string{"ClientCorrelationId": "7", "CUSTOM-HEADER": "v", "Campaign-Id": "7", "x-ms-acsemail-suppress-invalid-attachment": "true"}
		}},
		{"a header without a value", "karim-w/go-azure-communication-services, Headers", header("ClientCorrelationId", ""), gone},
		{"a Message-ID", "nodemailer-sendgrid 1.0.3, swiftmailer-postmark", header("message-id", "<a@b>"), gone},
		{"how the body is encoded", "postmark-gem, export_headers after ready_to_send!", header("Content-Transfer-Encoding", "7bit"), gone},
		{"a date", "symfony/symfony, Bridge/Azure", header("Date", "Sat, 28 Nov 2026 12:00:00 +0000"), gone},
		{"MIME-Version", "the same", header("MIME-Version", "1.0"), gone},
		{"a check that is made here", "learn.microsoft.com, Email headers of ACS", header("X-MS-AcsEmail-Validate-Message-Id", "true"), gone},
		{"Reply-To beside replyTo", "symfony/symfony, Bridge/Resend", header("Reply-To", "ada@example.com"), gone},
		{
			"a value outside ASCII", "RFC 2047", header("X-Name", "Jörg Köß"),
			header("X-Name", "=?utf-8?q?J=C3=B6rg_K=C3=B6=C3=9F?="),
		},
		{
			"a folded value", "symfony/symfony, AbstractHeader::encodeWords", header("X-A", "=?utf-8?Q?a?=\r\n =?utf-8?Q?b?=\n\tc"),
			header("X-A", "=?utf-8?Q?a?= =?utf-8?Q?b?= c"),
		},
		{"References of a long thread", "RFC 5537 section 3.4.4", header("References", "<first@example.com>  "+ids(60)), header("References", "<first@example.com> "+ids(38))},
		{"a name that no file may have", "msg_parser issue 117", func(m *mail.Message) { m.Attachments[0].Name = "RE: a/b.pdf" }, func(m *mail.Message) {
			m.Attachments[0].Name = "RE_ a_b.pdf"
		}},
		{"an image without a name", "django-anymail, sendgrid.py and postmark.py", func(m *mail.Message) { m.Attachments[1].Name = "" }, func(m *mail.Message) {
			m.Attachments[1].Name = "logo@1.png"
		}},
		{"a content id in brackets", "sendgrid-actionmailer issue 84", func(m *mail.Message) { m.Attachments[1].ContentID = "<logo@1>" }, func(*mail.Message) {}},
		{"the name of a file for its id", "symfony/symfony, Bridge/Sendgrid", func(m *mail.Message) {
			m.Attachments[1].ContentID = "my löge.png"
			m.Attachments = append(m.Attachments, m.Attachments[1])
			m.Attachments[2].ContentID = "my löge.png 2"
			m.Content.HTML = `<img src="cid:my löge.png"><img src="cid:my%20l%C3%B6ge.png"><img src="cid:my löge.png 2">my löge.png`
		}, func(m *mail.Message) {
			m.Attachments[1].ContentID = "my_l_ge.png"
			m.Attachments = append(m.Attachments, m.Attachments[1])
			m.Attachments[2].ContentID = "my_l_ge.png_2"
			m.Content.HTML = `<img src="cid:my_l_ge.png"><img src="cid:my_l_ge.png"><img src="cid:my_l_ge.png_2">my löge.png`
		}},
		{"the name of a tag", "SendGrid's clients, USAGE.md: New Argument 1", func(m *mail.Message) { m.Delivery.Tags[0].Name = "New Argument 1" }, func(m *mail.Message) {
			m.Delivery.Tags[0].Name = "New Argument 1"
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			m, want := good(), good()
			row.sent(m)
			row.want(want)
			terms, err := New().Message(m, now)
			if err != nil {
				t.Fatalf("%v, as sent by %s", problem.Of(err).Violations, row.source)
			}
			if !reflect.DeepEqual(m, want) {
				t.Errorf("%s sends it; it becomes\n%+v, want\n%+v", row.source, m, want)
			}
			if again, err := New().Message(m, now); err != nil || again != terms || !reflect.DeepEqual(m, want) {
				t.Errorf("checked again: %v, %+v", err, m)
			}
		})
	}
}

// What is tidied is a copy: a message with a violation is as it came.
func TestMessageLeavesWhatIsNotSent(t *testing.T) {
	t.Parallel()
	change := func(m *mail.Message) {
		m.SenderDisplayName = "Ada"
		m.Content.HTML = `<img src="cid:a b">`
		m.Recipients.CC = m.Recipients.To
		m.Headers["Date"] = "x"
		m.Attachments[0].Name, m.Attachments[1].ContentID = "a/b", "a b"
		m.Content.Subject = ""
	}
	refuses(t, problem.InvalidMessage, []refusal{{"no subject", change, []string{"/content/subject This is required and may not be empty."}}})
}

package check

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

var now = time.Date(2030, time.January, 31, 12, 0, 0, 0, time.UTC)

// good is a message with something in every member that may be sent.
func good() *mail.Message {
	return &mail.Message{
		SenderAddress: "donotreply@example.com",
		Content:       mail.Content{Subject: "Grüße", PlainText: "Hello\r\n\tAda", HTML: "<p>Hello</p>"},
		Recipients: mail.Recipients{
			To:  []mail.Address{{Address: "ada@example.com", DisplayName: "Ada L."}},
			CC:  []mail.Address{{Address: "grace@example.com"}},
			BCC: []mail.Address{{Address: "edsger@example.com"}},
		},
		ReplyTo: []mail.Address{{Address: "ada@example.com"}, {Address: "help@example.com"}},
		Headers: map[string]string{"X-Campaign": "spring", "List-Unsubscribe": "<https://example.com/u>"},
		Attachments: []mail.Attachment{
			{Name: "report.pdf", ContentType: "application/pdf", Placement: mail.PlacementLink, HasContent: true, Size: 3},
			{Name: "logo.png", ContentType: "image/png", ContentID: "logo@1", HasContent: true, Size: 1},
		},
		Delivery: mail.Delivery{
			WhenBusy: mail.WhenBusyRefuse, Deadline: "2030-01-31T12:00:01Z", LinkExpiresAfter: "P2W",
			Tags: []mail.Tag{{Name: "order", Value: "№ 7"}, {Name: "empty"}},
		},
	}
}

func TestMessageAccepts(t *testing.T) {
	t.Parallel()
	defaults := Terms{LinkLife: mail.DefaultLinkLife, Deadline: now.Add(mail.MaxWait), Wait: true}
	rows := []struct {
		name   string
		change func(*mail.Message)
		want   Terms
	}{
		{"every member", func(*mail.Message) {}, Terms{LinkLife: 14 * 24 * time.Hour, Deadline: now.Add(time.Second)}},
		{"the least", func(m *mail.Message) {
			*m = mail.Message{
				SenderAddress: "a@example.com",
				Content:       mail.Content{Subject: "s", PlainText: "t"},
				Recipients:    mail.Recipients{To: []mail.Address{{Address: "b@example.com"}}},
			}
		}, defaults},
		{"no delivery", func(m *mail.Message) { m.Delivery = mail.Delivery{} }, defaults},
		{"only bcc", func(m *mail.Message) { m.Delivery, m.Recipients.To, m.Recipients.CC = mail.Delivery{}, nil, nil }, defaults},
		{"only html", func(m *mail.Message) { m.Delivery, m.Content.PlainText = mail.Delivery{}, "" }, defaults},
		{"a long line in a body", func(m *mail.Message) {
			m.Delivery, m.Content.PlainText = mail.Delivery{}, strings.Repeat("x", 5000)
		}, defaults},
		{"cid of no attachment", func(m *mail.Message) { m.Delivery, m.Content.HTML = mail.Delivery{}, `<img src="cid:none">` }, defaults},
		{"all limits reached", atLimits, Terms{LinkLife: mail.MaxLinkLife, Deadline: now.Add(mail.MaxWait), Wait: true}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			m, want := good(), good()
			row.change(m)
			row.change(want)
			terms, err := New().Message(m, now)
			if err != nil || terms != row.want {
				t.Fatalf("terms %v, %v; want %v", terms, problem.Of(err).Violations, row.want)
			}
			if !reflect.DeepEqual(m, want) {
				t.Errorf("the message became %+v", m)
			}
		})
	}
}

func atLimits(m *mail.Message) {
	m.Content = mail.Content{
		Subject:   strings.Repeat("s", mail.MaxSubjectBytes),
		PlainText: strings.Repeat("p", mail.MaxBodyBytes),
		HTML:      strings.Repeat("h", mail.MaxBodyBytes),
	}
	m.Recipients = mail.Recipients{To: people("to", 20), CC: people("cc", 20), BCC: people("bcc", mail.MaxRecipients-40)}
	m.ReplyTo = people("reply", mail.MaxReplyTo)
	m.ReplyTo[0].DisplayName = strings.Repeat("d", mail.MaxDisplayNameBytes)
	m.Headers = manyHeaders(mail.MaxHeaders - 2)
	m.Headers["X-"+strings.Repeat("n", mail.MaxHeaderNameBytes-2)] = "v"
	m.Headers["X-Long"] = strings.Repeat("v", mail.MaxLineBytes-len("X-Long: "))
	m.Attachments = manyAttachments(mail.MaxAttachments)
	m.Attachments[0].Name = strings.Repeat("n", mail.MaxAttachmentNameBytes)
	m.Attachments[0].ContentType = "text/" + strings.Repeat("c", mail.MaxContentTypeBytes-5)
	m.Attachments[0].ContentID = strings.Repeat("i", mail.MaxContentIDBytes)
	m.Delivery = mail.Delivery{LinkExpiresAfter: "P365D", Tags: manyTags(mail.MaxTags)}
	m.Delivery.Tags[0] = mail.Tag{Name: strings.Repeat("n", mail.MaxTagBytes), Value: strings.Repeat("v", mail.MaxTagBytes)}
}

func people(prefix string, n int) []mail.Address {
	list := make([]mail.Address, n)
	for i := range list {
		list[i].Address = fmt.Sprintf("%s%d@example.com", prefix, i)
	}
	return list
}

func manyHeaders(n int) map[string]string {
	all := make(map[string]string, n)
	for i := range n {
		all[fmt.Sprintf("X-%02d", i)] = "v"
	}
	return all
}

func manyAttachments(n int) []mail.Attachment {
	list := make([]mail.Attachment, n)
	for i := range list {
		list[i] = mail.Attachment{Name: fmt.Sprintf("%d.txt", i), ContentType: "text/plain", HasContent: true, Size: 1}
	}
	return list
}

func manyTags(n int) []mail.Tag {
	list := make([]mail.Tag, n)
	for i := range list {
		list[i].Name = fmt.Sprintf("tag-%d", i)
	}
	return list
}

func TestMessageNormalises(t *testing.T) {
	t.Parallel()
	m := good()
	m.SenderAddress = "DoNotReply@BÜCHER.example"
	m.Recipients.To[0].Address = "Ada@Example.COM"
	m.Recipients.CC[0].Address = "Grace@Example.COM"
	m.Recipients.BCC[0].Address = "Edsger@Example.COM"
	m.ReplyTo[1].Address = "Help@例え。jp"
	if _, err := New().Message(m, now); err != nil {
		t.Fatal(problem.Of(err).Violations)
	}
	want := good()
	want.SenderAddress = "DoNotReply@xn--bcher-kva.example"
	want.Recipients.To[0].Address = "Ada@example.com"
	want.Recipients.CC[0].Address = "Grace@example.com"
	want.Recipients.BCC[0].Address = "Edsger@example.com"
	want.ReplyTo[1].Address = "Help@xn--r8jz45g.jp"
	if !reflect.DeepEqual(m, want) {
		t.Errorf("the message became %+v", m)
	}
}

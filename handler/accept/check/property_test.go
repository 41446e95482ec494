package check

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/test/require"
)

// TestGoodMessagesPass builds messages by the rules: each is accepted, and
// checking it again changes nothing.
func TestGoodMessagesPass(t *testing.T) {
	t.Parallel()
	c := New()
	rapid.Check(t, func(t *rapid.T) {
		m := drawMessage(t)
		terms, err := c.Message(m, now)
		if err != nil {
			t.Fatal(problem.Of(err).Violations)
		}
		once := *m
		once.Recipients.To = append([]mail.Address(nil), m.Recipients.To...)
		again, err := c.Message(m, now)
		if err != nil || again != terms || !reflect.DeepEqual(*m, once) {
			t.Fatalf("second check: %v, %v, %+v", again, err, m)
		}
	})
}

func drawMessage(t *rapid.T) *mail.Message {
	text := rapid.StringOfN(rapid.RuneFrom(nil, unicode.L, unicode.N, unicode.So), 1, 40, 200)
	domain := rapid.StringMatching(`[A-Za-zäöü]{1,10}\.[A-Z]{2,6}`)
	m := &mail.Message{
		SenderAddress: "Sender@" + domain.Draw(t, "sender"),
		Content:       mail.Content{Subject: text.Draw(t, "subject"), HTML: text.Draw(t, "html")},
		Headers:       map[string]string{"X-" + rapid.StringMatching(`[A-Za-z0-9-]{1,20}`).Draw(t, "header"): "v"},
	}
	for i := range rapid.IntRange(1, mail.MaxRecipients).Draw(t, "recipients") {
		m.Recipients.To = append(m.Recipients.To, mail.Address{
			Address:     fmt.Sprintf("%d.%s@%s", i, rapid.StringMatching(`[A-Za-z+]{1,9}`).Draw(t, "local"), domain.Draw(t, "domain")),
			DisplayName: text.Draw(t, "name"),
		})
	}
	for range rapid.IntRange(0, 5).Draw(t, "attachments") {
		m.Attachments = append(m.Attachments, mail.Attachment{
			Name:        "1 " + text.Draw(t, "file"),
			ContentType: rapid.StringMatching(`[a-z]{1,9}/[a-z.+-]{1,9}`).Draw(t, "type"),
			Placement:   rapid.SampledFrom([]mail.Placement{"", mail.PlacementAuto, mail.PlacementInline, mail.PlacementLink}).Draw(t, "placement"),
			HasContent:  true, Size: rapid.Int64Min(1).Draw(t, "size"),
		})
	}
	if rapid.Bool().Draw(t, "life") {
		m.Delivery.LinkExpiresAfter = fmt.Sprintf("PT%dH", rapid.IntRange(1, 365*24).Draw(t, "hours"))
	}
	return m
}

// places put a text into one member of a good message each.
var places = map[string]func(m *mail.Message, s string){
	"senderAddress":   func(m *mail.Message, s string) { m.SenderAddress = s },
	"subject":         func(m *mail.Message, s string) { m.Content.Subject = s },
	"plainText":       func(m *mail.Message, s string) { m.Content.PlainText = s },
	"html":            func(m *mail.Message, s string) { m.Content.HTML = s },
	"to":              func(m *mail.Message, s string) { m.Recipients.To[0].Address = s },
	"domain of to":    func(m *mail.Message, s string) { m.Recipients.To[0].Address = "ada@" + s + ".example" },
	"displayName":     func(m *mail.Message, s string) { m.Recipients.To[0].DisplayName = s },
	"replyTo":         func(m *mail.Message, s string) { m.ReplyTo[0].Address = s },
	"header name":     func(m *mail.Message, s string) { m.Headers = map[string]string{s: "v"} },
	"X header name":   func(m *mail.Message, s string) { m.Headers = map[string]string{"X-" + s: "v"} },
	"header value":    func(m *mail.Message, s string) { m.Headers = map[string]string{"X-A": s} },
	"attachment name": func(m *mail.Message, s string) { m.Attachments[0].Name = s },
	"contentType":     func(m *mail.Message, s string) { m.Attachments[0].ContentType = s },
	"contentId":       func(m *mail.Message, s string) { m.Attachments[1].ContentID = s },
	"placement":       func(m *mail.Message, s string) { m.Attachments[1].Placement = mail.Placement(s) },
	"uploadId":        func(m *mail.Message, s string) { m.Attachments[0].UploadID = s },
	"sendAt":          func(m *mail.Message, s string) { m.Delivery.SendAt = s },
	"whenBusy":        func(m *mail.Message, s string) { m.Delivery.WhenBusy = mail.WhenBusy(s) },
	"deadline":        func(m *mail.Message, s string) { m.Delivery.Deadline = s },
	"priority":        func(m *mail.Message, s string) { m.Delivery.Priority = mail.Priority(s) },
	"linkExpires":     func(m *mail.Message, s string) { m.Delivery.LinkExpiresAfter = s },
	"tag name":        func(m *mail.Message, s string) { m.Delivery.Tags[0].Name = s },
	"tag value":       func(m *mail.Message, s string) { m.Delivery.Tags[0].Value = s },
}

// TestNaughtyStrings puts each of the big list of naughty strings into each
// member: the verdict is always the same, and what becomes a header is clean.
func TestNaughtyStrings(t *testing.T) {
	t.Parallel()
	naughty := require.NaughtyStrings(t)
	c := New()
	for place, put := range places {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			for _, s := range naughty {
				m, twin := good(), good()
				put(m, s)
				put(twin, s)
				terms, err := c.Message(m, now)
				twinTerms, twinErr := c.Message(twin, now)
				if terms != twinTerms || !reflect.DeepEqual(err, twinErr) || !reflect.DeepEqual(m, twin) {
					t.Fatalf("%q has two verdicts: %v and %v", s, err, twinErr)
				}
				if err == nil {
					holdsForSent(t, m)
				}
			}
		})
	}
}

func holdsForSent(t *testing.T, m *mail.Message) {
	t.Helper()
	lines := []string{m.SenderAddress, m.Content.Subject, m.Delivery.Tags[0].Name, m.Delivery.Tags[0].Value}
	for _, a := range append(m.Recipients.All(), m.ReplyTo...) {
		lines = append(lines, a.Address, a.DisplayName)
	}
	for _, a := range m.Attachments {
		lines = append(lines, a.Name, a.ContentType, a.ContentID)
	}
	for name, value := range m.Headers {
		lines = append(lines, name, value)
	}
	for _, s := range lines {
		if strings.ContainsAny(s, "\x00\r\n\u0085\u2028\u2029\u202e") {
			t.Errorf("%q would be sent", s)
		}
	}
}

package check

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// refusal is a change to a good message and all violations that it must bring, each
// as "pointer sentence".
type refusal struct {
	name   string
	change func(*mail.Message)
	want   []string
}

// ours are names of members, which are told from words by their capitals.
var ours = regexp.MustCompile(`\b[a-z]+[A-Z]\w*`)

// elsewhere is an API that has other names for all members.
func elsewhere(pointer string) string {
	return regexp.MustCompile("[^/]+").ReplaceAllString(pointer, "x")
}

func refuses(t *testing.T, kind problem.Kind, rows []refusal) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			m, before := good(), good()
			row.change(m)
			row.change(before)
			terms, err := New().Message(m, now)
			if !problem.Is(err, kind) {
				t.Fatalf("error %v, want %v", err, kind)
			}
			var got []string
			for _, violation := range problem.Of(err).Violations {
				got = append(got, violation.Pointer+" "+violation.Detail)
				if said := violation.Placed(elsewhere).Detail; ours.MatchString(said) {
					t.Errorf("in another API this is said in our words: %s", said)
				}
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("violations\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(row.want, "\n"))
			}
			if terms != (Terms{}) || !reflect.DeepEqual(m, before) {
				t.Errorf("left behind: %v, %+v", terms, m)
			}
		})
	}
}

func TestMessageRefusesMembers(t *testing.T) {
	t.Parallel()
	const required = " This is required and may not be empty."
	refuses(t, problem.InvalidMessage, []refusal{
		{"nothing at all", func(m *mail.Message) { *m = mail.Message{} }, []string{
			"/content The message has no text. Set plainText or html.",
			"/content/subject" + required,
			"/recipients At least one recipient is needed in to, cc or bcc.",
			"/senderAddress" + required,
		}},
		{"bad sender", func(m *mail.Message) { m.SenderAddress = "nobody" }, []string{"/senderAddress The address has no @."}},
		{"subject with a header in it", func(m *mail.Message) { m.Content.Subject = "Hi\r\nBcc: eve@example.com" }, []string{
			"/content/subject This contains U+000D, a control character or line separator.",
		}},
		{"subject that nobody can see", func(m *mail.Message) { m.Content.Subject = "\u200b \u2060" }, []string{
			"/content/subject This has no character that can be seen.",
		}},
		{"languages that are none", func(m *mail.Message) { m.Headers = map[string]string{"content-language": "de, <script>"} }, []string{
			"/headers/content-language This is no tag of a language, such as de or pt-BR.",
		}},
		{"what is hidden in encoded words", func(m *mail.Message) {
			m.Content.Subject = "=?utf-8?B?4oCu?="
			m.Recipients.To[0].DisplayName = "=?utf-8?q?Ann=0D=0ABcc:_eve=40example.com?="
		}, []string{
			"/content/subject This contains U+202E, which changes the direction of text, in an encoded word of RFC 2047.",
			"/recipients/to/0/displayName This contains U+000D, a control character or line separator, in an encoded word of RFC 2047.",
		}},
		{"subject too long and with a line break", func(m *mail.Message) {
			m.Content.Subject = strings.Repeat("s", mail.MaxSubjectBytes) + "\n"
		}, []string{
			"/content/subject This contains U+000A, a control character or line separator.",
			"/content/subject This is longer than 998 bytes.",
		}},
		{"bodies too long", func(m *mail.Message) {
			m.Content.PlainText = strings.Repeat("ä", mail.MaxBodyBytes/2) + "a"
			m.Content.HTML = strings.Repeat("a", mail.MaxBodyBytes+1)
		}, []string{
			"/content/html This is longer than 10485760 bytes.",
			"/content/plainText This is longer than 10485760 bytes.",
		}},
		{"bodies not UTF-8", func(m *mail.Message) { m.Content.PlainText, m.Content.HTML = "\xff", "\xc0" }, []string{
			"/content/html This is not valid UTF-8.",
			"/content/plainText This is not valid UTF-8.",
		}},
		{"bad addresses everywhere", func(m *mail.Message) {
			m.Recipients.To[0].Address = ""
			m.Recipients.CC[0].Address = "grace"
			m.Recipients.BCC[0].Address = "edsger@localhost"
			m.ReplyTo[1].Address = "help@[192.0.2.1]"
		}, []string{
			"/recipients/bcc/0/address The domain has no dot.",
			"/recipients/cc/0/address The address has no @.",
			"/recipients/to/0/address" + required,
			"/replyTo/1/address The domain is an IP address; a name is needed.",
		}},
		{"bad display names", func(m *mail.Message) {
			m.Recipients.To[0].DisplayName = "Ada\u202e"
			m.Recipients.CC[0].DisplayName = strings.Repeat("d", mail.MaxDisplayNameBytes+1)
			m.ReplyTo[0].DisplayName = "\x7f"
		}, []string{
			"/recipients/cc/0/displayName This is longer than 256 bytes.",
			"/recipients/to/0/displayName This contains U+202E, which changes the direction of text.",
			"/replyTo/0/displayName This contains U+007F, a control character or line separator.",
		}},
		{"an attachment of nothing", func(m *mail.Message) { m.Attachments[0] = mail.Attachment{} }, []string{
			"/attachments/0/contentInBase64 The attachment has no content. Set contentInBase64 or uploadId.",
			"/attachments/0/contentType" + required,
		}},
		{"bad attachment", func(m *mail.Message) {
			m.Attachments[1] = mail.Attachment{
				Name: "../x", ContentType: "text", ContentID: "<logo>", Placement: "aside", HasContent: true, Size: 1,
			}
		}, []string{
			"/attachments/1/contentType This is not a media type such as text/plain.",
			"/attachments/1/placement This must be one of: auto, inline, link.",
		}},
		{"attachment with long members", func(m *mail.Message) {
			m.Attachments[1].Name = strings.Repeat("n", mail.MaxAttachmentNameBytes+1)
			m.Attachments[1].ContentType = "text/" + strings.Repeat("c", mail.MaxContentTypeBytes)
			m.Attachments[1].ContentID = strings.Repeat("i", mail.MaxContentIDBytes+1)
		}, []string{
			"/attachments/1/contentId This is longer than 255 bytes.",
			"/attachments/1/contentType This is longer than 255 bytes.",
			"/attachments/1/name This is longer than 255 bytes.",
		}},
	})
}

func TestMessageRefusesTogether(t *testing.T) {
	t.Parallel()
	refuses(t, problem.InvalidMessage, []refusal{
		{"no body", func(m *mail.Message) { m.Content.PlainText, m.Content.HTML = "", "" }, []string{
			"/content The message has no text. Set plainText or html.",
		}},
		{"no recipient", func(m *mail.Message) { m.Recipients = mail.Recipients{} }, []string{
			"/recipients At least one recipient is needed in to, cc or bcc.",
		}},
		{"51 recipients, the 50th bad", func(m *mail.Message) {
			m.Recipients.To = people("to", 49)
			m.Recipients.To[48].Address = "x"
		}, []string{
			"/recipients A message has at most 50 recipients together, not 51.",
			"/recipients/to/48/address The address has no @.",
		}},
		{"lists beyond their limits are looked at as far as the limits", func(m *mail.Message) {
			m.Recipients.To = append(people("to", 50), mail.Address{})
			m.ReplyTo = append(people("reply", 50), mail.Address{})
			m.Attachments = append(manyAttachments(100), mail.Attachment{})
			m.Headers = manyHeaders(50)
			m.Headers["Y"] = ""
			m.Delivery.Tags = append(manyTags(10), mail.Tag{})
		}, []string{
			"/attachments A message has at most 100 attachments, not 101.",
			"/delivery/tags A message has at most 10 tags, not 11.",
			"/headers A message has at most 50 headers, not 51.",
			"/recipients A message has at most 50 recipients together, not 53.",
			"/replyTo A message has at most 50 addresses to reply to, not 51.",
		}},
		{"51 recipients, and one of them twice", func(m *mail.Message) {
			m.Recipients.To = append(people("to", 49), mail.Address{Address: "to7@EXAMPLE.com"}, mail.Address{Address: "x"})
		}, []string{
			"/recipients A message has at most 50 recipients together, not 52.",
			"/recipients/to/50/address The address has no @.",
		}},
		{"a bad one behind 50 that are the same", func(m *mail.Message) {
			m.Recipients.To = append(slices.Repeat(m.Recipients.To, 60), mail.Address{Address: "x"})
		}, []string{
			"/recipients/to/60/address The address has no @.",
		}},
		{"more violations than are told", func(m *mail.Message) {
			m.Recipients.To = slices.Repeat([]mail.Address{{Address: "x"}}, 60)
		}, slices.Collect(func(yield func(string) bool) {
			indexes := make([]string, 60)
			for i := range indexes {
				indexes[i] = fmt.Sprintf("/recipients/to/%d/address The address has no @.", i)
			}
			slices.Sort(indexes)
			slices.Values(indexes[:problem.MaxViolations])(yield)
		})},
		{"empty attachment", func(m *mail.Message) { m.Attachments[0].Size = 0 }, []string{
			"/attachments/0/contentInBase64 The attachment is empty, which ACS refuses.",
		}},
		{"attachment with two sources", func(m *mail.Message) { m.Attachments[0].UploadID = "u" }, []string{
			"/attachments/0 An attachment has contentInBase64 or uploadId, not both.",
		}},
		{"upload that must be inline", func(m *mail.Message) {
			a := &m.Attachments[0]
			a.HasContent, a.UploadID, a.Placement = false, "u", mail.PlacementInline
		}, []string{
			"/attachments/0/placement An upload is always a link, so it cannot be inline.",
		}},
		{"upload as an inline image", func(m *mail.Message) {
			a := &m.Attachments[1]
			a.HasContent, a.UploadID, a.Placement = false, "u", mail.PlacementAuto
		}, []string{
			"/attachments/1/contentId An upload is always a link, so it cannot be shown inside the HTML.",
		}},
		{"inline image as a link", func(m *mail.Message) { m.Attachments[1].Placement = mail.PlacementLink }, []string{
			"/attachments/1/placement An attachment with contentId is shown inside the HTML, so it cannot be a link.",
		}},
		{"the same contentId", func(m *mail.Message) { m.Attachments = append(m.Attachments, m.Attachments[1]) }, []string{
			"/attachments/2/contentId /attachments/1/contentId has the same id.",
		}},
	})
}

func TestMessageRefusesHeaders(t *testing.T) {
	t.Parallel()
	header := func(name, value string) func(*mail.Message) {
		return func(m *mail.Message) { m.Headers = map[string]string{name: value} }
	}
	refuses(t, problem.InvalidMessage, []refusal{
		{"no name", header("", "v"), []string{"/headers/ A header needs a name."}},
		{"name too long", header("X-"+strings.Repeat("n", mail.MaxHeaderNameBytes), "v"), []string{
			"/headers The name of a header is longer than 76 bytes.",
		}},
		{"name with a colon", header("X-A: b\r\nBcc", "v"), []string{
			"/headers/X-A: b\r\nBcc The name of a header has letters, digits and !#$%&'*+-.^_`|~ only.",
		}},
		{"name to be escaped in the pointer", header("X~/Y", "v"), []string{
			"/headers/X~0~1Y The name of a header has letters, digits and !#$%&'*+-.^_`|~ only.",
		}},
		{"reserved name", header("BCC", "eve@example.com"), []string{
			"/headers/BCC This header is reserved: recipients.bcc sets it. Leave it out. All of them: " + headersPage,
		}},
		{"reserved prefix", header("Resent-To", "eve@example.com"), []string{
			"/headers/Resent-To This header is reserved: it says that someone sent the message again. Leave it out. All of them: " + headersPage,
		}},
		{"line break that is no fold", header("X-A", "b\r\nBcc: eve@example.com"), []string{
			"/headers/X-A This contains U+000D, a control character or line separator.",
		}},
		{"line break at the end", header("X-A", "b\n"), []string{
			"/headers/X-A This contains U+000A, a control character or line separator.",
		}},
		{"identifiers outside ASCII", func(m *mail.Message) {
			m.Headers = map[string]string{"In-Reply-To": "<ü@example.com>", "List-Help": "<https://exämple.com>"}
		}, []string{
			"/headers/In-Reply-To The value has characters outside ASCII, which this header may not have.",
			"/headers/List-Help The value has characters outside ASCII, which this header may not have.",
		}},
		{"value too long for its line", header("X-A", strings.Repeat("v", mail.MaxLineBytes-4)), []string{
			"/headers/X-A The header with its name is longer than a line of 998 bytes.",
		}},
		{"identifier too long for its line", header("References", "<a> <"+strings.Repeat("v", mail.MaxLineBytes)+">"), []string{
			"/headers/References The header with its name is longer than a line of 998 bytes.",
		}},
		{"name and value both bad", header("To", "\u2028"), []string{
			"/headers/To This header is reserved: recipients.to sets it. Leave it out. All of them: " + headersPage,
			"/headers/To This contains U+2028, a control character or line separator.",
		}},
		{"the same name in another case", func(m *mail.Message) {
			m.Headers = map[string]string{"x-a": "1", "X-A": "2", "X-a": "3"}
		}, []string{
			"/headers/X-a X-A is the same header: case makes no difference.",
			"/headers/x-a X-A is the same header: case makes no difference.",
		}},
	})
}

// Every rule has a reason, and none stands behind one that hides it.
func TestHeaderRules(t *testing.T) {
	t.Parallel()
	for _, h := range Headers {
		name := strings.ReplaceAll(h.Name, "*", "anything")
		if got, ok := rule(name); !ok || got != h || h.Reason == "" || h.Name != strings.ToLower(h.Name) {
			t.Errorf("%s is under %+v, %v", name, got, ok)
		}
	}
	for _, name := range []string{"x-priority", "list-unsubscribe-post", "clientcorrelationid", "content-language", "disposition-notification-to", "arc", "dates"} {
		if h, ok := rule(name); ok {
			t.Errorf("%s is under %+v", name, h)
		}
	}
}

func TestMessageRefusesDelivery(t *testing.T) {
	t.Parallel()
	const bidi = " This contains U+2066, which changes the direction of text."
	refuses(t, problem.InvalidMessage, []refusal{
		{"unknown whenBusy", func(m *mail.Message) { m.Delivery.WhenBusy = "later" }, []string{
			"/delivery/whenBusy This must be one of: wait, refuse.",
		}},
		{"deadline in another form", func(m *mail.Message) { m.Delivery.Deadline = "2031-01-31T1:00:00Z" }, []string{
			"/delivery/deadline This must be a time of RFC 3339 such as 2030-01-31T12:00:00Z, or in words: in 2 hours.",
		}},
		{"deadline on no day", func(m *mail.Message) { m.Delivery.Deadline = "2031-02-29T01:00:00Z" }, []string{
			"/delivery/deadline This must be a time of RFC 3339 such as 2030-01-31T12:00:00Z, or in words: in 2 hours.",
		}},
		{"deadline now", func(m *mail.Message) { m.Delivery.Deadline = "2030-01-31T13:00:00+01:00" }, []string{
			"/delivery/deadline The deadline has passed already.",
		}},
		{"no duration", func(m *mail.Message) { m.Delivery.LinkExpiresAfter = "30 days" }, []string{
			"/delivery/linkExpiresAfter This must be a duration of ISO 8601 in whole numbers such as P30D, P2W or PT36H.",
		}},
		{"links that live too short", func(m *mail.Message) { m.Delivery.LinkExpiresAfter = "PT59M59S" }, []string{
			"/delivery/linkExpiresAfter This must be between 1 and 8760 hours.",
		}},
		{"links that live too long", func(m *mail.Message) { m.Delivery.LinkExpiresAfter = "P365DT1S" }, []string{
			"/delivery/linkExpiresAfter This must be between 1 and 8760 hours.",
		}},
		{"bad tags", func(m *mail.Message) {
			long := strings.Repeat("t", mail.MaxTagBytes+1)
			m.Delivery.Tags = []mail.Tag{{Name: "a\tb"}, {}, {}, {Name: "n", Value: "\u2066"}, {Name: "n"}, {Name: long, Value: long}}
		}, []string{
			"/delivery/tags/0/name This contains U+0009, a control character or line separator.",
			"/delivery/tags/1/name This is required and may not be empty.",
			"/delivery/tags/2/name This is required and may not be empty.",
			"/delivery/tags/3/value" + bidi,
			"/delivery/tags/4/name /delivery/tags/3/name has the same name.",
			"/delivery/tags/5/name This is longer than 256 bytes.",
			"/delivery/tags/5/value This is longer than 256 bytes.",
		}},
		{"priority", func(m *mail.Message) { m.Delivery.Priority = "High" }, []string{
			"/delivery/priority This must be one of: high, normal, bulk.",
		}},
		{"sendAt that is no time", func(m *mail.Message) { m.Delivery.SendAt = "soon" }, []string{
			"/delivery/sendAt This must be a time of RFC 3339 such as 2030-01-31T12:00:00Z, or in words: in 2 hours.",
		}},
		{"sendAt without an offset", func(m *mail.Message) { m.Delivery.SendAt = "2030-01-31T13:30:00.123456" }, []string{
			"/delivery/sendAt This time has no offset. Put Z behind it for UTC, or an offset such as +02:00.",
		}},
		{"sendAt too far ahead in words", func(m *mail.Message) {
			m.Delivery = mail.Delivery{SendAt: "in 999999 weeks"}
		}, []string{
			"/delivery/sendAt This is more than 7 days ahead.",
		}},
		{"sendAt too far ahead", func(m *mail.Message) {
			m.Delivery = mail.Delivery{SendAt: now.Add(mail.MaxWait + time.Second).Format(time.RFC3339)}
		}, []string{
			"/delivery/sendAt This is more than 7 days ahead.",
		}},
		{"sendAt that may not wait", func(m *mail.Message) {
			m.Delivery = mail.Delivery{SendAt: now.Add(time.Hour).Format(time.RFC3339), WhenBusy: mail.WhenBusyRefuse}
		}, []string{
			"/delivery/whenBusy A message with sendAt has to wait: leave out one of them.",
		}},
		{"deadline before sendAt", func(m *mail.Message) {
			m.Delivery = mail.Delivery{SendAt: now.Add(2 * time.Hour).Format(time.RFC3339), Deadline: now.Add(time.Hour).Format(time.RFC3339)}
		}, []string{
			"/delivery/deadline The deadline is before sendAt.",
		}},
	})
}

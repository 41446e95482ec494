package hook

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/posthorn/posthorn/handler/accept/check"
	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// large are payloads of up to MaxBodyBytes whose tables are larger than a template may
// write, or take long.
var large = map[string]func() string{
	"many long words":      func() string { return members(260, strings.Repeat("a", 3900)) },
	"what HTML escapes":    func() string { return members(200, strings.Repeat("<", 5000)) },
	"long addresses":       func() string { return members(200, "https://example.com/"+strings.Repeat("&", 5000)) },
	"addresses of letters": func() string { return members(250, "https://example.com/?"+strings.Repeat("ä", 1900)) },
	"empty lines":          func() string { return members(260, strings.Repeat("\n", 1900)) },
	"one word":             func() string { return members(1, strings.Repeat("\"'", 200_000)) },
	"words of four bytes":  func() string { return members(250, strings.Repeat("😀", 1000)) },
	"hidden words":         func() string { return members(1, "=?utf-8?B?4oCu?=") },
	"nothing to be seen":   func() string { return members(1, "\u200b") },
	"tags":                 func() string { return members(1, "\U000E0041") },
	"long names in each other": func() string {
		return strings.Repeat(`{"`+strings.Repeat("n", 1000)+`":`, 20) + members(300, "x") + strings.Repeat("}", 20)
	},
}

func members(n int, of string) string {
	text, _ := json.Marshal(of)
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"step%d":%s`, i, text)
	}
	return "{" + b.String()[1:] + "}"
}

func TestAnyLargePayloadIsAMessage(t *testing.T) {
	t.Parallel()
	broken := Template{Subject: `{{.nothing}}{{index .list 9}}`, Text: "x"}
	for name, payload := range large {
		for of, h := range map[string]Hook{
			"generic":           sample{builtin: "generic"}.hook(),
			"a broken template": {Holder: keyring.Holder{Name: "mine"}, Policy: sample{builtin: "generic"}.hook().Policy, Template: broken},
			"its own subject":   {Holder: keyring.Holder{Name: "mine"}, Policy: sample{builtin: "generic"}.hook().Policy, Template: Template{Subject: `{{index (lines (rows "" | print)) 0}}{{.step0}}`, HTML: `{{.step0}}`}},
		} {
			t.Run(name+", "+of, func(t *testing.T) {
				t.Parallel()
				all, err := h.Messages(t.Context(), jsonDelivery(payload()))
				if err != nil || len(all) != 1 {
					t.Fatal(len(all), err)
				}
				accepted(t, all[0])
			})
		}
	}
}

func accepted(t interface {
	Helper()
	Errorf(format string, of ...any)
}, m Message) {
	t.Helper()
	if _, err := check.New().Message(&m.Message, noon); err != nil {
		t.Errorf("check refuses it: %v, %+v", err, problem.Of(err).Violations)
	}
	if n := len(m.Content.PlainText) + len(m.Content.HTML); n > 3*maxOutputBytes {
		t.Errorf("it has %d bytes", n)
	}
}

// A machine on which no template comes to its end sends the text alone.
func TestTheLastResort(t *testing.T) {
	t.Parallel()
	late := time.Now()
	s := scope{hook: "mine", payload: value{kind: object, members: []member{{"disk", value{kind: text, text: "full"}}}}, header: http.Header{}}
	s.now = func() time.Time { late = late.Add(time.Hour); return late }
	c := fallback(s)
	if c.Subject != "Webhook mine" || !strings.Contains(c.PlainText, "disk: full") || c.HTML != "" {
		t.Errorf("got %+v", c)
	}
	accepted(t, Message{Message: mail.Message{SenderAddress: "a@example.com", Content: c, Recipients: mail.Recipients{To: addresses([]string{"b@example.com"})}}})
}

// Whatever a form or a webhook says, and whatever a template makes of it, can be sent.
func TestAnyPayloadOverAnyTemplateCanBeSent(t *testing.T) {
	t.Parallel()
	pieces := rapid.SampledFrom([]string{"<", "&", "\n", "ä", "😀", "\u202e", "\u200b", "\U000E0041", "=?utf-8?B?4oCu?=", "\x00", "https://example.com/?", "a", "\"", "%", "{{"})
	rapid.Check(t, func(t *rapid.T) {
		of := map[string]string{}
		for i := range rapid.IntRange(1, 12).Draw(t, "members") {
			name := rapid.SampledFrom([]string{"subject", "name", "email", "title", "message", "status", "text", fmt.Sprint("step", i)}).Draw(t, "name")
			of[name] = strings.Repeat(pieces.Draw(t, "piece"), rapid.IntRange(0, 4000).Draw(t, "times"))
		}
		body, _ := json.Marshal(of)
		h := sample{builtin: rapid.SampledFrom([]string{"generic", "form", "github", "grafana", "alertmanager"}).Draw(t, "builtin")}.hook()
		h.Template = rapid.SampledFrom([]Template{{}, {Subject: "{{.title}}{{slice .name 1 2}}", HTML: "{{.message}}"}, {Subject: "{{.subject}} x", HTML: "{{slice .text 1 2}}"}, {Subject: "x", HTML: "{{.nothing}}"}}).Draw(t, "template")
		d := jsonDelivery(string(body))
		if h.Policy.Builtin == "form" {
			h.Policy.Form = &Form{Origins: []string{"*"}, Honeypot: DefaultHoneypot}
			fields := url.Values{}
			for name, text := range of {
				fields.Set(name, text)
			}
			d.Header, d.Body = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, []byte(fields.Encode())
		}
		all, err := h.Messages(t.Context(), d)
		if err != nil {
			return // its sender's fault, or TestAnyPayloadIsAMessageOrItsSendersFault says so
		}
		for _, m := range all {
			accepted(t, m)
		}
	})
}

package hook

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/accept/check"
	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/problem"
)

// contact is the form of docs/clients/forms.md.
func contact(t *testing.T) Hook {
	t.Helper()
	p, err := Policy{
		Caller: "site", Sender: "donotreply@example.com", To: []string{"office@example.com"}, Builtin: "form",
		Form: &Form{Origins: []string{"https://www.example.com"}},
	}.normalised()
	if err != nil {
		t.Fatal(err)
	}
	return Hook{Holder: keyring.Holder{Name: "contact", Generations: []int64{1}}, Policy: p}
}

// What browsers, scripts and the forms of other services send, and what becomes of it: the
// .golden file beside each request has the mail as its recipient sees it.
func TestWhatFormsSendBecomesThisMail(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/forms/*.http")
	if err != nil || len(files) == 0 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".http")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := mailOf(t, file)
			golden := strings.TrimSuffix(file, ".http") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if want, err := os.ReadFile(golden); err != nil || got != string(want) {
				t.Errorf("%v; got\n%s\nwant\n%s", err, got, want)
			}
		})
	}
}

func mailOf(t *testing.T, file string) string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	req, err := http.ReadRequest(bufio.NewReader(f))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		t.Fatal(err)
	}
	h, d := contact(t), Delivery{Header: req.Header, Body: body, At: noon}
	s, err := h.Submission(t.Context(), d)
	if err != nil {
		return "refused: " + problem.Of(err).Detail + "\n"
	}
	if s.Robot {
		return "taken for a robot\n"
	}
	all, err := h.Messages(t.Context(), d)
	if err != nil {
		return "refused: " + problem.Of(err).Detail + "\n"
	}
	var b strings.Builder
	for _, m := range all {
		if _, err := check.New().Message(&m.Message, noon); err != nil || m.TemplateError != nil {
			t.Errorf("the message is refused: %v, its template failed: %v", err, m.TemplateError)
		}
		fmt.Fprintf(&b, "Subject: %s\nTo: %s\nReply-To: %s\nPriority: %s\nNext: %s\n\n%s",
			m.Content.Subject, strings.Join(texts(m.Recipients.All()), ", "), strings.Join(texts(m.ReplyTo), ", "), m.Delivery.Priority, s.Next, m.Content.PlainText)
		for line := range strings.Lines(m.Content.PlainText) {
			if said := strings.TrimSpace(line); !strings.Contains(shownText(t, m.Content.HTML), strings.TrimPrefix(said[strings.Index(said, ":")+1:], " ")) && !strings.HasPrefix(said, "Sent through") {
				t.Errorf("%q is not in the HTML:\n%s", said, shownText(t, m.Content.HTML))
			}
		}
	}
	return b.String()
}

// curl's -d calls JSON a form, and fetch calls it text.
func TestJSONIsReadAsJSONWhateverItIsCalled(t *testing.T) {
	t.Parallel()
	body := `{"url":"https://x.example/?a=1&b=2+3","part":"100%"}`
	for _, contentType := range []string{"application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-8", "text/plain", "text/plain;charset=UTF-8", ""} {
		for _, c := range []struct{ builtin, body, subject, says string }{
			{"generic", body, "Webhook mine: https://x.example/?a=1&b=2+3", "100%"},
			{"generic", "\r\n [" + body + "]", "", "100%"},
			{"alertmanager", `{"version":"4","status":"firing","groupLabels":{"alertname":"X"},"commonLabels":{},"commonAnnotations":{},"alerts":[{"status":"firing","labels":{"alertname":"X"},"annotations":{"summary":"Pod a is over"},"startsAt":"2026-01-01T00:00:00Z"}]}`, "", "Pod a is over"},
		} {
			d := jsonDelivery(c.body)
			d.Header = http.Header{}
			if contentType != "" {
				d.Header.Set("Content-Type", contentType)
			}
			all, err := sample{builtin: c.builtin}.hook().Messages(t.Context(), d)
			if err != nil || len(all) != 1 {
				t.Fatal(contentType, c.builtin, len(all), err)
			}
			m := all[0].Content
			if c.subject != "" && m.Subject != c.subject || strings.Contains(m.Subject, "[]") || !strings.Contains(m.PlainText, c.says) {
				t.Errorf("%q: %q\n%s", contentType, m.Subject, m.PlainText)
			}
		}
	}
}

// No row stands without a name, whatever the payload is.
func TestAPayloadOfOneValueHasANamedRow(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{`{}`: "is empty.\n", `[]`: "is empty.\n", `"up"`: "value: up\n", `7`: "value: 7\n", `null`: "is empty.\n"} {
		all, err := sample{builtin: "generic"}.hook().Messages(t.Context(), jsonDelivery(body))
		if err != nil || len(all) != 1 || !strings.Contains(all[0].Content.PlainText, want) || strings.HasSuffix(all[0].Content.Subject, ":") {
			t.Errorf("%s: %+v, %v", body, all, err)
		}
	}
}

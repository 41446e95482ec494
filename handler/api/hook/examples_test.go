package hook

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/posthorn/posthorn/handler/accept/check"
)

// exampleDelivery is what an example file holds: a JSON body, or headers, an empty
// line and a body.
func exampleDelivery(t *testing.T, file string) Delivery {
	t.Helper()
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{"Content-Type": {"application/json"}}
	if filepath.Ext(file) == ".http" {
		head, rest, _ := bytes.Cut(body, []byte("\n\n"))
		read, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(append(head, "\n\n"...)))).ReadMIMEHeader()
		if err != nil {
			t.Fatal(err)
		}
		h, body = http.Header(read), rest
	}
	return Delivery{Header: h, Body: body, At: noon}
}

// render makes messages while the clock stands still, so that no template is stopped
// because the machine has other work.
func render(t *testing.T, builtin string, d Delivery) (all []Message, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		all, err = sample{builtin: builtin}.hook().Messages(t.Context(), d)
	})
	return all, err
}

// What each example becomes was read once as somebody reads it whom it wakes; its
// golden file has the subject and the text. The HTML says the same.
func TestTheExamplesOfTheSendersReadWell(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/examples/*/*.*")
	if err != nil || len(files) < 100 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		ext := filepath.Ext(file)
		if ext == ".txt" {
			continue
		}
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			all, err := render(t, filepath.Base(filepath.Dir(file)), exampleDelivery(t, file))
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, m := range all {
				mustRead(t, m)
				fmt.Fprintf(&got, "Subject: %s\n\n%s\n", m.Content.Subject, m.Content.PlainText)
			}
			golden := strings.TrimSuffix(file, ext) + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil || string(want) != got.String() {
				t.Errorf("%s says otherwise (%v). Got:\n%s", golden, err, got.String())
			}
		})
	}
}

// mustRead fails on what nobody should have to read.
func mustRead(t *testing.T, m Message) {
	t.Helper()
	if m.TemplateError != nil || m.Refused != nil {
		t.Errorf("fault %v, refused %v", m.TemplateError, m.Refused)
	}
	if _, err := check.New().Message(&m.Message, noon); err != nil {
		t.Errorf("the message is refused: %v", err)
	}
	for _, odd := range []string{"[]", "()", "<no value>", "map[", ": :", " :", "  ", "</", "&amp;"} {
		if strings.Contains(m.Content.Subject, odd) {
			t.Errorf("the subject %q has %q in it", m.Content.Subject, odd)
		}
	}
	shown := strings.Join(strings.Fields(shownText(t, m.Content.HTML)), " ")
	for line := range strings.Lines(m.Content.PlainText) {
		line = strings.TrimSpace(line)
		for _, odd := range []string{"<no value>", "map[", "</", "&nbsp;", "&amp;", "&lt;"} {
			if strings.HasPrefix(line, ": ") || strings.HasSuffix(line, ":") || strings.Contains(line, odd) {
				t.Errorf("the text has the line %q", line)
				break
			}
		}
		name, of, cut := strings.Cut(line, ": ")
		if !cut {
			of = name
		}
		of = strings.Join(strings.Fields(strings.TrimPrefix(of, "--- ")), " ")
		if webAddress(of) == "" && !strings.Contains(shown, of) {
			t.Errorf("the HTML does not say %q", of)
		}
	}
}

// Who shapes a payload may keep the sender's names and put other types under them.
func TestMembersOfOtherTypesAreShownUnderTheSendersName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ builtin, body, subject string }{
		{"grafana", `{"alerts":"x-4711 and others","status":"firing","title":"Disk full"}`, "Grafana: Disk full"},
		{"grafana", `{"alerts":[{"labels":"x-4711","status":"firing"}]}`, "Grafana: x-4711"},
		{"grafana", `["x-4711"]`, "Grafana: x-4711"},
		{"alertmanager", `{"alerts":["x-4711"],"commonLabels":{"alertname":"Down"}}`, "Alertmanager: x-4711"},
		{"alertmanager", `{"alerts":7,"text":"x-4711"}`, "Alertmanager: x-4711"},
		{"azure-monitor", `{"data":"x-4711"}`, "Azure Monitor: x-4711"},
		{"azure-monitor", `{"data":{"essentials":"x-4711"}}`, "Azure Monitor: x-4711"},
		{"azure-monitor", `{"data":{"essentials":{"alertRule":"CPU"},"alertContext":{"condition":"x-4711"}}}`, "Azure Monitor: CPU"},
		{"event-grid", `[{"eventType":{"a":"x-4711"},"subject":"s"}]`, `{"a":"x-4711"}: s`},
		{"cloudevents", `{"specversion":"1.0","type":"t","source":["x-4711"],"data":[]}`, `t: ["x-4711"]`},
		{"github", `{"pull_request":"x-4711","title":"Disk full"}`, "[GitHub] Event: Disk full"},
		{"github", `["x-4711"]`, "[GitHub] Event: x-4711"},
		{"stripe", `{"data":"x-4711","type":"a"}`, "Stripe event: a"},
		{"standard-webhooks", `["x-4711"]`, "Webhook mine: x-4711"},
		{"generic", `{"object_kind":"push","object_attributes":"x-4711","text":"t"}`, "[mine] Push"},
		{"cloudevents", `"x-4711"`, "CloudEvent: x-4711"},
	} {
		t.Run(c.builtin+" "+c.body, func(t *testing.T) {
			t.Parallel()
			all, err := render(t, c.builtin, jsonDelivery(c.body))
			if err != nil || len(all) != 1 {
				t.Fatal(len(all), err)
			}
			m := all[0]
			if m.TemplateError != nil || m.Content.Subject != c.subject {
				t.Errorf("fault %v, the subject is %q", m.TemplateError, m.Content.Subject)
			}
			if !strings.Contains(m.Content.PlainText, "x-4711") || !strings.Contains(shownText(t, m.Content.HTML), "x-4711") {
				t.Errorf("the text is %s", m.Content.PlainText)
			}
		})
	}
}

// A group of hundreds of alerts is counted whole and shown as far as a person reads.
func TestManyAlertsAreOneReadableMessage(t *testing.T) {
	t.Parallel()
	one := `{"status":"firing","labels":{"alertname":"InstanceDown","instance":"db-1:9100","job":"node","severity":"page"},"annotations":{"summary":"down","description":"` +
		strings.Repeat("long ", 100) + `"},"startsAt":"2026-11-07T03:02:11Z","generatorURL":"https://prometheus.example.com/graph?g0.expr=up"}`
	for _, builtin := range []string{"alertmanager", "grafana"} {
		body := `{"status":"firing","commonLabels":{"alertname":"InstanceDown"},"alerts":[` + one + strings.Repeat(","+one, 499) + `]}`
		all, err := render(t, builtin, jsonDelivery(body))
		if err != nil || len(all) != 1 {
			t.Fatal(len(all), err)
		}
		mustRead(t, all[0])
		c := all[0].Content
		if c.Subject != "[FIRING:500] InstanceDown" || !strings.Contains(c.PlainText, "The first 100 of 500 alerts are shown.") {
			t.Errorf("%s: the subject is %q", builtin, c.Subject)
		}
	}
}

// What is too much for a body leaves the subject, which is what wakes somebody.
func TestASubjectOutlivesABodyThatIsTooLarge(t *testing.T) {
	t.Parallel()
	one := `{"status":"firing","labels":{"alertname":"InstanceDown"},"annotations":{"description":"` + strings.Repeat("<", 10_000) + `"}}`
	body := `{"status":"firing","commonLabels":{"alertname":"InstanceDown"},"alerts":[` + one + strings.Repeat(","+one, 29) + `]}`
	all, err := render(t, "alertmanager", jsonDelivery(body))
	if err != nil || len(all) != 1 || all[0].Content.Subject != "[FIRING:30] InstanceDown" {
		t.Errorf("%d messages, %v, %+v", len(all), err, all)
	}
}

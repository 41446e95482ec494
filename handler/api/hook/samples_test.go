package hook

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/accept/check"
	"github.com/posthorn/posthorn/handler/accept/keyring"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// sample is a payload that a sender documents, with what somebody must find in the
// message that it becomes.
type sample struct {
	file, builtin, event string
	subject              string
	says                 []string // in both bodies
}

var samples = []sample{
	{"grafana.json", "grafana", "", "[FIRING:2] (blue): High memory usage, High CPU usage", []string{"High memory usage", "This alert was triggered for zone eu-1", "44.23943737541908", "12 Oct 2021, 07:51:03 UTC"}},
	{"alertmanager.json", "alertmanager", "", "[FIRING:1, RESOLVED:1 and 3 more] InstanceDown (page)", []string{"10.80.40.11:9100 of job node has been down", "RESOLVED", "30m0s", "3 more alerts"}},
	{"github-push.json", "github", "push", "[Codertocat/Hello-World] Tag simple-tag deleted", []string{"Codertocat", "refs/tags/simple-tag"}},
	{"github-push-commits.json", "github", "push", "[Codertocat/Hello-World] Push to the new branch master: 1 commit", []string{"Initial commit", "Codertocat", "refs/heads/master"}},
	{"github-ping.json", "github", "ping", "[Octocoders/Hello-World] This webhook works", []string{"Anything added dilutes everything else."}},
	{"github-issues.json", "github", "issues", "[Codertocat/Hello-World] Issue #1 opened: Spelling error in the README file", []string{"spelled 'commit' with two 't's."}},
	{"github-issue_comment.json", "github", "issue_comment", "[Codertocat/Hello-World] Comment by Codertocat on #1: Spelling error in the README file", []string{"You are totally right!"}},
	{"github-pull_request.json", "github", "pull_request", "[Codertocat/Hello-World] Pull request #2 opened: Update the README with new information.", []string{"Codertocat:changes", "This is a pretty simple change"}},
	{"github-release.json", "github", "release", "[Codertocat/Hello-World] Release 0.0.1 published", []string{"0.0.1"}},
	{"github-workflow_run.json", "github", "workflow_run", "[octo-org/octo-repo] test: success on master", []string{"success", "master"}},
	{"azure-monitor.json", "azure-monitor", "", "[Sev3] Resolved: WCUS-R2-Gen2 (wcus-r2-gen2)", []string{"Percentage CPU", "7.727", "GreaterThan 25", "4m52s"}},
	{"azure-monitor-log.json", "azure-monitor", "", "[Sev1] Fired: Heartbeat of the fleet (TestComputer)", []string{"A computer sends no heartbeat.", "platform", "LowerThan 1", "TestComputer"}},
	{"event-grid.json", "event-grid", "", "Microsoft.Storage.BlobCreated: /blobServices/default/containers/oc2d2817345i200097container/blobs/oc2d2817345i20002296blob", []string{"524288", "storageDiagnostics › batchId"}},
	{"event-grid-two.json", "event-grid", "", "recordInserted: /myapp/vehicles/motorcycles", []string{"Ducati"}},
	{"cloudevents.json", "cloudevents", "", "com.example.someevent: /mycontext", []string{"appinfoA", "abc", "comexampleextension1"}},
	{"cloudevents-event-grid.json", "cloudevents", "", "Microsoft.Storage.BlobCreated: blobServices/default/containers/{storage-container}/blobs/{new-file}", []string{"PutBlockList"}},
	{"stripe.json", "stripe", "", "[test] setup_intent.created: requires confirmation", []string{"requires confirmation", "6 Jun 2023, 22:19:30 UTC"}},
	{"stripe-invoice.json", "stripe", "", "invoice.payment_failed: 49.99 EUR (Jenny Rosen)", []string{"49.99 EUR", "ABCD-0042", "Jenny Rosen"}},
	{"standard-webhooks.json", "standard-webhooks", "", "contact.created", []string{"John Smith", "(281) 332-2575"}},
	{"generic.json", "generic", "", "Webhook mine: backup.finished", []string{"123456789012345678901", "81.50", "volumes › 2 › error › code", "db-1, db-2, db-3", "Second line"}},
}

func (s sample) hook() Hook {
	return Hook{Holder: keyring.Holder{Name: "mine", Generations: []int64{1}}, Policy: Policy{
		Caller: "ops", Sender: "alerts@example.com", To: []string{"team@example.com"}, Builtin: s.builtin,
	}}
}

func (s sample) delivery(t testing.TB) Delivery {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", "samples", s.file))
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{"Content-Type": {"application/json"}}
	if s.event != "" {
		h.Set("X-GitHub-Event", s.event)
	}
	return Delivery{Header: h, Body: body, At: noon}
}

func TestTheSamplesOfTheSendersBecomeMessages(t *testing.T) {
	t.Parallel()
	for _, s := range samples {
		t.Run(s.file, func(t *testing.T) {
			t.Parallel()
			all, err := s.hook().Messages(t.Context(), s.delivery(t))
			if err != nil || len(all) == 0 {
				t.Fatalf("%d messages, %v", len(all), err)
			}
			m := all[0]
			if m.TemplateError != nil {
				t.Errorf("the template failed: %v", m.TemplateError)
			}
			if m.Content.Subject != s.subject {
				t.Errorf("the subject is %q", m.Content.Subject)
			}
			for _, want := range s.says {
				if !strings.Contains(m.Content.PlainText, want) {
					t.Errorf("%q is not in the text:\n%s", want, m.Content.PlainText)
				}
				if !strings.Contains(shownText(t, m.Content.HTML), want) {
					t.Errorf("%q is not in the HTML:\n%s", want, m.Content.HTML)
				}
			}
			if strings.Contains(m.Content.PlainText, "<no value>") || strings.Contains(m.Content.PlainText, "map[") {
				t.Errorf("the text has Go's words in it:\n%s", m.Content.PlainText)
			}
			if _, err := check.New().Message(&m.Message, noon); err != nil {
				t.Errorf("the message is refused: %v", err)
			}
			if out := os.Getenv("POSTHORN_TEST_PREVIEWS"); out != "" {
				page, err := Preview(all)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(out, s.file+".html"), page, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// A payload of another version of its sender goes out as a table, and not as an
// empty frame.
func TestAPayloadThatIsNotAsItsSenderDocumentsIsShown(t *testing.T) {
	t.Parallel()
	for _, builtin := range Builtins() {
		h := sample{builtin: builtin}.hook()
		if builtin == "form" {
			h.Policy.Form = &Form{Origins: []string{"*"}}
		}
		all, err := h.Messages(t.Context(), jsonDelivery(`{"ruleName":"Load peaking!","data":{"id":"x-4711"}}`))
		if err != nil || len(all) != 1 {
			t.Fatal(builtin, len(all), err)
		}
		c := all[0].Content
		for _, body := range []string{c.PlainText, shownText(t, c.HTML)} {
			if !strings.Contains(body, "x-4711") || all[0].TemplateError != nil {
				t.Errorf("%s says %s, %v", builtin, body, all[0].TemplateError)
			}
		}
	}
}

package hook

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/accept/check"
	"github.com/posthorn/posthorn/handler/test/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// octokit is where npm puts @octokit/webhooks-examples (MIT): payloads of each of
// GitHub's events.
const octokit = "../../test/clients/node_modules/@octokit/webhooks-examples/api.github.com/index.json"

// What GitHub's own examples become, all of them, is kept for people to read: a file
// an event, in which what reads the same stands once.
func TestGitHubsExamplesReadWell(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("all of them take a quarter of a minute")
	}
	source, err := os.ReadFile(octokit)
	if os.IsNotExist(err) {
		require.Missing(t, require.Clients)
	}
	var events []struct {
		Name     string
		Examples []json.RawMessage
	}
	if err := json.Unmarshal(source, &events); err != nil || len(events) < 58 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	for _, event := range events {
		t.Run(event.Name, func(t *testing.T) {
			t.Parallel()
			var read bytes.Buffer
			seen := map[string]bool{}
			for i, body := range event.Examples {
				m := readable(t, sample{builtin: "github"}.hook(), Delivery{
					Header: http.Header{"Content-Type": {"application/json"}, "X-Github-Event": {event.Name}}, Body: body, At: noon,
				})
				text := fmt.Sprintf("Subject: %s\n\n%s", m.Content.Subject, m.Content.PlainText)
				if !seen[text] {
					fmt.Fprintf(&read, "=== example %d\n%s\n", i+1, text)
				}
				seen[text] = true
			}
			golden(t, filepath.Join("github", event.Name+".txt"), read.String())
		})
	}
}

// readable is the one message that d becomes, if nothing in it is odd to a reader.
func readable(t *testing.T, h Hook, d Delivery) Message {
	t.Helper()
	all, err := h.Messages(t.Context(), d)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d messages, %v", len(all), err)
	}
	m := all[0]
	if m.Fault != nil {
		t.Errorf("the template failed: %v", m.Fault)
	}
	if _, err := check.New().Message(&m.Message, noon); err != nil {
		t.Errorf("the message is refused: %v", err)
	}
	for _, odd := range []string{"<no value>", "map[", " : ", "[]", "()", "  ", "#:", "# "} {
		if strings.Contains(m.Content.Subject, odd) {
			t.Errorf("the subject %q has %q in it", m.Content.Subject, odd)
		}
	}
	if strings.HasSuffix(m.Content.Subject, ":") || strings.HasSuffix(m.Content.Subject, "] ") {
		t.Errorf("the subject ends early: %q", m.Content.Subject)
	}
	shown := shownText(t, m.Content.HTML)
	for line := range strings.Lines(m.Content.PlainText) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, ": ") || strings.Contains(line, "<no value>") || strings.Contains(line, "map[") {
			t.Errorf("the text has the line %q", line)
		}
		_, of, _ := strings.Cut(line, ": ")
		if webAddress(of) == "" && !strings.Contains(shown, of) {
			t.Errorf("the HTML does not say %q", of)
		}
	}
	return m
}

// golden compares what people have read once.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file) //nolint:gosec // a test's own file
	if err != nil || string(want) != got {
		t.Errorf("%s says otherwise (%v); -update writes it anew. Got:\n%s", file, err, got)
	}
}

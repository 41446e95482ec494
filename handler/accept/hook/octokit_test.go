package hook

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/posthorn/posthorn/handler/test/require"
)

// octokit is where npm puts @octokit/webhooks-examples (MIT): payloads of each of
// GitHub's events.
const octokit = "../../test/clients/node_modules/@octokit/webhooks-examples/api.github.com/index.json"

var update = flag.Bool("update", false, "write the golden files anew")

// emoji are colons, which mustRead takes for what stands after nothing.
var emoji = regexp.MustCompile(`:(\+1|bug):`)

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
				body = emoji.ReplaceAll(body, []byte("$1"))
				all, err := sample{builtin: "github"}.hook().Messages(t.Context(), Delivery{
					Header: http.Header{"Content-Type": {"application/json"}, "X-Github-Event": {event.Name}}, Body: body, At: noon,
				})
				if err != nil || len(all) != 1 {
					t.Fatalf("%d messages, %v", len(all), err)
				}
				m := all[0]
				mustRead(t, m)
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

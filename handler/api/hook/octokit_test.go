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

// octokit is where npm puts @octokit/webhooks-examples (MIT): payloads of each event of
// GitHub and of GitHub Enterprise Server.
const octokit = "../../test/clients/node_modules/@octokit/webhooks-examples"

var update = flag.Bool("update", false, "write the golden files anew")

// emoji are colons, which mustRead takes for what stands after nothing.
var emoji = regexp.MustCompile(`:(\+1|bug):`)

// examples are the payloads of each event, all of them.
func examples(t *testing.T) map[string][][]byte {
	t.Helper()
	files, err := filepath.Glob(octokit + "/*/index.json")
	if err != nil {
		t.Fatal(err)
	}
	if files == nil {
		require.Missing(t, require.Clients)
	}
	all := map[string][][]byte{}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var events []struct {
			Name     string
			Examples []json.RawMessage
		}
		if err := json.Unmarshal(source, &events); err != nil {
			t.Fatal(err)
		}
		for _, event := range events {
			for _, body := range event.Examples {
				all[event.Name] = append(all[event.Name], emoji.ReplaceAll(body, []byte("$1")))
			}
		}
	}
	return all
}

// What GitHub's own examples become is kept for people to read: a file an event, in
// which what reads the same stands once.
func TestGitHubsExamplesReadWell(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("all of them take a quarter of a minute")
	}
	all := examples(t)
	if len(all) < 64 {
		t.Fatalf("%d events", len(all))
	}
	for event, bodies := range all {
		t.Run(event, func(t *testing.T) {
			t.Parallel()
			var read bytes.Buffer
			seen := map[string]bool{}
			for i, body := range bodies {
				all, err := sample{builtin: "github"}.hook().Messages(t.Context(), Delivery{
					Header: http.Header{"Content-Type": {"application/json"}, "X-Github-Event": {event}}, Body: body, At: noon,
				})
				if err != nil || len(all) != 1 {
					t.Fatalf("%d messages, %v", len(all), err)
				}
				m := all[0]
				text := fmt.Sprintf("Subject: %s\n\n%s", m.Content.Subject, m.Content.PlainText)
				if seen[text] {
					continue
				}
				seen[text] = true
				mustRead(t, m)
				fmt.Fprintf(&read, "=== example %d\n%s\n", i+1, text)
			}
			golden(t, filepath.Join("github", event+".txt"), read.String())
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
	want, err := os.ReadFile(file)
	if err != nil || string(want) != got {
		t.Errorf("%s says otherwise (%v); -update writes it anew. Got:\n%s", file, err, got)
	}
}

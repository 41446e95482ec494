package main

import (
	"os"
	"strings"
	"testing"
)

// An endpoint that is not Azure's gets no token, wherever it was read.
func TestNoTokenGoesToAForeignEndpoint(t *testing.T) {
	t.Parallel()
	const foreignACS = "https://post.communication.azure.com.evil.example"
	for _, c := range []struct{ name, setting, value, words string }{
		{"connect", acsEndpoint, foreignACS, "connect"},
		{"connect, and storage", tableEndpoint, "https://posthornx.table.core.windows.net.evil.example", "connect"},
		{"connect, and a computer beside", queueEndpoint, "https://evil.example", "connect"},
		{"a command on callers", blobEndpoint, "https://evil.example", "callers list"},
		{"a command with the key", tableEndpoint, "https://evil.example", "callers rotate shop"},
		{"a command on messages", queueEndpoint, "https://evil.example", "messages list"},
		{"a command of the Resource Manager", acsEndpoint, foreignACS, "domain list"},
		{"a message straight to ACS", acsEndpoint, foreignACS, "send-test ann@example.com --direct --sender shop@example.com"},
		{"the doctor", tableEndpoint, "https://evil.example", "doctor"},
		{"a probe", acsEndpoint, foreignACS, "doctor --probe --only P9"},
		{"a probe of the queue", queueEndpoint, "https://evil.example", "doctor --probe --only P14"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, file := unconnected(t)
			if _, said, code := w.run(t, "connect"); code != 0 {
				t.Fatal(said)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if c.words != "connect" {
				if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), w.settings[c.setting], c.value)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			w.settings[c.setting] = c.value
			w.SetSettings(testSite, w.settings)
			before := len(w.Requests())
			out, said, code := w.run(t, strings.Fields(c.words)...)
			if code != exitFailed || out != "" || !strings.Contains(said, c.setting) || !strings.Contains(said, "No token is sent there") {
				t.Errorf("exit code %d, %q, %q", code, out, said)
			}
			for _, r := range w.Requests()[before:] {
				if c.words != "connect" || strings.Contains(r.Path, "evil.example") {
					t.Errorf("%s %s was asked", r.Method, r.Path)
				}
			}
			if now, err := os.ReadFile(file); err != nil || c.words == "connect" && string(now) != string(text) {
				t.Errorf("the connection is now %s, %v", now, err)
			}
		})
	}
}

// The same holds for an environment that has all settings.
func TestNoTokenGoesToAForeignEndpointOfTheEnvironment(t *testing.T) {
	t.Parallel()
	all := map[string]string{
		blobEndpoint: "https://a.blob.localhost:1", tableEndpoint: "https://a.table.localhost:1", queueEndpoint: "https://a.queue.localhost:1", acsEndpoint: "http://127.0.0.1:1",
	}
	for name := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTestDeployment(t)
			w.environ = []string{"POSTHORN_PUBLIC_URL=https://posthorn.azurewebsites.net", "POSTHORN_MASTER_KEY=" + secretKey}
			for n, value := range all {
				if n == name {
					value = "https://evil.example"
				}
				w.environ = append(w.environ, n+"="+value)
			}
			out, said, code := w.run(t, "callers", "list")
			if code != exitFailed || out != "" || !strings.Contains(said, name+` names the host "evil.example"`) {
				t.Errorf("exit code %d, %q, %q", code, out, said)
			}
		})
	}
}

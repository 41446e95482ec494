package test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/test/world"
)

// testJavaScript sends with @azure/communication-email as its users do: nothing
// but the connection string is Posthorn's.
func (p *product) testJavaScript(t *testing.T) {
	if _, err := os.Stat("clients/node_modules/@azure/communication-email"); err != nil {
		const missing = "the clients are not installed: run `make setup`"
		if os.Getenv("POSTHORN_TEST_REQUIRE_CLIENTS") == "1" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	w := newHouse(t, p, world.Options{})
	got := w.sendByClient(t, world.Message(world.Attached("canary.txt", []byte("canary-content"))))
	if got.Status != "Succeeded" || got.ID == "" {
		t.Errorf("the client says %+v", got)
	}
	if m := w.ACS.Message(t); m.Subject != world.Subject || len(m.Attachments) != 1 || m.Attachments[0].Size != int64(len("canary-content")) {
		t.Errorf("arrived as %+v", m)
	}
	refused := w.sendByClient(t, world.Message(world.With("senderAddress", "canary-other@example.com")))
	if refused.StatusCode != http.StatusForbidden || refused.Code != "Forbidden" || !strings.Contains(refused.Message, "/senderAddress: The rule `senders`") {
		t.Errorf("the client says %+v", refused)
	}
	invalid := w.sendByClient(t, world.Message(world.To("nobody")))
	if invalid.StatusCode != http.StatusBadRequest || !strings.Contains(invalid.Message, "/recipients/to/0/address: ") {
		t.Errorf("the client says %+v", invalid)
	}
}

// said is what the client tells the program that uses it.
type said struct {
	ID, Status          string
	Name, Code, Message string
	StatusCode          int
}

func (w *house) sendByClient(t *testing.T, message string) said {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", "send.mjs")
	cmd.Dir = "clients"
	cmd.Env = append(os.Environ(), "CONNECTION_STRING="+w.Connection)
	cmd.Stdin = strings.NewReader(message)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, complaint.String())
	}
	var s said
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return s
}

package test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/test/world"
)

// official is ACS's own client, which has a connection string for a key.
var official = client{
	name: "@azure/communication-email", run: byConnectionString,
	whole: `{"senderAddress":"canary-sender@example.com","content":{"subject":"canary-subject","plainText":"canary-text","html":"<p>canary-text</p>"},
		"recipients":{"to":[{"address":"canary-recipient@example.net","displayName":"Ann canary"},{"address":"canary-second@example.net"}],
		"cc":[{"address":"canary-cc@example.net"}],"bcc":[{"address":"canary-bcc@example.net"}]},"replyTo":[{"address":"canary-reply@example.com"}],"headers":{"X-Canary":"canary-header"},
		"attachments":[{"name":"logo.png","contentType":"image/png","contentId":"logo","contentInBase64":"IMAGE"},{"name":"canary.txt","contentType":"text/plain","contentInBase64":"FILE"}]}`,
	large:       world.Message(world.With("attachments", []any{map[string]any{"name": "canary.bin", "contentType": "application/octet-stream", "contentInBase64": "FILE"}})),
	later:       world.Message(world.With("delivery", map[string]any{"sendAt": "LATER"})),
	refuse:      world.Message(world.With("delivery", map[string]any{"whenBusy": "refuse"})),
	badAddress:  world.Message(world.To("canary-recipient@example.net", "canary nobody")),
	otherSender: world.Message(world.With("senderAddress", "canary-other@example.com")),
	place:       "/recipients/to/1/address: ",
	badKey:      "The HMAC signature was not accepted",
}

// testJavaScript sends with @azure/communication-email as its users do: nothing
// but the connection string is Posthorn's.
func (p *product) testJavaScript(t *testing.T) {
	w := newDeployment(t, p, world.Options{})
	w.expectWhole(t, official)
	w.expectLinkAndLater(t, official)
	w.expectRefusals(t, official)
	for to, code := range map[string]string{"suppressed": "EmailDroppedAllRecipientsSuppressed", "failed": "EmailDropped"} {
		said := official.run(t, w, w.Key, []string{world.Message(world.To(to + "@example.net"))})[0]
		if said.Name == "" || !strings.Contains(said.Message, code+".") {
			t.Errorf("%s: the client's poller says %+v", to, said)
		}
	}
}

// byConnectionString sends messages with the official client. A key that is not the
// deployment's own stands for a connection string that is not either.
func byConnectionString(t *testing.T, w *deployment, key string, messages []string) []clientSaid {
	t.Helper()
	requireClients(t)
	connection := w.Connection
	if key != w.Key {
		connection = "endpoint=" + w.URL + "/;accesskey=" + base64.StdEncoding.EncodeToString([]byte(key))
	}
	var all []clientSaid
	for _, m := range messages {
		all = append(all, w.sendByClient(t, connection, m))
	}
	return all
}

func (w *deployment) sendByClient(t *testing.T, connection, message string) clientSaid {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", "send.mjs")
	cmd.Dir = "clients"
	cmd.Env = append(os.Environ(), "CONNECTION_STRING="+connection)
	cmd.Stdin = strings.NewReader(message)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, complaint.String())
	}
	var s clientSaid
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return s
}

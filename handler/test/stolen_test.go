package test

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/test/world"
	"github.com/posthorn/posthorn/handler/wiring"
)

// A reader of all tables has no key and no secret of a sender. What messages say, to whom they
// go and their links stand in the contents of queued messages and dead letters alone.
func (p *product) testStolenTables(t *testing.T) {
	w := newDeployment(t, &product{p.Anew(t)}, world.Options{})
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(stripeSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	path, _ := w.hooked(t, "grafana", "grafana", "--check", "key")
	w.hooked(t, "stripe", "stripe", "--secret-file", file)
	linked := func(m map[string]any) { m["attachments"].([]any)[0].(map[string]any)["placement"] = "link" }
	w.MustSend(t, world.Message(world.Attached("sent.bin", []byte("canary-file")), linked), "Idempotency-Key", "canary-idempotency")
	token := anyAddress.FindString(w.ACS.Message(t).Text)
	w.MustSend(t, world.Message(later(time.Hour), world.Attached("report.bin", []byte("canary-file")), linked))
	if a := w.deliver(t, path, `{"title":"canary-payload"}`); a.StatusCode != http.StatusAccepted {
		t.Errorf("%s %s", a.Status, a.Body)
	}
	dead := w.MustSend(t, world.Message(later(soon), world.To("400+canary-dead@example.net")))
	w.PlayHost(t, 5*time.Second)
	w.awaitState(t, dead.ID, "failed")

	_, access, _ := strings.Cut(w.Connection, "accesskey=")
	_, hookKey, _ := strings.Cut(path, "key=")
	secrets := map[string]string{
		"the caller's key": w.Key, "its MAC": w.Key[len(w.Key)-64:], "the access key": access, "the hook's key": hookKey, "a sender's secret": stripeSecret,
		"a recipient": world.Recipient, "another": "400+canary-dead", "a subject": world.Subject, "a text": world.Text, "a payload": "canary-payload", "an idempotency key": "canary-idempotency",
		"the token of a link": token[strings.LastIndexByte(token, '/')+1:],
	}
	// The contents of messages stand in rows of their own, and hold no key.
	keys := []string{"the caller's key", "its MAC", "the access key", "the hook's key", "a sender's secret"}
	found, contents := 0, 0
	for _, table := range []string{
		wiring.CallersTable, wiring.HooksTable, wiring.RecordsTable, wiring.LinksTable, wiring.QueueTable, wiring.DeadLettersTable, wiring.QuotaTable,
	} {
		for _, row := range w.RowsOf(t, table) {
			found++
			content := world.IsContent(row)
			if content {
				contents++
			}
			for what, secret := range secrets {
				if content && !slices.Contains(keys, what) {
					continue
				}
				for form, text := range map[string]string{
					"itself": secret, "in Base64": base64.StdEncoding.EncodeToString([]byte(secret)), "in hex": hex.EncodeToString([]byte(secret)),
				} {
					if strings.Contains(row, text) && !(table == wiring.HooksTable && what == "a recipient") { // a hook's own recipients are its policy
						t.Errorf("%s has %s, %s:\n%s", table, what, form, row)
					}
				}
			}
		}
	}
	if blobs := w.BlobsIn(t, wiring.MessagesContainer); found < 10 || contents != 2 || blobs != 0 {
		t.Errorf("%d rows, %d messages and %d blobs were there to be looked at", found, contents, blobs)
	}
}

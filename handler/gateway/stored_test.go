package gateway_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// Whatever passes check can be stored: the record, the links and the letter of a message
// whose every member is as large as it may be, and takes most room where it is kept.
func TestWhateverPassesCheckCanBeStored(t *testing.T) {
	t.Parallel()
	pieces := []string{"&", "<", "ä", "😀", "'", "a", "%", "~", "\u200d", "=?"}
	rapid.Check(t, func(rt *rapid.T) {
		piece := func(name string, bytes int) string {
			of := rapid.SampledFrom(pieces).Draw(rt, name)
			return strings.Repeat(of, bytes/len(of))
		}
		name := piece("name", mail.MaxAttachmentNameBytes-6)
		if strings.ContainsAny(name, "<?") {
			name = strings.Repeat("&", mail.MaxAttachmentNameBytes-6)
		}
		var files []map[string]any
		for i := range rapid.IntRange(1, mail.MaxAttachments).Draw(rt, "files") {
			files = append(files, map[string]any{
				"name": fmt.Sprintf("x%s%03dx", name, i), "contentType": "text/plain", "placement": "link", "contentInBase64": "YQ==",
			})
		}
		var tags []map[string]any
		for i := range mail.MaxTags {
			tags = append(tags, map[string]any{"name": strings.Repeat("n", mail.MaxTagBytes-1) + fmt.Sprint(i), "value": piece("tag", mail.MaxTagBytes)})
		}
		delivery := map[string]any{"tags": tags}
		if rapid.Bool().Draw(rt, "waits") {
			delivery["sendAt"] = time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC) // a day in the bubble
		}
		text, _ := json.Marshal(map[string]any{
			"senderAddress": "shop@example.com", "recipients": map[string]any{"to": []any{map[string]any{"address": "ann@example.com", "displayName": piece("display", mail.MaxDisplayNameBytes)}}},
			"content":     map[string]any{"subject": "x" + piece("subject", 200), "plainText": "x"},
			"headers":     map[string]any{"Content-Language": "de-" + strings.Repeat("a-", 30) + "a"},
			"attachments": files, "delivery": delivery,
		})
		synctest.Test(t, func(t *testing.T) {
			h := gatewaytest.New(t, plenty)
			h.MaxACSRequestBytes = 1 << 20
			if _, err := h.Send(t.Context(), request(string(text))); err != nil {
				rt.Errorf("%v, %+v", err, problem.Of(err).Faults)
			}
		})
	})
}

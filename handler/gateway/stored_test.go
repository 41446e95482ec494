package gateway_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/accept/check"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// largest is a message whose every member is as large as check lets it be, full of what
// may take most room where it is kept.
func largest(piece string, waits bool) string {
	full := func(bytes int) string { return strings.Repeat(piece, bytes/len(piece)) }
	name := full(mail.MaxAttachmentNameBytes - len("x000x"))
	if strings.ContainsAny(name, `<"\`) {
		name = strings.Repeat("&", len(name))
	}
	var files, tags []map[string]any
	for i := range mail.MaxAttachments {
		files = append(files, map[string]any{"name": fmt.Sprintf("x%s%03dx", name, i), "contentType": "text/plain", "placement": "link", "contentInBase64": "YQ=="})
	}
	for i := range mail.MaxTags {
		tags = append(tags, map[string]any{"name": full(mail.MaxTagBytes-1) + strconv.Itoa(i), "value": full(mail.MaxTagBytes)})
	}
	delivery := map[string]any{"tags": tags}
	if waits {
		delivery["sendAt"] = time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC) // a day later in a bubble
	}
	text, _ := json.Marshal(map[string]any{
		"senderAddress": "shop@example.com",
		"recipients":    map[string]any{"to": []any{map[string]any{"address": "ann@example.com", "displayName": full(mail.MaxDisplayNameBytes)}}},
		"content":       map[string]any{"subject": full(mail.MaxSubjectBytes-1) + "x", "plainText": "x"},
		"headers":       map[string]any{"Content-Language": "de-" + strings.Repeat("a-", 30) + "a"},
		"attachments":   files, "delivery": delivery,
	})
	return string(text)
}

func TestWhateverPassesCheckCanBeStored(t *testing.T) {
	t.Parallel()
	for _, piece := range []string{"&", "<", `"`, `\`, "ä", "😀", "'", "a", "~", "\u200d"} {
		for _, waits := range []bool{false, true} {
			t.Run(fmt.Sprintf("%+q, waits %t", piece, waits), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					h := gatewaytest.New(t, plenty)
					h.MaxACSRequestBytes, h.Check = 10<<20, check.New()
					answer, err := h.Send(t.Context(), request(largest(piece, waits)))
					if err != nil {
						t.Fatalf("%v, %+v", err, problem.Of(err).Violations)
					}
					if len(answer.Record.Moved) != mail.MaxAttachments {
						t.Errorf("%d links", len(answer.Record.Moved))
					}
				})
			})
		}
	}
}

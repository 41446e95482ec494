package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/deliver/offload"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/problem"
)

// upload puts a file into a new slot of the shop and returns a message with it.
func upload(t *testing.T, h *gatewaytest.Harness) string {
	t.Helper()
	slot, err := h.Slot(t.Context(), gatewaytest.Shop)
	if err != nil {
		t.Fatal(err)
	}
	put, err := http.NewRequestWithContext(t.Context(), http.MethodPut, slot.URL, strings.NewReader("uploaded"))
	if err != nil {
		t.Fatal(err)
	}
	put.Header.Set("x-ms-blob-type", "BlockBlob")
	if res, err := h.Files.RoundTrip(put); err != nil || res.StatusCode != http.StatusCreated {
		t.Fatalf("upload: %v %v", res, err)
	}
	return strings.TrimSuffix(gatewaytest.Small("upload"), "}") +
		`,"attachments":[{"name":"u.bin","contentType":"application/octet-stream","uploadId":"` + slot.ID + `"}]}`
}

// A repeat is known by its id, whatever has become of its upload since.
func TestARepeatAfterItsUploadHasEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		message := upload(t, h)
		send := func(key string) (gateway.Answer, error) {
			req := request(message)
			req.IdempotencyKey = key
			return h.Send(t.Context(), req)
		}
		first, err := send("k")
		if err != nil || len(first.Record.Moved) != 1 {
			t.Fatalf("got %+v, %v", first, err)
		}
		time.Sleep(offload.SlotLife + 2*offload.SlotGrace)
		if err := h.CleanUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		again, err := send("k")
		if err != nil || !again.Replayed || again.Record.ID != first.Record.ID {
			t.Errorf("the repeat got %+v, %v", again, err)
		}
		if _, err := send("l"); !problem.Is(err, problem.InvalidMessage) {
			t.Errorf("another request with the upload got %v", err)
		}
		if len(h.ACS.Sent) != 1 || h.Visible(t) != 1 {
			t.Errorf("sent %d, blobs %d", len(h.ACS.Sent), h.Visible(t))
		}
	})
}

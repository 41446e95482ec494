package bench

import (
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/posthorn/posthorn/handler/test/world"
)

// uploadBytes are far more than a request may have.
const uploadBytes = 1000 * mb

// BenchmarkUploadSlot uploads 1 GB into a slot, sends a message that names it, and
// fetches it through the link.
func BenchmarkUploadSlot(b *testing.B) {
	p := world.NewProduct(b)
	p.OpenStorage(b)
	var growth float64
	for b.Loop() {
		w := world.New(b, p, world.Options{})
		w.MustSend(b, world.Message(world.With("content", map[string]string{"subject": "canary before", "plainText": world.Text})))
		before := w.Handler.PeakBytes(b)

		id := uploadToSlot(b, w, file(1, uploadBytes))
		w.MustSend(b, world.Message(world.With("attachments", []any{map[string]string{
			"name": "file.bin", "contentType": "application/octet-stream", "uploadId": id,
		}})))
		newest := w.ACS.Messages(b)[0]
		if download(b, w, fileLink.FindString(newest.Text)) != sum(b, file(1, uploadBytes)) {
			b.Error("the file that comes back is not the one that was uploaded")
		}
		growth = max(growth, float64(w.Handler.PeakBytes(b)-before)/mib)
	}
	report(b, figure{name: "growth of memory by an upload of 1 GB", unit: "MiB", value: growth, goal: goal{atMost: 8}})
}

func uploadToSlot(b *testing.B, w *world.World, content io.Reader) (id string) {
	b.Helper()
	a := w.Do(b, http.MethodPost, "/attachments", nil)
	if a.StatusCode != http.StatusCreated {
		b.Fatalf("%s: %s", a.Status, a.Body)
	}
	var slot struct {
		ID, URL  string
		MaxBytes int64
	}
	if err := json.Unmarshal(a.Body, &slot); err != nil {
		b.Fatal(err)
	}
	if slot.MaxBytes < uploadBytes {
		b.Fatalf("a slot takes %d bytes", slot.MaxBytes)
	}
	c, err := blockblob.NewClientWithNoCredential(slot.URL, &blockblob.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: w.Recipients},
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := upload(b.Context(), c, blocksOf(b, content)); err != nil {
		b.Fatal(err)
	}
	return slot.ID
}

// blocksOf reads r block by block; each is the caller's to keep.
func blocksOf(b *testing.B, r io.Reader) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for {
			block := make([]byte, blockBytes)
			n, err := io.ReadFull(r, block)
			if n > 0 && !yield(block[:n]) || err == io.EOF || err == io.ErrUnexpectedEOF {
				return
			}
			if err != nil {
				b.Error(err)
				return
			}
		}
	}
}

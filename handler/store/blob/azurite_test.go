package blob_test

import (
	"crypto/rand"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"github.com/posthorn/posthorn/handler/local/azurite/azuritetest"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/blob"
	"github.com/posthorn/posthorn/handler/store/storetest"
)

func TestOnAzurite(t *testing.T) {
	t.Parallel()
	azure := azuritetest.Start(t)
	open := func(t *testing.T, now func() time.Time, sum blob.Checksum) *blob.Container {
		t.Helper()
		c, err := blob.Open(azure.Blob, strings.ToLower(rand.Text()), azure.Credential, now,
			blob.Options{Client: &service.ClientOptions{ClientOptions: azure.Options}, Checksum: sum})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, sum := range []blob.Checksum{blob.CRC64, blob.MD5} {
		t.Run("contract with "+string(sum), func(t *testing.T) {
			t.Parallel()
			storetest.Blobs(t, func(t *testing.T) (storetest.Container, *http.Client) {
				t.Helper()
				return open(t, time.Now, sum), azure.Client
			})
		})
	}
	t.Run("a signed URL that has ended is refused", func(t *testing.T) {
		t.Parallel()
		anHourAgo := func() time.Time { return time.Now().Add(-time.Hour) }
		c := open(t, anHourAgo, blob.CRC64)
		if err := c.Commit(t.Context(), "b", 0, store.BlobHeaders{}); err != nil {
			t.Fatal(err)
		}
		for span, want := range map[time.Duration]int{59 * time.Minute: http.StatusForbidden, 65 * time.Minute: http.StatusOK} {
			signed, err := c.SignRead(t.Context(), "b", anHourAgo(), anHourAgo().Add(span))
			if err != nil {
				t.Fatal(err)
			}
			response, err := azure.Client.Get(signed)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != want {
				t.Errorf("%s: status %d, want %d", span, response.StatusCode, want)
			}
			if err := response.Body.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

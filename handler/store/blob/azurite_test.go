package blob_test

import (
	"crypto/rand"
	"errors"
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
	t.Run("a stranger's lease and snapshots keep no blob", func(t *testing.T) {
		t.Parallel()
		c := open(t, time.Now, blob.MD5)
		signed, err := c.SignWrite(t.Context(), "b", time.Now().Add(-time.Minute), time.Now().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range []struct {
			query   string
			headers map[string]string
		}{
			{"", map[string]string{"X-Ms-Blob-Type": "BlockBlob"}},
			{"&comp=snapshot", nil},
			{"&comp=lease", map[string]string{"X-Ms-Lease-Action": "acquire", "X-Ms-Lease-Duration": "-1"}},
		} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, signed+call.query, strings.NewReader(""))
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range call.headers {
				request.Header.Set(name, value)
			}
			response, err := azure.Client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != http.StatusCreated {
				t.Errorf("%q: status %d, want 201", call.query, response.StatusCode)
			}
			if err := response.Body.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := c.Seal(t.Context(), "b", store.BlobHeaders{}); err != nil {
			t.Errorf("seal: %v", err)
		}
		if err := c.Delete(t.Context(), "b"); err != nil {
			t.Errorf("delete: %v", err)
		}
		if _, err := c.Size(t.Context(), "b"); !errors.Is(err, store.ErrMissing) {
			t.Errorf("size: %v, want ErrMissing", err)
		}
	})
	t.Run("a signed URL that has ended is refused", func(t *testing.T) {
		t.Parallel()
		anHourAgo := func() time.Time { return time.Now().Add(-time.Hour) }
		c := open(t, anHourAgo, blob.CRC64)
		if err := c.Commit(t.Context(), "b", 0, store.BlobHeaders{}); err != nil {
			t.Fatal(err)
		}
		for span, want := range map[time.Duration]int{59 * time.Minute: http.StatusForbidden, 65 * time.Minute: http.StatusOK} {
			signed, err := c.SignRead(t.Context(), "b", store.BlobHeaders{}, anHourAgo(), anHourAgo().Add(span))
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

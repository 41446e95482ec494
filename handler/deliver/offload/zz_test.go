package offload

import (
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"github.com/posthorn/posthorn/handler/local/azurite/azuritetest"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/blob"
)

func TestZZ(t *testing.T) {
	azure := azuritetest.Start(t)
	c, err := blob.Open(azure.Blob, strings.ToLower(rand.Text()), azure.Credential, time.Now, blob.Options{Client: &service.ClientOptions{ClientOptions: azure.Options}, Checksum: blob.MD5})
	if err != nil {
		t.Fatal(err)
	}
	data := noise(1, 75_000_000)
	s := newSetting()
	s.config.Blobs = c
	for round := range 5 {
		for _, conc := range []int{1, 2, 3, 4} {
			name := rand.Text()
			began := time.Now()
			sem := make(chan struct{}, conc)
			var wg sync.WaitGroup
			n := 0
			for i := 0; i < len(data); i += BlockBytes {
				chunk := data[i:min(len(data), i+BlockBytes)]
				sem <- struct{}{}
				wg.Add(1)
				go func(n int) {
					defer wg.Done()
					defer func() { <-sem }()
					if err := c.Stage(t.Context(), name, n, chunk); err != nil {
						t.Error(err)
					}
				}(n)
				n++
			}
			wg.Wait()
			if err := c.Commit(t.Context(), name, n, store.BlobHeaders{}); err != nil {
				t.Fatal(err)
			}
			t.Logf("round %d plain conc %d: %.0f MB/s", round, conc, 75/time.Since(began).Seconds())
		}
		began := time.Now()
		in := s.Intake(100_000_000, mail.MaxACSRequestBytes)
		if err := in.Attachment(t.Context(), 0, mail.Attachment{}, bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		if err := in.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		st := in.streamed(0)
		if err := c.Commit(t.Context(), st.blob, st.blocks, store.BlobHeaders{}); err != nil {
			t.Fatal(err)
		}
		t.Logf("round %d intake: %.0f MB/s", round, 75/time.Since(began).Seconds())
		in.Close()
	}
	_ = md5.Size
}

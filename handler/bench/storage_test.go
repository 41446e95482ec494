package bench

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/posthorn/posthorn/handler/local/azurite/azuritetest"
	"github.com/posthorn/posthorn/handler/test/world"
)

// large lets requests of 100 MB in, and gives many at once the time they need.
var large = world.Options{Settings: []string{
	"POSTHORN_HOST_MAX_REQUEST_BYTES=" + strconv.Itoa(maxRequestBytes), "POSTHORN_MAX_REQUEST_BYTES=" + strconv.Itoa(maxRequestBytes),
	"POSTHORN_MEMORY_MB=490", "POSTHORN_REQUEST_TIMEOUT=120s",
}}

// uploadRounds is how often each side uploads in turn, so that what else the machine
// does meets both.
const uploadRounds = 40

// BenchmarkIntoStorage sends 100 MB to the handler, whose file of 75 MB goes to
// Azurite, and uploads the same file from memory with nothing but the Azure SDK.
//
// The 100 MB are a file, which the kernel sends by itself: a client that copies
// would take time of the processors that the handler and Azurite share with it.
func BenchmarkIntoStorage(b *testing.B) {
	p := world.NewProduct(b)
	p.OpenStorage(b)
	w := world.New(b, p, large)
	w.MustSend(b, world.Message()) // opens connections and makes tables
	content := make([]byte, largeBytes)
	if _, err := io.ReadFull(file(1, largeBytes), content); err != nil {
		b.Fatal(err)
	}
	message := filepath.Join(b.TempDir(), "message.json")
	if err := os.WriteFile(message, wholeBody(b, 1), 0o600); err != nil {
		b.Fatal(err)
	}
	files := newContainer(b, p)

	var through, alone usage
	uploads := 0
	for b.Loop() {
		for range uploadRounds {
			uploads++
			start := time.Now()
			c := files.NewBlockBlobClient("file-" + strconv.Itoa(uploads))
			if err := upload(b.Context(), c, slices.Chunk(content, blockBytes)); err != nil {
				b.Fatal(err)
			}
			alone.each = append(alone.each, time.Since(start))

			start = time.Now()
			if err := deliverFile(b.Context(), w, message); err != nil {
				b.Fatal(err)
			}
			through.each = append(through.each, time.Since(start))
		}
	}
	rate := func(u usage) float64 { return float64(largeBytes) / u.median().Seconds() / mb }
	report(b, figure{
		name: "75 MB of a request into Azurite", unit: "MB/s", value: rate(through),
		baseline: rate(alone), of: "the SDK alone", goal: goal{atLeast: 0.9},
	})
}

func newContainer(b *testing.B, p *world.Product) *container.Client {
	b.Helper()
	c, err := container.NewClient(p.Storage.Blob+"/bench", azuritetest.Credential{}, &container.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: p.Recipients},
	})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := c.Create(b.Context(), nil); err != nil {
		b.Fatal(err)
	}
	return c
}

// upload stages blocks, two at a time, each with its MD5, and commits them.
func upload(ctx context.Context, c *blockblob.Client, blocks iter.Seq[[]byte]) error {
	var ids []string
	turn := make(chan error, 2)
	turn <- nil
	turn <- nil
	for block := range blocks {
		if err := <-turn; err != nil {
			return err
		}
		id := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%06d", len(ids)))
		ids = append(ids, id)
		go func() {
			sum := md5.Sum(block)
			_, err := c.StageBlock(ctx, id, streaming.NopCloser(bytes.NewReader(block)), &blockblob.StageBlockOptions{
				TransactionalValidation: blob.TransferValidationTypeMD5(sum[:]),
			})
			turn <- err
		}()
	}
	if err := errors.Join(<-turn, <-turn); err != nil {
		return err
	}
	_, err := c.CommitBlockList(ctx, ids, nil)
	return err
}

// deliverFile posts a message that is a file, and wants it to be accepted.
func deliverFile(ctx context.Context, w *world.World, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	res, err := deliver(ctx, w, f, info.Size())
	if err == nil && res.StatusCode != http.StatusAccepted {
		err = errors.New(res.Status)
	}
	return err
}

// deliver posts a message as the world's caller. The answer's body is read.
func deliver(ctx context.Context, w *world.World, message io.Reader, length int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL+sendTarget, message)
	if err != nil {
		return nil, err
	}
	req.ContentLength = length
	req.Header.Set("Authorization", "Bearer "+w.Key)
	req.Header.Set("Content-Type", "application/json")
	res, err := w.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res, err
}

package storetest

import (
	"bytes"
	"context"
	"hash"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/limits"
)

// Container is a whole container. Users of blobs declare the part that they need.
type Container interface {
	Checksum() hash.Hash
	Stage(ctx context.Context, name string, n int, block, sum []byte) error
	Commit(ctx context.Context, name string, blocks int, h store.BlobHeaders) error
	Put(ctx context.Context, name string, data []byte) error
	Read(ctx context.Context, name string) ([]byte, error)
	Delete(ctx context.Context, name string) error
	List(ctx context.Context, prefix, marker string, n int) (found []store.Blob, next string, err error)
	Size(ctx context.Context, name string) (int64, error)
	Seal(ctx context.Context, name string, h store.BlobHeaders) (int64, error)
	SignRead(ctx context.Context, name string, h store.BlobHeaders, from, until time.Time) (string, error)
	SignWrite(ctx context.Context, name string, from, until time.Time) (string, error)
}

func stage(ctx context.Context, c Container, name string, n int, block []byte) error {
	return c.Stage(ctx, name, n, block, sum(c, block))
}

func sum(c Container, block []byte) []byte {
	h := c.Checksum()
	_, _ = h.Write(block) // never fails
	return h.Sum(nil)
}

// Blobs checks a container. The client that open returns is a stranger's: it
// reaches signed URLs and has no credential.
func Blobs(t *testing.T, open func(*testing.T) (Container, *http.Client)) {
	for name, check := range map[string]func(*testing.T, Container, *http.Client){
		"a container that was never used is empty":          emptyContainer,
		"a signed URL gives the blob and its headers":       download,
		"staged blocks cannot be read":                      uncommitted,
		"a block that is staged again replaces the first":   restage,
		"a block that was damaged on the way is refused":    damaged,
		"a block is the caller's again after stage":         reuseBlock,
		"a blob that is there is not committed again":       commitTwice,
		"a commit needs all its blocks":                     missingBlock,
		"a blob of no blocks is empty":                      noBlocks,
		"a signed URL only reads, one blob, for a while":    narrowURL,
		"a URL that cannot hold its promise is not signed":  refusedURL,
		"a URL says how the blob is shown":                  forcedHeaders,
		"what was staged goes with a commit of nothing":     commitNothing,
		"a deleted blob is gone and its name is free":       deleteBlob,
		"a list is in order, by prefix, page by page":       listBlobs,
		"a list goes on where it has stopped":               listBlobsMeanwhile,
		"a cancelled call is unavailable":                   cancelledBlob,
		"what a container cannot hold is refused by itself": refusedBlobs,
		"a blob that is put whole is read whole":            putRead,
		"a blob that is there is not put again":             putTwice,
		"data is the caller's again after put and read":     notSharedBlob,
		"only what is committed is read":                    readCommitted,
		"a size is told of what is committed":               size,
		"a stranger uploads at once":                        uploadAtOnce,
		"a stranger uploads in blocks":                      uploadInBlocks,
		"a URL that writes does nothing else":               narrowUpload,
		"a sealed blob is as it was, under our headers":     seal,
		"a sealed blob can be deleted":                      deleteSealed,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, client := open(t)
			check(t, c, client)
		})
	}
}

var octets = store.BlobHeaders{
	ContentType:        "application/octet-stream",
	ContentDisposition: `attachment; filename="report.pdf"; filename*=UTF-8''gr%C3%BC%C3%9Fe.pdf`,
}

// random returns bytes in which no block looks like another.
func random(n int) []byte {
	source := rand.NewChaCha8([32]byte{1})
	data := make([]byte, n)
	_, _ = source.Read(data) // never fails
	return data
}

func emptyContainer(t *testing.T, c Container, _ *http.Client) {
	found, _, err := c.List(t.Context(), "", "", 10)
	wantErr(t, "list", err, nil)
	if len(found) != 0 {
		t.Errorf("list = %v, want nothing", found)
	}
	wantErr(t, "delete", c.Delete(t.Context(), "b"), store.ErrMissing)
}

func download(t *testing.T, c Container, client *http.Client) {
	data := random(300_000)
	put(t, c, "dir/rep ort+ü%.bin", data[:100_000], data[100_000:200_000], data[200_000:])
	a := fetch(t, client, http.MethodGet, sign(t, c, "dir/rep ort+ü%.bin"))
	if a.status != http.StatusOK || !bytes.Equal(a.body, data) {
		t.Errorf("status %d, %d bytes, equal %t", a.status, len(a.body), bytes.Equal(a.body, data))
	}
	got := store.BlobHeaders{
		ContentType:        a.header.Get("Content-Type"),
		ContentDisposition: a.header.Get("Content-Disposition"),
	}
	if got != octets {
		t.Errorf("headers %+v, want %+v", got, octets)
	}
}

func uncommitted(t *testing.T, c Container, client *http.Client) {
	wantErr(t, "stage", stage(t.Context(), c, "b", 0, random(10)), nil)
	if a := fetch(t, client, http.MethodGet, sign(t, c, "b")); a.status != http.StatusNotFound {
		t.Errorf("status %d, want 404", a.status)
	}
	found, _, err := c.List(t.Context(), "", "", 10)
	wantErr(t, "list", err, nil)
	if len(found) != 0 {
		t.Errorf("list = %v, want nothing", found)
	}
}

func damaged(t *testing.T, c Container, _ *http.Client) {
	data := random(1_000)
	before := sum(c, data)
	data[500] ^= 1
	wantErr(t, "stage", c.Stage(t.Context(), "b", 0, data, before), store.ErrUnavailable)
	wantErr(t, "commit", c.Commit(t.Context(), "b", 1, octets), store.ErrMissing)
}

func restage(t *testing.T, c Container, client *http.Client) {
	data := random(30)
	wantErr(t, "stage", stage(t.Context(), c, "b", 0, data[:10]), nil)
	put(t, c, "b", data[10:20], data[20:])
	wantBlob(t, c, client, data[10:])
}

func reuseBlock(t *testing.T, c Container, client *http.Client) {
	data := random(2_000)
	block := make([]byte, 1_000)
	copy(block, data)
	wantErr(t, "stage", stage(t.Context(), c, "b", 0, block), nil)
	copy(block, data[1_000:])
	wantErr(t, "stage", stage(t.Context(), c, "b", 1, block), nil)
	clear(block)
	wantErr(t, "commit", c.Commit(t.Context(), "b", 2, octets), nil)
	wantBlob(t, c, client, data)
}

func commitTwice(t *testing.T, c Container, client *http.Client) {
	data := random(20)
	put(t, c, "b", data[:10])
	wantErr(t, "stage", stage(t.Context(), c, "b", 0, data[10:]), nil)
	wantErr(t, "second commit", c.Commit(t.Context(), "b", 1, octets), store.ErrExists)
	wantBlob(t, c, client, data[:10])
}

func missingBlock(t *testing.T, c Container, client *http.Client) {
	wantErr(t, "stage", stage(t.Context(), c, "b", 0, random(10)), nil)
	wantErr(t, "commit", c.Commit(t.Context(), "b", 2, octets), store.ErrMissing)
	if a := fetch(t, client, http.MethodGet, sign(t, c, "b")); a.status != http.StatusNotFound {
		t.Errorf("status %d, want 404", a.status)
	}
}

func noBlocks(t *testing.T, c Container, client *http.Client) {
	put(t, c, "b")
	wantBlob(t, c, client, nil)
}

func narrowURL(t *testing.T, c Container, client *http.Client) {
	data := random(10)
	put(t, c, "b", data)
	put(t, c, "other", data)
	signed := sign(t, c, "b")
	now := time.Now()
	early, err := c.SignRead(t.Context(), "b", store.BlobHeaders{}, now.Add(10*time.Minute), now.Add(20*time.Minute))
	wantErr(t, "sign", err, nil)
	longer, err := c.SignRead(t.Context(), "b", store.BlobHeaders{}, now, now.Add(time.Hour))
	wantErr(t, "sign", err, nil)
	for name, u := range map[string]struct{ method, url string }{
		"write":           {http.MethodPut, signed},
		"delete":          {http.MethodDelete, signed},
		"another blob":    {http.MethodGet, strings.Replace(signed, "/b?", "/other?", 1)},
		"longer":          {http.MethodGet, with(t, signed, "se", query(t, longer).Get("se"))},
		"no signature":    {http.MethodGet, with(t, signed, "sig", "")},
		"before its time": {http.MethodGet, early},
	} {
		if a := fetch(t, client, u.method, u.url); a.status != http.StatusForbidden {
			t.Errorf("%s: status %d, want 403", name, a.status)
		}
	}
	wantBlob(t, c, client, data)
}

func refusedURL(t *testing.T, c Container, _ *http.Client) {
	now := time.Now()
	for name, span := range map[string][2]time.Duration{
		"over already":      {-time.Hour, -time.Second},
		"ends first":        {time.Hour, time.Minute},
		"longer than a key": {0, limits.LongestSigned + time.Minute},
	} {
		_, err := c.SignRead(t.Context(), "b", store.BlobHeaders{}, now.Add(span[0]), now.Add(span[1]))
		wantRefused(t, name, err)
		_, err = c.SignWrite(t.Context(), "b", now.Add(span[0]), now.Add(span[1]))
		wantRefused(t, name+", to write", err)
	}
	_, err := c.SignRead(t.Context(), "b", store.BlobHeaders{}, now, now.Add(limits.LongestSigned))
	wantErr(t, "the longest", err, nil)
}

func deleteBlob(t *testing.T, c Container, client *http.Client) {
	data := random(20)
	put(t, c, "b", data[:10])
	wantErr(t, "delete", c.Delete(t.Context(), "b"), nil)
	wantErr(t, "second delete", c.Delete(t.Context(), "b"), store.ErrMissing)
	if a := fetch(t, client, http.MethodGet, sign(t, c, "b")); a.status != http.StatusNotFound {
		t.Errorf("status %d, want 404", a.status)
	}
	put(t, c, "b", data[10:])
	wantBlob(t, c, client, data[10:])
}

// forcedHeaders: whatever the blob's own are, and whatever a stranger changes.
func forcedHeaders(t *testing.T, c Container, client *http.Client) {
	wantErr(t, "stage", stage(t.Context(), c, "b", 0, random(10)), nil)
	wantErr(t, "commit", c.Commit(t.Context(), "b", 1, store.BlobHeaders{ContentType: "text/html", ContentDisposition: "inline"}), nil)
	now := time.Now()
	signed, err := c.SignRead(t.Context(), "b", octets, now.Add(-time.Minute), now.Add(10*time.Minute))
	wantErr(t, "sign", err, nil)
	a := fetch(t, client, http.MethodGet, signed)
	if a.status != http.StatusOK || a.header.Get("Content-Type") != octets.ContentType || a.header.Get("Content-Disposition") != octets.ContentDisposition {
		t.Errorf("status %d, headers %v", a.status, a.header)
	}
	if a := fetch(t, client, http.MethodGet, with(t, signed, "rsct", "text/html")); a.status != http.StatusForbidden {
		t.Errorf("changed: status %d, want 403", a.status)
	}
}

// commitNothing: then none of the blocks is there any more, and the name is free.
func commitNothing(t *testing.T, c Container, _ *http.Client) {
	wantErr(t, "stage", stage(t.Context(), c, "b", 0, random(10)), nil)
	wantErr(t, "commit of nothing", c.Commit(t.Context(), "b", 0, octets), nil)
	wantErr(t, "delete", c.Delete(t.Context(), "b"), nil)
	wantErr(t, "commit of what was let go", c.Commit(t.Context(), "b", 1, octets), store.ErrMissing)
	put(t, c, "b", random(10))
	wantErr(t, "commit of nothing over a blob", c.Commit(t.Context(), "b", 0, octets), store.ErrExists)
}

func cancelledBlob(t *testing.T, c Container, _ *http.Client) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantCancelled(t, "stage", stage(ctx, c, "b", 0, random(10)))
	wantCancelled(t, "commit", c.Commit(ctx, "b", 0, octets))
	wantCancelled(t, "delete", c.Delete(ctx, "b"))
	_, _, err := c.List(ctx, "", "", 10)
	wantCancelled(t, "list", err)
	now := time.Now()
	_, err = c.SignRead(ctx, "b", store.BlobHeaders{}, now, now.Add(time.Minute))
	wantCancelled(t, "sign", err)
	_, err = c.SignWrite(ctx, "b", now, now.Add(time.Minute))
	wantCancelled(t, "sign", err)
	_, err = c.Size(ctx, "b")
	wantCancelled(t, "size", err)
	_, err = c.Seal(ctx, "b", octets)
	wantCancelled(t, "seal", err)
	wantCancelled(t, "put", c.Put(ctx, "b", random(10)))
	_, err = c.Read(ctx, "b")
	wantCancelled(t, "read", err)
}

func refusedBlobs(t *testing.T, c Container, _ *http.Client) {
	wantRefused(t, "empty block", stage(t.Context(), c, "b", 0, nil))
	wantRefused(t, "negative block", stage(t.Context(), c, "b", -1, random(1)))
	wantRefused(t, "block 50,000", stage(t.Context(), c, "b", limits.BlobBlocks, random(1)))
	wantRefused(t, "50,001 blocks", c.Commit(t.Context(), "b", limits.BlobBlocks+1, octets))
	wantRefused(t, "too much to put", c.Put(t.Context(), "b", make([]byte, limits.WholeBytes+1)))
}

func put(t *testing.T, c Container, name string, blocks ...[]byte) {
	t.Helper()
	for n, block := range blocks {
		wantErr(t, "stage", stage(t.Context(), c, name, n, block), nil)
	}
	wantErr(t, "commit", c.Commit(t.Context(), name, len(blocks), octets), nil)
}

func sign(t *testing.T, c Container, name string) string {
	t.Helper()
	now := time.Now()
	signed, err := c.SignRead(t.Context(), name, store.BlobHeaders{}, now.Add(-time.Minute), now.Add(10*time.Minute))
	wantErr(t, "sign", err, nil)
	if !strings.HasPrefix(signed, "https://") {
		t.Errorf("URL is not HTTPS: %s", signed)
	}
	return signed
}

// with is a signed URL whose parameter was changed by a stranger.
func with(t *testing.T, signed, parameter, value string) string {
	t.Helper()
	values := query(t, signed)
	values.Set(parameter, value)
	before, _, _ := strings.Cut(signed, "?")
	return before + "?" + values.Encode()
}

func query(t *testing.T, signed string) url.Values {
	t.Helper()
	u, err := url.Parse(signed)
	wantErr(t, "parse", err, nil)
	return u.Query()
}

// answer is what a stranger gets.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func fetch(t *testing.T, client *http.Client, method, target string) answer {
	t.Helper()
	return upload(t, client, method, target, nil)
}

// upload is fetch with a body, as Put Blob unless the URL says otherwise.
func upload(t *testing.T, client *http.Client, method, target string, data []byte) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, target, bytes.NewReader(data))
	wantErr(t, "request", err, nil)
	request.Header.Set("Content-Type", "text/html")
	if request.URL.Query().Get("comp") == "" {
		request.Header.Set("X-Ms-Blob-Type", "BlockBlob")
	}
	response, err := client.Do(request)
	wantErr(t, method, err, nil)
	body, err := io.ReadAll(response.Body)
	wantErr(t, "read", err, nil)
	wantErr(t, "close", response.Body.Close(), nil)
	return answer{status: response.StatusCode, header: response.Header, body: body}
}

// wantBlob looks at the blob that all checks call b.
func wantBlob(t *testing.T, c Container, client *http.Client, want []byte) {
	t.Helper()
	if a := fetch(t, client, http.MethodGet, sign(t, c, "b")); a.status != http.StatusOK || !bytes.Equal(a.body, want) {
		t.Errorf("status %d, %d bytes %.20x, want %d bytes %.20x", a.status, len(a.body), a.body, len(want), want)
	}
}

package storetest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/store"
)

func size(t *testing.T, c Container, _ *http.Client) {
	_, err := c.Size(t.Context(), "b")
	wantErr(t, "size of nothing", err, store.ErrMissing)
	wantErr(t, "stage", stage(t.Context(), c, "b", 0, random(10)), nil)
	_, err = c.Size(t.Context(), "b")
	wantErr(t, "size of what is staged", err, store.ErrMissing)
	_, err = c.Seal(t.Context(), "b", octets)
	wantErr(t, "seal of what is staged", err, store.ErrMissing)
	put(t, c, "b", random(10), random(20))
	wantSize(t, c, 30)
}

func uploadAtOnce(t *testing.T, c Container, client *http.Client) {
	signed := signWrite(t, c)
	for _, n := range []int{1_000, 3_000} { // a second try replaces the first
		data := random(n)
		if a := upload(t, client, http.MethodPut, signed, data); a.status != http.StatusCreated {
			t.Fatalf("status %d, want 201: %.200s", a.status, a.body)
		}
		wantSize(t, c, int64(n))
		wantBlob(t, c, client, data)
	}
}

func uploadInBlocks(t *testing.T, c Container, client *http.Client) {
	signed := signWrite(t, c)
	data := random(2_000)
	ids := make([]string, 2)
	for n := range ids {
		ids[n] = base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "block %d", n))
		target := signed + "&comp=block&blockid=" + url.QueryEscape(ids[n])
		if a := upload(t, client, http.MethodPut, target, data[n*1_000:][:1_000]); a.status != http.StatusCreated {
			t.Fatalf("block: status %d, want 201: %.200s", a.status, a.body)
		}
	}
	_, err := c.Size(t.Context(), "b")
	wantErr(t, "size before the list", err, store.ErrMissing)
	list := "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList><Latest>" + strings.Join(ids, "</Latest><Latest>") + "</Latest></BlockList>"
	if a := upload(t, client, http.MethodPut, signed+"&comp=blocklist", []byte(list)); a.status != http.StatusCreated {
		t.Fatalf("list: status %d, want 201: %.200s", a.status, a.body)
	}
	wantSize(t, c, 2_000)
	wantBlob(t, c, client, data)
}

func narrowUpload(t *testing.T, c Container, client *http.Client) {
	data := random(10)
	put(t, c, "b", data)
	put(t, c, "other", data)
	signed := signWrite(t, c)
	now := time.Now()
	early, err := c.SignWrite(t.Context(), "b", now.Add(10*time.Minute), now.Add(20*time.Minute))
	wantErr(t, "sign", err, nil)
	for name, u := range map[string]struct{ method, url string }{
		"read":            {http.MethodGet, signed},
		"delete":          {http.MethodDelete, signed},
		"another blob":    {http.MethodPut, strings.Replace(signed, "/b?", "/other?", 1)},
		"with more":       {http.MethodGet, with(t, signed, "sp", "rcw")},
		"no signature":    {http.MethodPut, with(t, signed, "sig", "")},
		"before its time": {http.MethodPut, early},
	} {
		if a := upload(t, client, u.method, u.url, nil); a.status != http.StatusForbidden {
			t.Errorf("%s: status %d, want 403", name, a.status)
		}
	}
	wantBlob(t, c, client, data)
}

func seal(t *testing.T, c Container, client *http.Client) {
	_, err := c.Seal(t.Context(), "b", octets)
	wantErr(t, "seal of nothing", err, store.ErrMissing)
	signed := signWrite(t, c)
	data := random(100)
	upload(t, client, http.MethodPut, signed, data)
	for range 2 {
		n, err := c.Seal(t.Context(), "b", octets)
		wantErr(t, "seal", err, nil)
		if n != 100 {
			t.Errorf("size %d, want 100", n)
		}
	}
	if a := upload(t, client, http.MethodPut, signed, data[:50]); a.status != http.StatusPreconditionFailed {
		t.Errorf("put over a sealed blob: status %d, want 412", a.status)
	}
	list := []byte("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList></BlockList>")
	if a := upload(t, client, http.MethodPut, signed+"&comp=blocklist", list); a.status != http.StatusPreconditionFailed {
		t.Errorf("commit over a sealed blob: status %d, want 412", a.status)
	}
	a := fetch(t, client, http.MethodGet, sign(t, c, "b"))
	got := store.BlobHeaders{ContentType: a.header.Get("Content-Type"), ContentDisposition: a.header.Get("Content-Disposition")}
	if !bytes.Equal(a.body, data) || got != octets {
		t.Errorf("status %d, %d bytes, headers %+v; want all as sealed", a.status, len(a.body), got)
	}
}

func deleteSealed(t *testing.T, c Container, client *http.Client) {
	put(t, c, "b", random(10))
	_, err := c.Seal(t.Context(), "b", octets)
	wantErr(t, "seal", err, nil)
	wantErr(t, "delete", c.Delete(t.Context(), "b"), nil)
	wantErr(t, "second delete", c.Delete(t.Context(), "b"), store.ErrMissing)
	data := random(20)
	upload(t, client, http.MethodPut, signWrite(t, c), data)
	wantBlob(t, c, client, data)
}

func signWrite(t *testing.T, c Container) string {
	t.Helper()
	now := time.Now()
	signed, err := c.SignWrite(t.Context(), "b", now.Add(-time.Minute), now.Add(10*time.Minute))
	wantErr(t, "sign", err, nil)
	if !strings.HasPrefix(signed, "https://") {
		t.Errorf("URL is not HTTPS: %s", signed)
	}
	return signed
}

func wantSize(t *testing.T, c Container, want int64) {
	t.Helper()
	if n, err := c.Size(t.Context(), "b"); err != nil || n != want {
		t.Errorf("size %d, error %v, want %d", n, err, want)
	}
}

package mem

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/limits"
)

// What a signed URL allows, as in a SAS.
const (
	readPermission  = "r"
	writePermission = "cw"
)

// SignRead is as in store/blob. Its URLs work with the Container as the transport
// of an http.Client, and nowhere else.
func (c *Container) SignRead(ctx context.Context, name string, h store.BlobHeaders, from, until time.Time) (string, error) {
	return c.sign(ctx, name, readPermission, h, from, until)
}

// SignWrite is as in store/blob, with URLs like those of SignRead.
func (c *Container) SignWrite(ctx context.Context, name string, from, until time.Time) (string, error) {
	return c.sign(ctx, name, writePermission, store.BlobHeaders{}, from, until)
}

func (c *Container) sign(ctx context.Context, name, allow string, h store.BlobHeaders, from, until time.Time) (signed string, err error) {
	if err := limits.Signed(c.now(), from, until); err != nil {
		return "", err
	}
	err = c.call(ctx, Sign, name, func() error {
		st, se := strconv.FormatInt(from.Unix(), 10), strconv.FormatInt(until.Unix(), 10)
		query := url.Values{"sp": {allow}, "st": {st}, "se": {se}, "sig": {signature(name, allow, st, se, h)}}
		if h != (store.BlobHeaders{}) {
			query.Set("rsct", h.ContentType)
			query.Set("rscd", h.ContentDisposition)
		}
		signed = "https://memory.invalid/" + url.PathEscape(name) + "?" + query.Encode()
		return nil
	})
	if err != nil {
		return "", err
	}
	return signed, nil
}

// RoundTrip implements http.RoundTripper. It knows Get Blob, Put Blob, Put Block
// and Put Block List.
func (c *Container) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		if err := r.Body.Close(); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	name := strings.TrimPrefix(r.URL.Path, "/")
	f, found := c.blobs.get(name)
	switch {
	case !c.allowed(r, name):
		return answer(r, http.StatusForbidden, file{}), nil
	case r.Method == http.MethodPut && f.sealed && r.URL.Query().Get("comp") != "block":
		return answer(r, http.StatusPreconditionFailed, file{}), nil
	case r.Method == http.MethodPut:
		return answer(r, c.put(r.URL.Query(), name, body, r.Header.Get("Content-Type")), file{}), nil
	case !found:
		return answer(r, http.StatusNotFound, file{}), nil
	}
	h := forced(r)
	f.headers = store.BlobHeaders{
		ContentType:        cmp.Or(h.ContentType, f.headers.ContentType),
		ContentDisposition: cmp.Or(h.ContentDisposition, f.headers.ContentDisposition),
	}
	return answer(r, http.StatusOK, f), nil
}

// put is what a stranger may do with a URL of SignWrite.
func (c *Container) put(q url.Values, name string, body []byte, contentType string) (status int) {
	switch q.Get("comp") {
	case "":
		c.blobs.set(name, file{headers: store.BlobHeaders{ContentType: contentType}, data: body})
	case "block":
		c.stage(name, q.Get("blockid"), body)
	case "blocklist":
		var list struct {
			Latest []string `xml:"Latest"`
		}
		if err := xml.Unmarshal(body, &list); err != nil || c.commit(name, list.Latest, store.BlobHeaders{}) != nil {
			return http.StatusBadRequest
		}
	default:
		return http.StatusBadRequest
	}
	return http.StatusCreated
}

func (c *Container) allowed(r *http.Request, name string) bool {
	q := r.URL.Query()
	st, stErr := strconv.ParseInt(q.Get("st"), 10, 64)
	se, seErr := strconv.ParseInt(q.Get("se"), 10, 64)
	now := c.now().Unix()
	needed := map[string]string{http.MethodGet: readPermission, http.MethodPut: writePermission}[r.Method]
	return needed == q.Get("sp") && errors.Join(stErr, seErr) == nil && st <= now && now < se &&
		hmac.Equal([]byte(q.Get("sig")), []byte(signature(name, needed, q.Get("st"), q.Get("se"), forced(r))))
}

func answer(r *http.Request, status int, f file) *http.Response {
	header := http.Header{}
	if status == http.StatusOK {
		header.Set("Content-Type", f.headers.ContentType)
		header.Set("Content-Disposition", f.headers.ContentDisposition)
	}
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(bytes.NewReader(f.data)), ContentLength: int64(len(f.data)),
		Request: r,
	}
}

// forced are the headers that a URL has, whatever those of the blob are.
func forced(r *http.Request) store.BlobHeaders {
	q := r.URL.Query()
	return store.BlobHeaders{ContentType: q.Get("rsct"), ContentDisposition: q.Get("rscd")}
}

// signature has a key that all know: it finds what was tampered with, no more.
func signature(name, allow, st, se string, h store.BlobHeaders) string {
	mac := hmac.New(sha256.New, []byte("memory"))
	fmt.Fprintf(mac, "%q %q %q %q", name, allow, st, se)
	if h != (store.BlobHeaders{}) {
		fmt.Fprintf(mac, " %q", h)
	}
	return hex.EncodeToString(mac.Sum(nil))
}

package mem

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/limits"
)

// Container is a container in memory. It is safe for concurrent use. It is an
// http.RoundTripper too, which answers the URLs that SignRead made.
type Container struct {
	now  func() time.Time
	plan Plan

	mu     sync.Mutex
	staged map[string]map[int][]byte
	blobs  map[string]file
}

type file struct {
	headers store.BlobHeaders
	data    []byte
}

// NewContainer returns an empty container whose service has the clock now.
func NewContainer(now func() time.Time, plan Plan) *Container {
	return &Container{now: now, plan: plan, staged: map[string]map[int][]byte{}, blobs: map[string]file{}}
}

// Stage is as in store/blob.
func (c *Container) Stage(ctx context.Context, name string, n int, block []byte) error {
	if err := limits.Block(n, len(block)); err != nil {
		return err
	}
	return c.call(ctx, Stage, name, func() error {
		if c.staged[name] == nil {
			c.staged[name] = map[int][]byte{}
		}
		c.staged[name][n] = bytes.Clone(block)
		return nil
	})
}

// Commit is as in store/blob.
func (c *Container) Commit(ctx context.Context, name string, blocks int, h store.BlobHeaders) error {
	if err := limits.Blocks(blocks); err != nil {
		return err
	}
	return c.call(ctx, Commit, name, func() error {
		if _, found := c.blobs[name]; found {
			return store.ErrExists
		}
		var data []byte
		for n := range blocks {
			block, found := c.staged[name][n]
			if !found {
				return store.ErrMissing
			}
			data = append(data, block...)
		}
		delete(c.staged, name)
		c.blobs[name] = file{headers: h, data: data}
		return nil
	})
}

// Delete is as in store/blob.
func (c *Container) Delete(ctx context.Context, name string) error {
	return c.call(ctx, Delete, name, func() error {
		if _, found := c.blobs[name]; !found {
			return store.ErrMissing
		}
		delete(c.blobs, name)
		return nil
	})
}

// List is as in store/blob.
func (c *Container) List(ctx context.Context, prefix, after string, n int) (found []store.Blob, err error) {
	err = c.call(ctx, List, prefix, func() error {
		found = nil
		for _, name := range slices.Sorted(maps.Keys(c.blobs)) {
			if len(found) < n && name > after && strings.HasPrefix(name, prefix) {
				found = append(found, store.Blob{Name: name, Size: int64(len(c.blobs[name].data))})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// SignRead is as in store/blob. Its URLs work with the Container as the transport
// of an http.Client, and nowhere else.
func (c *Container) SignRead(ctx context.Context, name string, from, until time.Time) (signed string, err error) {
	if err := limits.Read(c.now(), from, until); err != nil {
		return "", err
	}
	err = c.call(ctx, Sign, name, func() error {
		st, se := strconv.FormatInt(from.Unix(), 10), strconv.FormatInt(until.Unix(), 10)
		query := url.Values{"sp": {"r"}, "st": {st}, "se": {se}, "sig": {signature(name, st, se)}}
		signed = "https://memory.invalid/" + url.PathEscape(name) + "?" + query.Encode()
		return nil
	})
	if err != nil {
		return "", err
	}
	return signed, nil
}

// RoundTrip implements http.RoundTripper.
func (c *Container) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := strings.TrimPrefix(r.URL.Path, "/")
	f, found := c.blobs[name]
	switch {
	case !c.allowed(r, name):
		return answer(r, http.StatusForbidden, file{}), nil
	case !found:
		return answer(r, http.StatusNotFound, file{}), nil
	}
	return answer(r, http.StatusOK, f), nil
}

func (c *Container) allowed(r *http.Request, name string) bool {
	q := r.URL.Query()
	st, stErr := strconv.ParseInt(q.Get("st"), 10, 64)
	se, seErr := strconv.ParseInt(q.Get("se"), 10, 64)
	now := c.now().Unix()
	return r.Method == http.MethodGet && errors.Join(stErr, seErr) == nil && st <= now && now < se &&
		hmac.Equal([]byte(q.Get("sig")), []byte(signature(name, q.Get("st"), q.Get("se"))))
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

// signature has a key that all know: it finds what was tampered with, no more.
func signature(name, st, se string) string {
	mac := hmac.New(sha256.New, []byte("memory"))
	fmt.Fprintf(mac, "%q %q %q", name, st, se)
	return hex.EncodeToString(mac.Sum(nil))
}

func (c *Container) call(ctx context.Context, op Op, key string, act func() error) error {
	return c.plan.run(ctx, op, key, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		return act()
	})
}

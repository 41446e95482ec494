package storetest

import (
	"bytes"
	"net/http"
	"slices"
	"testing"

	"github.com/posthorn/posthorn/handler/store"
)

func putRead(t *testing.T, c Container, _ *http.Client) {
	_, err := c.Read(t.Context(), "b")
	wantErr(t, "read of nothing", err, store.ErrMissing)
	data := random(300_000)
	for name, want := range map[string][]byte{"b": data, "dir/rep ort+ü%.bin": data[:1_000], "empty": {}} {
		wantErr(t, "put "+name, c.Put(t.Context(), name, want), nil)
		wantRead(t, c, name, want)
	}
	found, _, err := c.List(t.Context(), "", "", 10)
	wantErr(t, "list", err, nil)
	if want := []store.Blob{{Name: "b", Size: 300_000}, {Name: "dir/rep ort+ü%.bin", Size: 1_000}, {Name: "empty"}}; !slices.Equal(found, want) {
		t.Errorf("list = %v, want %v", found, want)
	}
	wantErr(t, "delete", c.Delete(t.Context(), "b"), nil)
	_, err = c.Read(t.Context(), "b")
	wantErr(t, "read of what is deleted", err, store.ErrMissing)
	wantErr(t, "put in its place", c.Put(t.Context(), "b", data[:10]), nil)
	wantRead(t, c, "b", data[:10])
}

func putTwice(t *testing.T, c Container, _ *http.Client) {
	data := random(30)
	wantErr(t, "put", c.Put(t.Context(), "b", data[:10]), nil)
	wantErr(t, "second put", c.Put(t.Context(), "b", data[10:20]), store.ErrExists)
	wantErr(t, "stage", stage(t.Context(), c, "b", 0, data[20:]), nil)
	wantErr(t, "commit over it", c.Commit(t.Context(), "b", 1, octets), store.ErrExists)
	wantRead(t, c, "b", data[:10])
	put(t, c, "other", data[10:20])
	wantErr(t, "put over a commit", c.Put(t.Context(), "other", data[:10]), store.ErrExists)
	wantRead(t, c, "other", data[10:20])
}

func notSharedBlob(t *testing.T, c Container, _ *http.Client) {
	want := random(1_000)
	data := bytes.Clone(want)
	wantErr(t, "put", c.Put(t.Context(), "b", data), nil)
	clear(data)
	got, err := c.Read(t.Context(), "b")
	wantErr(t, "read", err, nil)
	clear(got)
	wantRead(t, c, "b", want)
}

func readCommitted(t *testing.T, c Container, _ *http.Client) {
	data := random(2_000)
	wantErr(t, "stage", stage(t.Context(), c, "b", 0, data[:1_000]), nil)
	_, err := c.Read(t.Context(), "b")
	wantErr(t, "read of what is staged", err, store.ErrMissing)
	put(t, c, "b", data[:1_000], data[1_000:])
	wantRead(t, c, "b", data)
}

func wantRead(t *testing.T, c Container, name string, want []byte) {
	t.Helper()
	got, err := c.Read(t.Context(), name)
	wantErr(t, "read "+name, err, nil)
	if !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes %.20x, want %d bytes %.20x", name, len(got), got, len(want), want)
	}
}

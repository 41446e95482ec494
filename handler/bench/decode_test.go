package bench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/mail"
)

// hashing is a sink that keeps nothing but the SHA-256 of the last attachment.
type hashing struct{ sum [sha256.Size]byte }

func (s *hashing) Attachment(_ context.Context, _ int, _ mail.Attachment, content io.Reader) error {
	h := sha256.New()
	_, err := io.Copy(h, content)
	h.Sum(s.sum[:0])
	return err
}

// BenchmarkDecoded posts 100 MB to a server that decodes the file in it and takes
// its SHA-256, and to one that reads and drops the same body.
func BenchmarkDecoded(b *testing.B) {
	want := sum(b, file(1, largeBytes))
	content := wholeBody(b, 1)
	decoding := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sink := &hashing{}
		if _, err := wire.Message(r.Context(), r.Body, sink); err != nil || sink.sum != want {
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	defer decoding.Close()
	dropping := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(io.Discard, r.Body); err != nil || n != int64(len(content)) {
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	defer dropping.Close()

	var decoded, dropped time.Duration
	for b.Loop() {
		decoded += post(b, decoding.URL, content)
		dropped += post(b, dropping.URL, content)
	}
	rate := func(d time.Duration) float64 { return float64(len(content)) * float64(b.N) / d.Seconds() / mb }
	report(b, figure{
		name: "100 MB in, decoded, hashed", unit: "MB/s", value: rate(decoded),
		baseline: rate(dropped), of: "a server that drops the body", goal: goal{atLeast: 0.4},
	})
}

// post says how long it took until the answer.
func post(b *testing.B, address string, content []byte) time.Duration {
	b.Helper()
	start := time.Now()
	res, err := http.Post(address, "application/json", bytes.NewReader(content))
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		b.Fatal(res.Status)
	}
	return time.Since(start)
}

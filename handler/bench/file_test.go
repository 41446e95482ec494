package bench

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/test/world"
)

const (
	mb  = 1_000_000
	mib = 1 << 20
	// largeBytes make a body of 100 MB once they are Base64.
	largeBytes = 75 * mb
	// maxRequestBytes is the most that the Functions host lets through.
	maxRequestBytes = 100 * mib
	// blockBytes is the product's block size, for what is measured beside it.
	blockBytes = 4 * mib
)

// file is random bytes, the same in every run for a number, and nowhere the same
// for two numbers.
func file(number int, size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{byte(number), byte(number >> 8)}), size)
}

func sum(tb testing.TB, r io.Reader) [sha256.Size]byte {
	tb.Helper()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		tb.Fatal(err)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// contentMark stands in a message where the Base64 of a file belongs.
const contentMark = "CONTENT"

// messageWith is the JSON around the Base64 of one file.
func messageWith(subject string) (before, after string) {
	text := world.Message(
		world.With("content", map[string]string{"subject": subject, "plainText": world.Text}),
		world.With("attachments", []any{map[string]string{
			"name": "file.bin", "contentType": "application/octet-stream", "contentInBase64": contentMark,
		}}),
	)
	before, after, _ = strings.Cut(text, contentMark)
	return before, after
}

// body is a message with one file, made while it is read.
func body(subject string, f io.Reader, size int64) (r io.Reader, length int64) {
	before, after := messageWith(subject)
	text := &encoded{r: f, raw: make([]byte, 24<<10)}
	length = int64(len(before)+len(after)) + (size+2)/3*4
	return io.MultiReader(strings.NewReader(before), text, strings.NewReader(after)), length
}

// wholeBody is body in memory, for benchmarks in which making it would count.
func wholeBody(tb testing.TB, number int) []byte {
	tb.Helper()
	r, length := body(world.Subject, file(number, largeBytes), largeBytes)
	whole := make([]byte, length)
	if _, err := io.ReadFull(r, whole); err != nil {
		tb.Fatal(err)
	}
	return whole
}

// encoded is the Base64 of r.
type encoded struct {
	r    io.Reader
	raw  []byte // of a length that 3 divides, so that only the last text is padded
	text []byte
	left []byte // of text
}

func (e *encoded) Read(p []byte) (int, error) {
	if len(e.left) == 0 {
		n, err := io.ReadFull(e.r, e.raw)
		if n == 0 {
			return 0, err
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, err
		}
		e.text = base64.StdEncoding.AppendEncode(e.text[:0], e.raw[:n])
		e.left = e.text
	}
	n := copy(p, e.left)
	e.left = e.left[n:]
	return n, nil
}

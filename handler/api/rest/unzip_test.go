package rest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/posthorn/posthorn/handler/problem"
)

func packed(text []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(text) // a buffer takes all
	_ = w.Close()
	return b.Bytes()
}

func TestUnzipStopsAtItsLimits(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("unzips much, in one goroutine")
	}
	for name, c := range map[string]struct {
		body  io.Reader
		limit int64
		read  int64 // at most
		want  func(error) bool
	}{
		"up to the limit":     {bytes.NewReader(packed(make([]byte, 1000))), 1000, 1000, func(err error) bool { return err == nil }},
		"beyond the limit":    {bytes.NewReader(packed(make([]byte, 1001))), 1000, 1001, isKind(problem.TooLarge)},
		"what grows":          {bytes.NewReader(packed(make([]byte, 100<<20))), 1 << 40, freeBytes + 1<<20, isKind(problem.TooLarge)},
		"what grows, slowly":  {iotest.OneByteReader(bytes.NewReader(packed(make([]byte, 100<<20)))), 1 << 40, freeBytes + 1<<20, isKind(problem.TooLarge)},
		"no gzip":             {strings.NewReader("hello, this is no gzip"), 1000, 0, isKind(problem.MalformedJSON)},
		"nothing":             {strings.NewReader(""), 1000, 0, isKind(problem.MalformedJSON)},
		"something after it":  {io.MultiReader(bytes.NewReader(packed([]byte("a"))), strings.NewReader("b")), 1000, 1, isKind(problem.MalformedJSON)},
		"a broken connection": {iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(packed([]byte("a"))))), 1000, 1, func(err error) bool { return errors.Is(err, iotest.ErrTimeout) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, err := io.Copy(io.Discard, unzip(c.body, c.limit))
			if !c.want(err) || n > c.read {
				t.Errorf("%d bytes, %v", n, err)
			}
		})
	}
}

func isKind(k problem.Kind) func(error) bool {
	return func(err error) bool { return problem.Is(err, k) }
}

// FuzzUnzip holds any body against compress/gzip, and what was packed against what
// comes out.
func FuzzUnzip(f *testing.F) {
	f.Add([]byte("hello"), true)
	f.Add(packed([]byte("hello")), false)
	f.Add(append(packed([]byte("a")), packed([]byte("b"))...), false)
	f.Fuzz(func(t *testing.T, body []byte, pack bool) {
		want := body
		if pack {
			body = packed(body)
		} else if z, err := gzip.NewReader(bytes.NewReader(body)); err != nil {
			want = nil
		} else if want, err = io.ReadAll(z); err != nil {
			want = nil
		}
		got, err := io.ReadAll(unzip(iotest.HalfReader(bytes.NewReader(body)), 1<<20))
		if len(want) > 1<<20 {
			return
		}
		if err != nil && !problem.Is(err, problem.MalformedJSON) && !problem.Is(err, problem.TooLarge) {
			t.Error(err)
		}
		if (pack || want != nil) && (err != nil || !bytes.Equal(got, want)) {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
		if !pack && want == nil && err == nil {
			t.Errorf("%q was taken", body)
		}
	})
}

package rest

import (
	"compress/gzip"
	"errors"
	"io"

	"github.com/posthorn/posthorn/handler/problem"
)

// A body that was compressed may grow to this many times what came, however much
// its limit allows: text grows to a fifth of it, and what does not stop growing is
// an attack. The first freeBytes do not count.
const (
	maxGrowth = 100
	freeBytes = 1 << 20
)

// unzipped is a gzip body as it was before. An error of the gzip is a problem; an
// error of the body comes back as it is.
type unzipped struct {
	body  *tallied
	zip   *gzip.Reader // nil before the first Read
	limit int64
	size  int64
}

func unzip(body io.Reader, limit int64) io.Reader {
	return &unzipped{body: &tallied{r: body}, limit: limit}
}

func (u *unzipped) Read(p []byte) (int, error) {
	if u.zip == nil {
		zip, err := gzip.NewReader(u.body)
		if err != nil {
			return 0, u.explain(err)
		}
		u.zip = zip
	}
	n, err := u.zip.Read(p)
	u.size += int64(n)
	switch {
	case u.size > u.limit:
		return n, problem.New(problem.TooLarge, "The unpacked body is larger than the %d bytes that this caller may send.", u.limit)
	case u.size > freeBytes && u.size > maxGrowth*u.body.size:
		return n, problem.New(problem.TooLarge, "The body grows to more than %d times its size when it is unpacked. Send it uncompressed.", maxGrowth)
	}
	return n, u.explain(err)
}

func (u *unzipped) explain(err error) error {
	switch {
	case err == nil, u.zip != nil && errors.Is(err, io.EOF):
		return err
	case u.body.err != nil && !errors.Is(u.body.err, io.EOF):
		return u.body.err
	}
	return problem.New(problem.MalformedJSON, "The body is not gzip, or is cut off, although Content-Encoding says that it is.")
}

// tallied counts what was read, and keeps what ended it.
type tallied struct {
	r    io.Reader
	size int64
	err  error
}

func (t *tallied) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.size += int64(n)
	if err != nil {
		t.err = err
	}
	return n, err
}

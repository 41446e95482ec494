package blob_test

import (
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/posthorn/posthorn/handler/store"
)

// hasty answers before it has read the body, and hands the body out.
type hasty struct {
	body chan io.Reader
}

func (h hasty) Do(r *http.Request) (*http.Response, error) {
	h.body <- r.Body
	return &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

func TestBlockThatIsStillBeingSentIsTheCallersAgain(t *testing.T) {
	t.Parallel()
	service := hasty{body: make(chan io.Reader, 1)}
	if err := open(t, service).Stage(t.Context(), "b", 0, []byte("block"), make([]byte, 8)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("error %v, want %v", err, store.ErrUnavailable)
	}
	if read, err := io.ReadAll(<-service.body); len(read) > 0 || err == nil {
		t.Errorf("%q could still be read, error %v", read, err)
	}
}

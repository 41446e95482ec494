package blob_test

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/limits"
)

// cutOff promises so many bytes of a blob and sends ten.
type cutOff int64

func (n cutOff) Do(r *http.Request) (*http.Response, error) {
	header := http.Header{"Content-Length": {strconv.FormatInt(int64(n), 10)}}
	body := io.NopCloser(strings.NewReader("ten bytes."))
	return &http.Response{StatusCode: http.StatusOK, Header: header, ContentLength: int64(n), Body: body, Request: r}, nil
}

func TestBlobThatIsNotReadWholeIsNotGivenOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		promised int64
		want     string
		err      error
	}{
		"all of it":             {10, "ten bytes.", nil},
		"the connection breaks": {11, "", store.ErrUnavailable},
	} {
		got, err := open(t, cutOff(c.promised)).Read(t.Context(), "b")
		if string(got) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, error %v, want %q, %v", name, got, err, c.want, c.err)
		}
	}
	_, err := open(t, cutOff(limits.WholeBytes+1)).Read(t.Context(), "b")
	if err == nil || errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "more than") {
		t.Errorf("too large: error %v, want one that says so", err)
	}
}

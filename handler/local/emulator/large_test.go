package emulator

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/local/host"
)

// A client that sends all before it looks is told why a body was too large.
func TestAnErrorArrivesBesideALargeBody(t *testing.T) {
	t.Parallel()
	e, _ := newTest(t, Config{})
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	for name, c := range map[string]struct {
		path   string
		status int
	}{
		"too large":   {sendPath, http.StatusRequestEntityTooLarge},
		"not a route": {"/emails:sent", http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := newCall("POST", server.URL+c.path, strings.Repeat(" ", 60_000_000))
			res, err := host.NewTransport().RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if text, err := io.ReadAll(res.Body); res.StatusCode != c.status || len(text) == 0 || err != nil {
				t.Errorf("got %s %q, %v", res.Status, text, err)
			}
		})
	}
}

package front

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestAnswerBeforeTheEndOfTheBody: who sends on without looking is not cut off, and
// finds the answer afterwards.
func TestAnswerBeforeTheEndOfTheBody(t *testing.T) {
	t.Parallel()
	const size = 16 << 20 // more than the sockets between hold
	patient := func() time.Time { return time.Now().Add(time.Minute) }
	for _, read := range []int64{0, size / 4} {
		t.Run(fmt.Sprintf("after %d bytes", read), func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(lingering(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				_, _ = io.CopyN(io.Discard, req.Body, read)
				writeText(w, http.StatusUnauthorized, "text/plain", []byte("no"))
			}), patient))
			defer server.Close()
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			for _, part := range []string{
				"POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: " + strconv.Itoa(size) + "\r\n\r\n",
				strings.Repeat(" ", size),
			} {
				if _, err := io.WriteString(conn, part); err != nil {
					t.Fatal(err)
				}
			}
			assertAnswer(t, bufio.NewReader(conn))
		})
	}
}

func assertAnswer(t *testing.T, answers *bufio.Reader) {
	t.Helper()
	for {
		res, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode == http.StatusContinue {
			continue
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close() // it is read
		if res.StatusCode != http.StatusUnauthorized || string(text) != "no" || err != nil {
			t.Errorf("got %s %q, %v", res.Status, text, err)
		}
		return
	}
}

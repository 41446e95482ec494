package front

import (
	"io"
	"net/http"
	"time"
)

// lingerTime is net/http's own, for the requests for which it waits.
const lingerTime = 500 * time.Millisecond

// lingering reads on for a moment after an answer that came before the end of the
// body: a connection that is closed with something unread is reset, and the caller
// may lose the answer to that. net/http waits too, but not where the request has
// `Expect: 100-continue` (closedRequestBodyEarly of go1.26), as curl's have that
// carry more than a megabyte.
// Source: RFC 9112, section 9.6.
func lingering(next http.Handler, now func() time.Time) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		next.ServeHTTP(w, req)
		if req.Header.Get("Expect") == "" {
			return
		}
		connection := http.NewResponseController(w)
		if connection.Flush() == nil && connection.SetReadDeadline(now().Add(lingerTime)) == nil {
			_, _ = io.Copy(io.Discard, req.Body) // whatever ends it, it was enough
		}
	})
}

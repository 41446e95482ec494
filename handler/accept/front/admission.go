package front

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
)

// SmallBytes is what a small request needs at most. Large ones, however many and
// however slow, leave a reserve to those.
const SmallBytes = 256 << 10

// Admission is the memory that requests may use together. A request takes its
// share before its body is read, and one that finds too little left is sent away
// at once: it can come back, a process without memory cannot.
type Admission struct {
	common, reserve atomic.Int64 // bytes left
}

// NewAdmission returns a budget of so many bytes for all requests, and a reserve
// for small ones.
func NewAdmission(common, reserve int64) *Admission {
	a := &Admission{}
	a.common.Store(common)
	a.reserve.Store(reserve)
	return a
}

// take returns what gives the share back. Without room it is a problem of kind
// Unavailable.
func (a *Admission) take(bytes int64) (release func(), err error) {
	if bytes <= SmallBytes && takeFrom(&a.reserve, bytes) {
		return func() { a.reserve.Add(bytes) }, nil
	}
	if !takeFrom(&a.common, bytes) {
		p := problem.New(problem.Unavailable, "This instance is busy with other large requests. Nothing was sent. Try again after Retry-After.")
		p.RetryAfter = time.Second
		return nil, p
	}
	return func() { a.common.Add(bytes) }, nil
}

func takeFrom(left *atomic.Int64, bytes int64) bool {
	if left.Add(-bytes) < 0 {
		left.Add(bytes)
		return false
	}
	return true
}

// growingBody is a body of unknown length. It is small until it shows that it is
// not; then it must find room for all that it may become.
type growingBody struct {
	body io.Reader
	grow func() (release func(), err error)

	read    int64
	release func() // nil while the body is small
}

func (g *growingBody) Read(p []byte) (int, error) {
	n, err := g.body.Read(p)
	g.read += int64(n)
	if g.read > SmallBytes && g.release == nil {
		release, growErr := g.grow()
		if growErr != nil {
			return 0, growErr
		}
		g.release = release
	}
	return n, err
}

// close gives back what the body has grown to.
func (g *growingBody) close() {
	if g.release != nil {
		g.release()
	}
}

// A body must make this much progress while it is waited for: 10 kB a second.
const (
	progressBytes = 300_000
	progressTime  = 30 * time.Second
)

// steadyBody gives up on a body that dribbles. Only the time in which the client
// is waited for counts, not that in which storage is.
type steadyBody struct {
	body       io.Reader
	connection *http.ResponseController
	now        func() time.Time
	end        time.Time // of all patience

	got    int           // since progress was last enough
	waited time.Duration // for it
	ended  bool
}

func (s *steadyBody) Read(p []byte) (int, error) {
	if s.ended { // net/http watches the connection now: a deadline would end the request
		return 0, io.EOF
	}
	start := s.now()
	// A writer without deadlines is a test's; it then waits as long as it likes.
	deadline := start.Add(progressTime - s.waited)
	if s.end.Before(deadline) {
		deadline = s.end
	}
	_ = s.connection.SetReadDeadline(deadline)
	n, err := s.body.Read(p)
	s.waited += s.now().Sub(start)
	if s.got += n; s.got >= progressBytes {
		s.got, s.waited = 0, 0
	}
	s.ended = err == io.EOF
	if err == nil || s.ended {
		return n, err
	}
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return n, err // wire's to explain
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return n, problem.New(problem.RequestTimeout, "The body came too slowly: at least %d bytes must arrive in %s. Send it again, faster.", progressBytes, progressTime)
	}
	return n, problem.Wrap(problem.MalformedJSON, "The body ended before it was complete. Send it again whole.", err)
}

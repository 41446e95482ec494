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

// Admission is the memory that requests may use together. A request takes its
// share before its body is read, and one that finds too little left is sent away
// at once: it can come back, a process without memory cannot.
type Admission struct {
	left atomic.Int64
}

// NewAdmission returns a budget of so many bytes.
func NewAdmission(bytes int64) *Admission {
	a := &Admission{}
	a.left.Store(bytes)
	return a
}

// take returns what gives the share back. Without room it is a problem of kind
// Unavailable.
func (a *Admission) take(bytes int64) (release func(), err error) {
	if a.left.Add(-bytes) < 0 {
		a.left.Add(bytes)
		p := problem.New(problem.Unavailable, "This instance is busy with other large requests. Nothing was sent. Try again after Retry-After.")
		p.RetryAfter = time.Second
		return nil, p
	}
	return func() { a.left.Add(bytes) }, nil
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
}

func (s *steadyBody) Read(p []byte) (int, error) {
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
	if err == nil || err == io.EOF {
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

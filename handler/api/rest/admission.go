package rest

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/pool"
	"github.com/posthorn/posthorn/handler/problem"
)

// SmallBytes is what a small request needs at most. Large ones, however many and
// however slow, leave a reserve to those.
const SmallBytes = 256 << 10

// Budget is how much memory requests may use, in bytes.
type Budget struct {
	Common   int64 // for all who have proved who they are
	Reserve  int64 // for their small requests
	Unproven int64 // for bodies that come before a proof
	Forms    int64 // for what is made of forms, which nobody has to prove anything for
}

// Admission is the memory that requests may use together. A request takes its share before
// its body is read, and one that finds too little left is sent away at once: it can come
// back, a process without memory cannot. What strangers send has memory of its own, so that
// they take none from those who have a key.
type Admission struct {
	now      func() time.Time
	unproven *pool.Pool

	mu                     sync.Mutex
	common, reserve, forms tank
}

// NewAdmission divides memory as b says. now is a local clock.
func NewAdmission(b Budget, now func() time.Time) *Admission {
	of := func(bytes int64) tank { return tank{size: bytes, left: bytes, holders: map[string]*holder{}} }
	return &Admission{
		now: now, unproven: pool.New(b.Unproven, now),
		common: of(b.Common), reserve: of(b.Reserve), forms: of(b.Forms),
	}
}

// Unproven is how many bytes are held now for what has proved nothing yet.
func (a *Admission) Unproven() int64 { return a.unproven.Held() }

// take returns what gives the share back. Without room for a caller it is a problem of kind
// Unavailable.
func (a *Admission) take(who string, bytes int64) (release func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if bytes <= SmallBytes && a.reserve.take(who, bytes, now) {
		return a.giveBack(&a.reserve, who, bytes), nil
	}
	if a.common.take(who, bytes, now) {
		return a.giveBack(&a.common, who, bytes), nil
	}
	own := a.common.holders[who].bytes
	p := problem.New(problem.Unavailable, "This instance is busy with other large requests. Nothing was sent. Try again after Retry-After.")
	if a.common.left >= bytes {
		p = problem.New(problem.Unavailable, "This caller's other requests hold %d MB of memory, and other callers need the rest. Nothing was sent. Try again after Retry-After, with fewer requests at once.", own/1_000_000)
	}
	p.RetryAfter = time.Second
	return nil, p
}

// takeForForm is take for what comes of a form. A form that is larger than a small instance
// ever has room for is TooLarge.
func (a *Admission) takeForForm(hook string, bytes int64) (release func(), err error) {
	if bytes > a.forms.size {
		return nil, problem.New(problem.TooLarge, "A form has at most %d bytes here.", a.forms.size/(1+hookMemoryFactor))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.forms.take(hook, bytes, a.now()) {
		return a.giveBack(&a.forms, hook, bytes), nil
	}
	return nil, problem.New(problem.Unavailable, "This instance is busy with other forms. Nothing was sent. Try again after Retry-After.")
}

func (a *Admission) giveBack(t *tank, who string, bytes int64) func() {
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		t.left += bytes
		t.holders[who].bytes -= bytes
	}
}

// aloneTime is how long a caller must have asked for nothing until another one may have all.
const aloneTime = time.Minute

// tank is one part of the memory. A caller that is alone may have all of it, as for a night's
// run of large reports. As soon as another caller wants some, no caller gets more than half.
// What is held is not taken back: it ends with its requests.
type tank struct {
	size, left int64
	holders    map[string]*holder // few: each is a caller, or a hook, that is listed
}

type holder struct {
	bytes int64
	asked time.Time
}

func (t *tank) take(who string, bytes int64, now time.Time) bool {
	h := t.holders[who]
	if h == nil {
		h = &holder{}
		t.holders[who] = h
	}
	h.asked = now
	if t.left < bytes || h.bytes > 0 && h.bytes+bytes > t.size/2 && !t.alone(h, now) {
		return false
	}
	t.left -= bytes
	h.bytes += bytes
	return true
}

func (t *tank) alone(h *holder, now time.Time) bool {
	for _, other := range t.holders {
		if other != h && (other.bytes > 0 || now.Sub(other.asked) < aloneTime) {
			return false
		}
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

const (
	// A body must make this much progress while it is waited for: 10 kB a second.
	progressBytes = 300_000
	progressTime  = 30 * time.Second
	// firstByteTime is when a body must begin whose sender has proved nothing yet.
	firstByteTime = 5 * time.Second
)

// steadyBody gives up on a body that dribbles. Only the time in which the client
// is waited for counts, not that in which storage is.
type steadyBody struct {
	body       io.Reader
	connection pool.Connection
	now        func() time.Time
	end        time.Time // of all patience
	stranger   bool      // must begin soon

	begun  bool
	got    int           // since progress was last enough
	waited time.Duration // for it
	ended  bool
}

// steady is the body of req, of at most limit bytes.
func (a *api) steady(w http.ResponseWriter, req *http.Request, limit int64) *steadyBody {
	return &steadyBody{
		body: http.MaxBytesReader(w, req.Body, limit), connection: http.NewResponseController(w),
		now: a.Now, end: a.Now().Add(a.RequestTimeout),
	}
}

func (s *steadyBody) Read(p []byte) (int, error) {
	if s.ended { // net/http watches the connection now: a deadline would end the request
		return 0, io.EOF
	}
	start := s.now()
	// A writer without deadlines is a test's; it then waits as long as it likes.
	deadline := start.Add(s.patience() - s.waited)
	if s.end.Before(deadline) {
		deadline = s.end
	}
	_ = s.connection.SetReadDeadline(deadline)
	n, err := s.body.Read(p)
	s.waited += s.now().Sub(start)
	s.begun = s.begun || n > 0
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
		if s.stranger && !s.begun {
			return n, problem.New(problem.RequestTimeout, "No byte of the body came within %s. Send it again.", firstByteTime)
		}
		return n, problem.New(problem.RequestTimeout, "The body came too slowly: at least %d bytes must arrive in %s. Send it again, faster.", progressBytes, progressTime)
	}
	return n, problem.Wrap(problem.MalformedJSON, "The body ended before it was complete. Send it again whole.", err)
}

func (s *steadyBody) patience() time.Duration {
	if s.stranger && !s.begun {
		return firstByteTime
	}
	return progressTime
}

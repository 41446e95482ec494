package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

const (
	// maxCrashes within crashWindow of one another end the host, and exitRestart
	// is an exit code that asks for a restart. Source: WorkerConstants.cs,
	// HttpFunctionInvocationDispatcher.cs, WorkerProcess.cs.
	maxCrashes  = 3
	crashWindow = 30 * time.Minute
	exitRestart = 200
	// pingEvery is how often a starting handler is asked whether it answers.
	pingEvery = 25 * time.Millisecond
)

// ErrTooManyCrashes ends a Host; the words are those of the real one.
var ErrTooManyCrashes = errors.New("Exceeded http worker restart retry count. Shutting down Functions Host")

var (
	errClosed = errors.New("the handler has ended with exit code 0 and is not started again")
	errBusy   = errors.New("the handler did not become ready in time")
)

// supervisor keeps one handler running and hands out the one that answers.
type supervisor struct {
	settings settings
	config   Config
	log      *slog.Logger
	client   *http.Client

	mu      sync.Mutex
	current *child        // answers; nil while none does
	down    error         // set when none ever will again
	changed chan struct{} // closed at every change of the two
}

func newSupervisor(s settings, c Config) *supervisor {
	return &supervisor{
		settings: s,
		config:   c,
		log:      c.Log,
		client:   &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
		changed:  make(chan struct{}),
	}
}

// ready returns the child that answers. It waits for one as long as the real
// host does: the first start and three restarts.
func (s *supervisor) ready(ctx context.Context) (*child, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, (maxCrashes+1)*s.settings.initialization, errBusy)
	defer cancel()
	for {
		s.mu.Lock()
		current, down, changed := s.current, s.down, s.changed
		s.mu.Unlock()
		if current != nil || down != nil {
			return current, down
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (s *supervisor) set(current *child, down error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current, s.down = current, down
	close(s.changed)
	s.changed = make(chan struct{})
}

// run starts the handler again and again by the host's rules. It returns nil
// when ctx has ended, and no handler is left then or with an error.
func (s *supervisor) run(ctx context.Context) error {
	var count crashes
	port, err := freePort() // of all runs: what failed in one is sent to the next
	if err != nil {
		s.set(nil, err)
		return err
	}
	for {
		c, err := start(s.settings, s.config, port)
		if err != nil {
			s.set(nil, err)
			return err
		}
		s.log.Info("handler started", "pid", c.cmd.Process.Pid, "port", c.port)
		err = s.watch(ctx, c)
		s.set(nil, nil)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // a handler that was told to end did
		case err == nil:
			s.log.Info("handler restarts")
		case errors.Is(err, errClosed):
			s.log.Error("handler closed", "error", err)
			s.set(nil, err)
			if s.config.Closed != nil {
				s.config.Closed(err)
			}
			<-ctx.Done()
			return nil
		case count.add(time.Now()):
			s.log.Error("handler crashed too often", "error", err)
			s.set(nil, ErrTooManyCrashes)
			return fmt.Errorf("%w: %w", ErrTooManyCrashes, err)
		default:
			s.log.Error("handler crashed, restarting", "error", err)
		}
	}
}

// watch follows one child to its end, which is certain when it returns. Nil
// asks for another that counts as no crash.
func (s *supervisor) watch(ctx context.Context, c *child) error {
	life, end := context.WithCancel(ctx)
	defer end()
	answers := make(chan error, 1)
	go func() { answers <- s.awaitAnswer(life, c) }()
	for {
		select {
		case err := <-answers:
			if err != nil {
				c.kill()
				return err
			}
			s.log.Info("handler ready", "after", time.Since(c.started).Round(time.Millisecond).String())
			s.set(c, nil)
			answers = nil
		case reason := <-c.recycled:
			s.log.Warn("handler killed", "reason", reason)
			c.kill()
			return nil
		case <-ctx.Done():
			c.kill()
			return nil
		case <-c.exited:
			c.kill() // what it started and left behind
			return c.verdict()
		}
	}
}

// awaitAnswer asks GET / until anything at all answers.
func (s *supervisor) awaitAnswer(ctx context.Context, c *child) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.settings.initialization, errBusy)
	defer cancel()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url.String()+"/", http.NoBody)
		if err != nil {
			return err
		}
		resp, err := s.client.Do(r)
		if err == nil {
			return resp.Body.Close()
		}
		if !sleep(ctx, pingEvery) {
			return context.Cause(ctx)
		}
	}
}

// crashes counts those that lie within crashWindow of the one before.
type crashes struct {
	n    int
	last time.Time
}

// add says whether the crash at now is one too many.
func (c *crashes) add(now time.Time) bool {
	if now.Sub(c.last) > crashWindow {
		c.n = 0
	}
	c.n++
	c.last = now
	return c.n >= maxCrashes
}

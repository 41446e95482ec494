// Package host stands in for the Azure Functions host in the local run and in tests. In:
// a directory as it is deployed (host.json, NAME/function.json, the handler).
// Out: the handler, started, watched and restarted by the host's rules; its HTTP
// functions on a listener; its timer and queue functions
// called by the host's JSON protocol.
//
// It shows a handler the traps of the real host: a call that hangs on an empty
// answer, a poison queue, no second start after exit code 0, a SIGKILL without
// warning, bodies that are read before it hears of them, limits that it never sees,
// a path, a host name and headers that are not those that the caller sent. It does not authenticate, scale, keep schedules over a restart, run
// retry policies, fetch extensions or serve outputs other than http. Every client of
// its listener is trusted, POST /admin/functions/NAME included, unless it is another
// site's page: bind it to a loopback address.
//
// Sizes are bytes, schedules UTC. Source: Azure/azure-functions-host, folders
// src/WebJobs.Script.Grpc/Server and src/WebJobs.Script.Rpc/Http.
package host

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/linger"
	"github.com/posthorn/posthorn/handler/local/guard"
)

// StopWait is how long requests under way may take once the host is told to
// stop. Source: HttpFunctionInvocationDispatcher.cs.
const StopWait = 10 * time.Second

// Config is what a Host needs.
type Config struct {
	Dir    string       // holds host.json, NAME/function.json and the handler
	Env    []string     // the handler's whole environment; also resolves %NAME% in bindings
	Output io.Writer    // every line of the handler, those of stderr marked
	Log    *slog.Logger // what the host itself has to say
	// Queue opens the queue called name, without a call. Nil will do while no
	// function is triggered by one.
	Queue func(name string) (Queue, error)
	// StartTime is how long the handler may take to answer; 0: as host.json says.
	StartTime time.Duration
	// Closed, unless nil, is told when the handler has ended with exit code 0, after
	// which the host stays and answers 503.
	Closed func(error)
	// Names are those by which POST /admin/functions/NAME is answered.
	Names guard.Names
}

// Host runs one function app.
type Host struct {
	settings  settings
	functions []function
	handler   *supervisor
	ready     func(context.Context) (*child, error) // the handler that triggers call
	client    *http.Client
	proxy     http.Handler
	queues    []listener
	log       *slog.Logger
	names     guard.Names
}

// New reads the app in c.Dir. Its error is a sentence for the developer who
// laid the app out.
func New(c Config) (*Host, error) {
	s, err := readSettings(c.Dir, c.Env)
	if err != nil {
		return nil, err
	}
	s.initialization = cmp.Or(c.StartTime, s.initialization)
	functions, err := readFunctions(c.Dir, c.Env)
	if err != nil {
		return nil, err
	}
	queues, err := openQueues(functions, c.Queue)
	if err != nil {
		return nil, err
	}
	h := &Host{
		settings:  s,
		functions: functions,
		handler:   newSupervisor(s, c),
		queues:    queues,
		log:       c.Log,
		names:     c.Names,
	}
	h.ready = h.handler.ready
	transport := NewTransport()
	h.client = &http.Client{Transport: transport}
	h.proxy = h.newProxy(transport)
	return h, nil
}

// Serve runs the app on l until ctx ends (then it returns nil) or the handler
// has crashed too often. When it returns, the handler is gone and l is closed.
func (h *Host) Serve(ctx context.Context, l net.Listener) error {
	work, stop := context.WithCancel(ctx)
	defer stop()
	life, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	srv := &http.Server{
		Handler:           linger.Handler(h, linger.Limits{Bytes: 10 * h.settings.maxBody, Time: quietTime, Number: 100}),
		MaxHeaderBytes:    2 * (MaxRequestLineBytes + MaxHeaderBytes), // what is too much is ours to say
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          slog.NewLogLogger(h.log.Handler(), slog.LevelWarn),
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			h.log.Error("listener failed", "error", err)
			stop()
		}
	})
	wg.Go(func() {
		<-work.Done()
		drain(life, srv)
		kill()
	})
	h.listen(work, &wg)
	err := h.handler.run(life)
	kill()
	stop()
	wg.Wait()
	h.client.CloseIdleConnections()
	return err
}

// drain lets requests end for StopWait, or until life is over, then cuts them.
func drain(life context.Context, srv *http.Server) {
	ctx, cancel := context.WithTimeout(life, StopWait)
	defer cancel()
	if srv.Shutdown(ctx) != nil {
		srv.Close()
	}
}

// listen starts what calls the trigger functions.
func (h *Host) listen(ctx context.Context, wg *sync.WaitGroup) {
	for _, f := range h.functions {
		if f.timer != nil {
			wg.Go(func() { h.keepTime(ctx, f) })
		}
	}
	for _, l := range h.queues {
		wg.Go(func() { h.poll(ctx, l.function, l.queue, l.poison) })
	}
}

// newID is a version 4 UUID (RFC 9562 section 5.4).
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, by its documentation
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// sleep waits for d and says whether it was allowed to.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

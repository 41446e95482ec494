// Package trigger answers the calls by which the Functions host runs a timer, queue
// or Event Grid function. In: `POST /<FunctionName>` with
// the host's JSON envelope. Out: one Invocation for the function,
// and its error turned into done, again or give up.
//
// It does no work itself and reads no payload; that is for the function that it
// is given. HTTP triggers never come here: the host proxies them to api/rest.
// No public route can reach a trigger: a test of the templates holds it.
//
// Sizes are bytes, times UTC. Sources: learn.microsoft.com, "Azure Functions
// custom handlers", section Invocation payloads, and, where that page is silent
// or wrong, Azure/azure-functions-host: ScriptInvocationContextExtensions.cs for
// the envelope, DefaultHttpWorkerService.cs for the answer.
package trigger

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
)

const (
	// MaxEnvelopeBytes bounds what is read of a call. The largest that the host
	// sends is an Event Grid event of 1 MB, which stands in it twice, escaped.
	MaxEnvelopeBytes = 4 << 20
	// Deadline ends the work of one call. It is shorter than functionTimeout in
	// host.json, at which the host kills the process with every request in it.
	Deadline = 4 * time.Minute
)

// invocationHeader carries the host's id of this call.
const invocationHeader = "X-Azure-Functions-InvocationId"

// answer goes back on every call, failed ones included. The host waits until
// functionTimeout when a 2xx is empty or null.
const answer = `{"Outputs":{},"Logs":[],"ReturnValue":null}`

// Handler answers the host's calls of the function called name with f.
//
// A nil error is done: 200. A temporary one (see Temporary) is 500: the host
// shows a queue message again and after maxDequeueCount calls moves it to the
// poison queue; a timer waits for its next time. Any other error is logged and
// given up with 200, because to repeat the call would change nothing.
// An envelope that cannot be read is 400, never 200: the host then keeps a
// queue message for the poison queue, where an operator finds it.
func Handler(name string, f func(context.Context, Invocation) error, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		log := log.With("function", name, "invocation", r.Header.Get(invocationHeader))
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			reply(w, http.StatusMethodNotAllowed)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxEnvelopeBytes))
		if err != nil {
			log.Warn("trigger call could not be read", "error", err)
			reply(w, http.StatusBadRequest)
			return
		}
		in, err := parse(body)
		if err != nil {
			log.Error("trigger call has an unknown form", "error", err)
			reply(w, http.StatusBadRequest)
			return
		}
		reply(w, report(log, run(r.Context(), f, in)))
	})
}

// Temporary says whether the same call may succeed later.
func Temporary(err error) bool {
	switch problem.Of(err).Kind {
	case problem.Internal, problem.InProgress, problem.OverQuota, problem.RequestTimeout,
		problem.ACSBusy, problem.ACSFailed, problem.ACSMisconfigured, problem.Unavailable, problem.Paused:
		return true
	default:
		return false
	}
}

// run calls f under Deadline; a panic becomes an error, so that the other
// requests of the process live on.
func run(ctx context.Context, f func(context.Context, Invocation) error, in Invocation) (err error) {
	ctx, cancel := context.WithTimeout(ctx, Deadline)
	defer cancel()
	defer func() {
		if v := recover(); v != nil { // it may quote a message; the stack does not
			err = errors.New("panic at " + string(debug.Stack()))
		}
	}()
	return f(ctx, in)
}

// report logs the outcome of a call and returns its status.
func report(log *slog.Logger, err error) int {
	switch {
	case err == nil:
		log.Info("trigger call done")
		return http.StatusOK
	case Temporary(err):
		log.Warn("trigger call failed, host will repeat it", "error", err)
		return http.StatusInternalServerError
	}
	log.Error("trigger call failed, host will not repeat it", "error", err)
	return http.StatusOK
}

func reply(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	io.WriteString(w, answer) //nolint:errcheck // the host has gone; it will call again
}

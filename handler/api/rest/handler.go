package rest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// InvocationHeader carries the Functions host's id of a call; the host replaces
// what a client sent.
const InvocationHeader = "X-Azure-Functions-InvocationId"

type requestIDKey struct{}

// RequestID is the id under which the request in ctx is logged, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// handler gives a route what all have: id, trace, log line, problem as answer, and
// a panic that harms only its own request.
func (a *api) handler(r route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		start := a.Now()
		id := req.Header.Get(InvocationHeader)
		if len(id) == 0 || len(id) > 64 {
			id = a.NewID()
		}
		ctx := context.WithValue(req.Context(), requestIDKey{}, id)
		ctx = a.Propagator.Extract(ctx, propagation.HeaderCarrier(req.Header))
		ctx, span := a.Tracer.Start(ctx, req.Method+" "+r.path, trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(attribute.String("http.request.method", req.Method), attribute.String("http.route", r.path)))
		defer span.End()

		out := &recorder{ResponseWriter: w, dialect: dialectOf(r.path, req.Header)}
		out.Header().Set("X-Request-Id", id)
		out.Header().Set("X-Content-Type-Options", "nosniff")
		out.Header().Set("Cache-Control", "no-store")
		req = req.WithContext(ctx)
		err := a.serve(r, out, req)
		if err != nil && !out.wrote {
			a.writeProblem(out, req, r.path, err)
		}
		span.SetAttributes(attribute.Int("http.response.status_code", out.status))
		if out.status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
		a.logLine(ctx, req.Method, r.path, out.status, a.Now().Sub(start), err)
	})
}

func (a *api) serve(r route, w http.ResponseWriter, req *http.Request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			// The value may quote a message; the stack does not.
			err = problem.Wrap(problem.Internal, problem.Of(errors.New("")).Detail, errors.New("panic at "+string(debug.Stack())))
		}
	}()
	if !r.body {
		if err := a.noBody(w, req); err != nil {
			return err
		}
	}
	return r.serve(a, w, req)
}

// logLine writes the path's pattern and not the path, which may hold a token.
func (a *api) logLine(ctx context.Context, method, path string, status int, took time.Duration, err error) {
	level := slog.LevelInfo
	attrs := []slog.Attr{
		slog.String("method", method), slog.String("route", path),
		slog.Int("status", status), slog.Int64("ms", took.Milliseconds()),
	}
	if of, ok := errors.AsType[hookError](err); ok {
		attrs = append(attrs, slog.String("hook", of.hook))
		if of.reason != "" {
			attrs = append(attrs, slog.String("reason", of.reason))
		}
	}
	if err != nil {
		attrs = append(attrs, slog.String("problem", problem.Of(err).Kind.Slug()))
		if status >= http.StatusInternalServerError {
			level = slog.LevelError
			attrs = append(attrs, slog.Any("error", errors.Unwrap(problem.Of(err))))
		}
	}
	a.Log.LogAttrs(ctx, level, "request", attrs...)
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	dialect *dialect        // nil is ours
	last    func(*recorder) // adds headers before they go; may be nil
	domain  mail.DomainKind // whose quota the answer tells
	status  int
	wrote   bool
}

func (r *recorder) WriteHeader(status int) {
	r.begin(status)
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	r.begin(http.StatusOK)
	return r.ResponseWriter.Write(p)
}

func (r *recorder) begin(status int) {
	if r.wrote {
		return
	}
	if r.last != nil {
		r.last(r)
	}
	r.status, r.wrote = status, true
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

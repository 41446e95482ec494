package wiring

import (
	"context"
	"io"
	"log/slog"
	"slices"

	"go.opentelemetry.io/otel/trace"

	"github.com/posthorn/posthorn/handler/api/rest"
)

// NewLog writes JSON lines to w, each with the request id and the trace of its
// context. w is standard output: the Functions host calls every line on standard
// error an error.
func NewLog(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(correlated{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}), nil})
}

// correlated holds back what With and WithGroup ask for until a line is written,
// so that the ids stand at the top of the line and never inside a group.
type correlated struct {
	slog.Handler
	asked []func(slog.Handler) slog.Handler
}

func (c correlated) Handle(ctx context.Context, r slog.Record) error {
	if len(c.asked) == 0 {
		line := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
		line.AddAttrs(ids(ctx)...)
		r.Attrs(func(a slog.Attr) bool { line.AddAttrs(a); return true })
		return c.Handler.Handle(ctx, line)
	}
	h := c.Handler.WithAttrs(ids(ctx))
	for _, ask := range c.asked {
		h = ask(h)
	}
	return h.Handle(ctx, r)
}

func ids(ctx context.Context) []slog.Attr {
	var attrs []slog.Attr
	if id := rest.RequestID(ctx); id != "" {
		attrs = append(attrs, slog.String("request_id", id))
	}
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		attrs = append(attrs, slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return attrs
}

func (c correlated) WithAttrs(attrs []slog.Attr) slog.Handler {
	return c.with(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

func (c correlated) WithGroup(name string) slog.Handler {
	return c.with(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (c correlated) with(ask func(slog.Handler) slog.Handler) slog.Handler {
	return correlated{c.Handler, append(slices.Clip(c.asked), ask)}
}

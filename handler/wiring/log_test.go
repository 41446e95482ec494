package wiring

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"testing/slogtest"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/posthorn/posthorn/handler/api/rest"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
)

// requestContext is a context as api/rest makes it.
func requestContext(t *testing.T, header map[string]string) context.Context {
	t.Helper()
	seen := make(chan context.Context, 1)
	api := rest.New(rest.Config{
		Gateway: gatewaytest.New(t, quota.CustomDomainSend).Gateway,
		Public:  &url.URL{}, Now: time.Now, NewID: func() string { return "made here" },
		Log: slog.New(slog.DiscardHandler), Tracer: noop.NewTracerProvider().Tracer(""), Propagator: propagation.TraceContext{},
		Probes: []rest.Probe{{Name: "peep", Check: func(ctx context.Context) error { seen <- ctx; return nil }}},
	})
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil)
	for name, value := range header {
		req.Header.Set(name, value)
	}
	api.ServeHTTP(httptest.NewRecorder(), req)
	return <-seen
}

func TestLogLines(t *testing.T) {
	t.Parallel()
	const ids = `"request_id":"i-1","trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331"`
	ctx := requestContext(t, map[string]string{
		rest.InvocationHeader: "i-1",
		"traceparent":         "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	})
	for _, tt := range []struct {
		name string
		ctx  context.Context
		from func(*slog.Logger) *slog.Logger
		want string // after time and level
	}{
		{"plain", ctx, func(l *slog.Logger) *slog.Logger { return l }, `"msg":"m",` + ids + `,"k":"v"}`},
		{"with attributes", ctx, func(l *slog.Logger) *slog.Logger { return l.With("a", 1).With("b", 2) },
			`"msg":"m",` + ids + `,"a":1,"b":2,"k":"v"}`},
		{"under a group", ctx, func(l *slog.Logger) *slog.Logger { return l.WithGroup("g") },
			`"msg":"m",` + ids + `,"g":{"k":"v"}}`},
		{"attributes around groups", ctx, func(l *slog.Logger) *slog.Logger {
			return l.With("a", 1).WithGroup("g").With("b", 2).WithGroup("h")
		}, `"msg":"m",` + ids + `,"a":1,"g":{"b":2,"h":{"k":"v"}}}`},
		{"no trace", requestContext(t, map[string]string{rest.InvocationHeader: "i-2"}), func(l *slog.Logger) *slog.Logger { return l },
			`"msg":"m","request_id":"i-2","k":"v"}`},
		{"no invocation", requestContext(t, nil), func(l *slog.Logger) *slog.Logger { return l },
			`"msg":"m","request_id":"made here","k":"v"}`},
		{"no request", t.Context(), func(l *slog.Logger) *slog.Logger { return l.WithGroup("g") }, `"msg":"m","g":{"k":"v"}}`},
		{"a trace of our own", trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})),
			func(l *slog.Logger) *slog.Logger { return l },
			`"msg":"m","trace_id":"01000000000000000000000000000000","span_id":"0200000000000000","k":"v"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			log := tt.from(NewLog(&out, slog.LevelInfo))
			log.DebugContext(tt.ctx, "too low")
			log.InfoContext(tt.ctx, "m", "k", "v")
			_, line, _ := bytes.Cut(out.Bytes(), []byte(`"level":"INFO",`))
			if got := string(line); got != tt.want+"\n" {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestLoggersOfOneLoggerDoNotMix(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	parent := NewLog(&out, slog.LevelInfo).With("a", 1).With("b", 2)
	first, second := parent.With("child", "first"), parent.With("child", "second")
	for _, tt := range []struct {
		log  *slog.Logger
		want any
	}{{first, "first"}, {second, "second"}, {parent, nil}} {
		out.Reset()
		tt.log.InfoContext(t.Context(), "m")
		var line map[string]any
		if err := json.Unmarshal(out.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line["child"] != tt.want || line["b"] != 2.0 {
			t.Errorf("got %v, want child %v", line, tt.want)
		}
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		t.Run(level.String(), func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			log := NewLog(&out, level).With("a", 1)
			log.Log(t.Context(), level-1, "below")
			log.Log(t.Context(), level, "at")
			if got := bytes.Count(out.Bytes(), []byte("\n")); got != 1 || !bytes.Contains(out.Bytes(), []byte(`"msg":"at"`)) {
				t.Errorf("got %s", &out)
			}
		})
	}
}

// slogtest holds a handler against the promises of package slog.
func TestHandlerKeepsTheRulesOfSlog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		out.Reset()
		return NewLog(&out, slog.LevelInfo).Handler()
	}, func(t *testing.T) map[string]any {
		t.Helper()
		var line map[string]any
		if err := json.Unmarshal(out.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		return line
	})
}

package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// complaintInterval keeps a destination that cannot be reached from filling the log.
const complaintInterval = time.Minute

// complaint logs that an export failed, once an interval at most.
type complaint struct {
	log *slog.Logger
	now func() time.Time // a local clock

	mu         sync.Mutex
	last       time.Time
	suppressed int
}

func (c *complaint) about(ctx context.Context, err error) {
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); c.last.IsZero() || now.Sub(c.last) >= complaintInterval {
		c.log.WarnContext(ctx, "telemetry export failed, data lost", "error", err, "suppressed", c.suppressed)
		c.last, c.suppressed = now, 0
		return
	}
	c.suppressed++
}

// spanExporter logs errors itself: the SDK would pass them to its global handler,
// which writes to standard error.
type spanExporter struct {
	sdktrace.SpanExporter
	complaint *complaint
}

func (e spanExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	e.complaint.about(ctx, e.SpanExporter.ExportSpans(ctx, spans))
	return nil
}

// metricExporter does the same for metrics.
type metricExporter struct {
	sdkmetric.Exporter
	complaint *complaint
}

func (e metricExporter) Export(ctx context.Context, rm *metricdata.ResourceMetrics) error {
	e.complaint.about(ctx, e.Exporter.Export(ctx, rm))
	return nil
}

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

// complaintInterval keeps a destination that is away from filling the log.
const complaintInterval = time.Minute

// complaint logs that an export failed, once an interval at most.
type complaint struct {
	log *slog.Logger
	now func() time.Time // a local clock

	mu     sync.Mutex
	last   time.Time
	unsaid int
}

func (c *complaint) about(ctx context.Context, err error) {
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); c.last.IsZero() || now.Sub(c.last) >= complaintInterval {
		c.log.WarnContext(ctx, "telemetry is lost", "error", err, "unsaid", c.unsaid)
		c.last, c.unsaid = now, 0
		return
	}
	c.unsaid++
}

// spanExporter complains of errors itself: the SDK would tell its global handler,
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

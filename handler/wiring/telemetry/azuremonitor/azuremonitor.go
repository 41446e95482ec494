// Package azuremonitor sends spans and metrics to Azure Monitor (Application
// Insights). In: what OpenTelemetry's SDK hands to an exporter. Out: envelopes,
// posted to the ingestion endpoint of a connection string.
//
// A server or consumer span becomes a request, any other span a dependency; the
// span's status alone says whether it succeeded, so a 4xx counts as the caller's
// failure and not as ours. Sums, gauges and histograms become metrics. Span
// events, links, status descriptions and logs are not sent.
//
// It batches nothing, keeps nothing on disk and writes no log: the SDK batches,
// what cannot be sent after three tries is lost, and the error says how much. No
// error quotes the instrumentation key or an answer of the service, which may
// quote it.
//
// Sources: the exporters of the Azure SDKs for JavaScript, .NET and Python
// (sdk/monitor), and the schemas under EndpointSpecs of microsoft/ApplicationInsights-Home.
package azuremonitor

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Config says where to send to.
type Config struct {
	// ConnectionString names the Application Insights resource.
	ConnectionString string
	// Credential adds a Microsoft Entra token, for a resource that takes no
	// telemetry on the strength of the key alone. nil sends none.
	Credential azcore.TokenCredential
	// Transport carries the requests. nil is one of the exporters' own.
	Transport http.RoundTripper
}

// SpanExporter sends spans.
type SpanExporter struct{ exporter }

// MetricExporter sends metrics.
type MetricExporter struct{ exporter }

var (
	_ sdktrace.SpanExporter = (*SpanExporter)(nil)
	_ sdkmetric.Exporter    = (*MetricExporter)(nil)
)

// New returns exporters for both signals. It makes no request. The error never
// quotes the connection string.
func New(c Config) (*SpanExporter, *MetricExporter, error) {
	to, err := parse(c.ConnectionString)
	if err != nil {
		return nil, nil, err
	}
	if c.Credential != nil && !to.encrypted() {
		return nil, nil, errors.New("a token would go over an endpoint that is not https")
	}
	if c.Transport == nil {
		c.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, IdleConnTimeout: 90 * time.Second}
	}
	s := &sender{
		connection: to, credential: c.Credential,
		client: &http.Client{Transport: c.Transport, CheckRedirect: sameMethodAndScheme},
	}
	return &SpanExporter{exporter{sender: s}}, &MetricExporter{exporter{sender: s}}, nil
}

// ExportSpans returns an error when any of spans was lost.
func (e *SpanExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	items := make([]envelope, 0, len(spans))
	for _, s := range spans {
		items = append(items, spanEnvelope(s))
	}
	return e.export(ctx, items)
}

// Export returns an error when any data point was lost.
func (e *MetricExporter) Export(ctx context.Context, rm *metricdata.ResourceMetrics) error {
	return e.export(ctx, metricEnvelopes(rm))
}

// Temporality is delta wherever a total can be summed up from changes: Azure
// Monitor adds up what it is sent.
func (*MetricExporter) Temporality(k sdkmetric.InstrumentKind) metricdata.Temporality {
	return sdkmetric.DeltaTemporalitySelector(k)
}

// Aggregation is the SDK's default.
func (*MetricExporter) Aggregation(k sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	return sdkmetric.DefaultAggregationSelector(k)
}

// ForceFlush does nothing, since nothing is held.
func (*MetricExporter) ForceFlush(ctx context.Context) error { return ctx.Err() }

// exporter is what both signals share.
type exporter struct {
	sender *sender
	closed atomic.Bool
}

func (e *exporter) export(ctx context.Context, items []envelope) error {
	if e.closed.Load() {
		return sdkmetric.ErrExporterShutdown
	}
	if len(items) == 0 {
		return nil
	}
	return e.sender.send(ctx, items)
}

// Shutdown ends the exporter. It holds nothing that it could still send.
func (e *exporter) Shutdown(context.Context) error {
	e.closed.Store(true)
	e.sender.client.CloseIdleConnections()
	return nil
}

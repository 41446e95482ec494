// Package telemetry sends spans and metrics where the settings say: by OTLP, to
// Azure Monitor, to both, or nowhere. In: settings. Out: a tracer, a meter and a
// propagator for the rest of the program, which knows OpenTelemetry's API only.
//
// Logs are not its concern: they go to standard output, where the Functions host
// picks them up. It never holds a message, an address or a key.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/posthorn/posthorn/handler/settings"
)

const scope = "github.com/posthorn/posthorn"

// Telemetry is what the program reports through.
type Telemetry struct {
	Tracer     trace.Tracer
	Meter      metric.Meter
	Propagator propagation.TextMapPropagator

	shutdown []func(context.Context) error
}

// New starts the exporters that s asks for. It makes no request; an exporter
// whose server is away loses what it holds and says so in the log.
func New(s settings.Settings, log *slog.Logger) (*Telemetry, error) {
	t := &Telemetry{
		Tracer: tracenoop.NewTracerProvider().Tracer(scope), Meter: metricnoop.NewMeterProvider().Meter(scope),
		Propagator: propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
	}
	if s.OTLPEndpoint == "" {
		return t, nil
	}
	ctx := context.Background()
	spans, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: spans: %w", err)
	}
	metrics, err := otlpmetrichttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: metrics: %w", err)
	}
	res := resource.NewSchemaless(attribute.String("service.name", s.OTelServiceName))
	traces := sdktrace.NewTracerProvider(sdktrace.WithResource(res), sdktrace.WithBatcher(spans))
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithResource(res), sdkmetric.WithReader(sdkmetric.NewPeriodicReader(metrics)))
	t.Tracer, t.Meter = traces.Tracer(scope), meters.Meter(scope)
	t.shutdown = append(t.shutdown, traces.Shutdown, meters.Shutdown)
	return t, nil
}

// Shutdown sends what is still held.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	var errs []error
	for _, f := range t.shutdown {
		errs = append(errs, f(ctx))
	}
	return errors.Join(errs...)
}

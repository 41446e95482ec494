// Package telemetry sends spans and metrics where the settings say: by OTLP, to
// Azure Monitor, to both, or nowhere. In: settings. Out: a tracer, a meter and a
// propagator for the rest of the program, which knows OpenTelemetry's API only.
//
// The OTLP exporters and the SDK read the OTEL_* variables of the process by
// themselves: endpoint, headers, time-outs, the sampler. Without OTEL_TRACES_SAMPLER
// every span is kept: the Functions host may mark its traces as not
// sampled without such a setting (open-telemetry/opentelemetry-js#3057).
//
// It sets no global variable of OpenTelemetry. What an exporter cannot send
// is told to the log given to New; only what the SDK has to say of a malformed
// OTEL_* variable goes to standard error, where OpenTelemetry's global handler
// writes.
//
// Azure Monitor is reached with the instrumentation key, and with a token beside
// it if POSTHORN_AZURE_MONITOR_IDENTITY says so.
//
// Logs are not its concern: they go to standard output, where the Functions host
// picks them up. It never holds a message, an address or a key.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
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
	"github.com/posthorn/posthorn/handler/version"
	"github.com/posthorn/posthorn/handler/wiring/telemetry/azuremonitor"
)

const scope = version.Module

// Telemetry is what the program reports through.
type Telemetry struct {
	Tracer     trace.Tracer
	Meter      metric.Meter
	Propagator propagation.TextMapPropagator

	shutdown []func(context.Context) error
}

// New starts the exporters that s asks for. It makes no request; an exporter
// whose server is away loses what it holds and says so in the log. cred is the
// deployment's identity.
func New(s settings.Settings, cred azcore.TokenCredential, log *slog.Logger) (*Telemetry, error) {
	t := &Telemetry{
		Tracer: tracenoop.NewTracerProvider().Tracer(scope), Meter: metricnoop.NewMeterProvider().Meter(scope),
		Propagator: propagation.TraceContext{}, // no baggage: a stranger would choose what we pass on,
	}
	all, err := destinations(s, cred)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return t, nil
	}
	res := describe(s)
	traceOptions := []sdktrace.TracerProviderOption{sdktrace.WithResource(res)}
	if s.TracesSampler == "" {
		traceOptions = append(traceOptions, sdktrace.WithSampler(sdktrace.AlwaysSample()))
	}
	meterOptions := []sdkmetric.Option{sdkmetric.WithResource(res)}
	for _, d := range all {
		complain := func(what string) *complaint {
			return &complaint{log: log.With("to", d.name, "what", what), now: time.Now}
		}
		spans := sdktrace.NewBatchSpanProcessor(spanExporter{d.spans, complain("spans")})
		metrics := sdkmetric.NewPeriodicReader(metricExporter{d.metrics, complain("metrics")})
		traceOptions = append(traceOptions, sdktrace.WithSpanProcessor(spans))
		meterOptions = append(meterOptions, sdkmetric.WithReader(metrics))
		t.shutdown = append(t.shutdown, spans.Shutdown, metrics.Shutdown)
	}
	t.Tracer = sdktrace.NewTracerProvider(traceOptions...).Tracer(scope)
	t.Meter = sdkmetric.NewMeterProvider(meterOptions...).Meter(scope)
	return t, nil
}

// Shutdown sends what is still held, to all destinations at once, so that one
// which is away does not use up the time of the others.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	errs := make([]error, len(t.shutdown))
	var all sync.WaitGroup
	for i, f := range t.shutdown {
		all.Go(func() { errs[i] = f(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}

type destination struct {
	name    string
	spans   sdktrace.SpanExporter
	metrics sdkmetric.Exporter
}

func destinations(s settings.Settings, cred azcore.TokenCredential) ([]destination, error) {
	var all []destination
	if s.OTLPEndpoint != "" {
		spans, err := otlptracehttp.New(context.Background())
		if err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: spans: %w", err)
		}
		metrics, err := otlpmetrichttp.New(context.Background())
		if err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: metrics: %w", err)
		}
		all = append(all, destination{"otlp", spans, metrics})
	}
	if s.AzureMonitor != "" {
		config := azuremonitor.Config{ConnectionString: s.AzureMonitor}
		if s.AzureMonitorToken {
			config.Credential = cred
		}
		spans, metrics, err := azuremonitor.New(config)
		if err != nil {
			return nil, fmt.Errorf("POSTHORN_AZURE_MONITOR_CONNECTION_STRING: %w", err)
		}
		all = append(all, destination{"azure-monitor", spans, metrics})
	}
	return all, nil
}

// describe names this program. cloud.role is the function app, which the host's
// own telemetry bears too.
func describe(s settings.Settings) *resource.Resource {
	attributes := []attribute.KeyValue{attribute.String("service.name", s.OTelServiceName), attribute.String("service.version", version.String())}
	for _, a := range []struct{ name, value string }{
		{"cloud.role", s.WebsiteSiteName},
		{"service.instance.id", s.WebsiteInstanceID},
	} {
		if a.value != "" {
			attributes = append(attributes, attribute.String(a.name, a.value))
		}
	}
	return resource.NewSchemaless(attributes...)
}

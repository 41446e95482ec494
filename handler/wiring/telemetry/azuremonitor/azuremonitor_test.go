package azuremonitor

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

var program = resource.NewSchemaless(attribute.String("service.name", "posthorn"),
	attribute.String("cloud.role", "func-1"), attribute.String("service.instance.id", "i-9"))

func open(t *testing.T, c Config) (*SpanExporter, *MetricExporter) {
	t.Helper()
	spans, metrics, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return spans, metrics
}

// wantItems compares by JSON, which is what the service sees.
func wantItems(t *testing.T, got []map[string]any, want string) {
	t.Helper()
	var parsed []map[string]any
	if err := json.Unmarshal([]byte(want), &parsed); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, parsed) {
		text, _ := json.MarshalIndent(got, "", " ")
		t.Errorf("got %s\nwant %s", text, want)
	}
}

func TestServerSpanWithChildren(t *testing.T) {
	t.Parallel()
	in := newIngestion(t)
	spans, _ := open(t, in.config())
	at := time.Date(2026, 3, 4, 5, 6, 7, 89_000_000, time.FixedZone("", 3600))
	traceID := trace.TraceID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	id := func(n byte) trace.SpanContext {
		return trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: trace.SpanID{n, 0, 0, 0, 0, 0, 0, n}})
	}
	stubs := tracetest.SpanStubs{
		{
			Name: "POST /emails:send", SpanKind: trace.SpanKindServer, SpanContext: id(1), Parent: id(9), Resource: program,
			StartTime: at, EndTime: at.Add(1234567800 * time.Nanosecond),
			Attributes: []attribute.KeyValue{attribute.String("http.request.method", "POST"), attribute.String("http.route", "/emails:send"), attribute.Int("http.response.status_code", 202)},
		},
		{
			Name: "send", SpanKind: trace.SpanKindClient, SpanContext: id(2), Parent: id(1), Resource: program,
			StartTime: at, EndTime: at.Add(time.Second), Status: sdktrace.Status{Code: codes.Error, Description: "not to be sent"},
			Attributes: []attribute.KeyValue{attribute.String("http.request.method", "POST"), attribute.String("server.address", "acs.example"), attribute.Int("http.response.status_code", 500)},
		},
	}
	if err := spans.ExportSpans(t.Context(), stubs.Snapshots()); err != nil {
		t.Fatal(err)
	}
	requests := in.seen()
	if len(requests) != 1 || requests[0].path != "POST /v2.1/track" || requests[0].authorization != "" {
		t.Fatalf("got %v", requests)
	}
	wantItems(t, requests[0].items, `[
	 {"ver":1,"name":"Microsoft.ApplicationInsights.Request","time":"2026-03-04T04:06:07.0890000Z","sampleRate":100,"iKey":"`+testKey+`",
	  "tags":{"ai.operation.id":"0102030405060708090a0b0c0d0e0f10","ai.operation.parentId":"0900000000000009","ai.operation.name":"POST /emails:send","ai.cloud.role":"func-1","ai.cloud.roleInstance":"i-9"},
	  "data":{"baseType":"RequestData","baseData":{"ver":2,"id":"0100000000000001","name":"POST /emails:send","duration":"0.00:00:01.2345678","success":true,"responseCode":"202","properties":{"http.route":"/emails:send"}}}},
	 {"ver":1,"name":"Microsoft.ApplicationInsights.RemoteDependency","time":"2026-03-04T04:06:07.0890000Z","sampleRate":100,"iKey":"`+testKey+`",
	  "tags":{"ai.operation.id":"0102030405060708090a0b0c0d0e0f10","ai.operation.parentId":"0100000000000001","ai.cloud.role":"func-1","ai.cloud.roleInstance":"i-9"},
	  "data":{"baseType":"RemoteDependencyData","baseData":{"ver":2,"id":"0200000000000002","name":"send","type":"Http","target":"acs.example","duration":"0.00:00:01.0000000","success":false,"resultCode":"500"}}}]`)
}

func TestSpanKinds(t *testing.T) {
	t.Parallel()
	parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	for _, tt := range []struct {
		name           string
		stub           tracetest.SpanStub
		baseType, kind string
	}{
		{"server", tracetest.SpanStub{SpanKind: trace.SpanKindServer}, "RequestData", ""},
		{"consumer", tracetest.SpanStub{SpanKind: trace.SpanKindConsumer}, "RequestData", ""},
		{"producer", tracetest.SpanStub{SpanKind: trace.SpanKindProducer}, "RemoteDependencyData", "Queue Message"},
		{"client of HTTP", tracetest.SpanStub{SpanKind: trace.SpanKindClient, Attributes: []attribute.KeyValue{attribute.String("http.request.method", "PUT")}}, "RemoteDependencyData", "Http"},
		{"client of anything else", tracetest.SpanStub{SpanKind: trace.SpanKindClient}, "RemoteDependencyData", "Dependency"},
		{"internal under a parent", tracetest.SpanStub{SpanKind: trace.SpanKindInternal, Parent: parent}, "RemoteDependencyData", "InProc"},
		{"internal alone", tracetest.SpanStub{SpanKind: trace.SpanKindInternal}, "RemoteDependencyData", "Dependency"},
		{"no kind", tracetest.SpanStub{}, "RemoteDependencyData", "Dependency"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := spanEnvelope(tt.stub.Snapshot())
			if e.Data.BaseType != tt.baseType {
				t.Errorf("got %s, want %s", e.Data.BaseType, tt.baseType)
			}
			if d, ok := e.Data.BaseData.(dependencyData); ok && (d.Type != tt.kind || d.ResultCode != "0") {
				t.Errorf("got type %q and code %q, want %q and 0", d.Type, d.ResultCode, tt.kind)
			}
		})
	}
}

func TestLongValuesAreCut(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 9000)
	e := spanEnvelope(tracetest.SpanStub{
		Name: long, SpanKind: trace.SpanKindServer,
		Attributes: []attribute.KeyValue{attribute.String("url.full", long), attribute.String(long, long)},
	}.Snapshot())
	d := e.Data.BaseData.(requestData)
	if len(d.Name) != maxName || len(d.URL) != maxURL || len(e.Tags["ai.operation.name"]) != maxName {
		t.Errorf("name of %d bytes, URL of %d", len(d.Name), len(d.URL))
	}
	if len(d.Properties[long[:maxPropertyKey]]) != maxPropertyValue {
		t.Errorf("properties %d", len(d.Properties))
	}
}

func TestMetricKinds(t *testing.T) {
	t.Parallel()
	in := newIngestion(t)
	_, metrics := open(t, in.config())
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	set := attribute.NewSet(attribute.String("outcome", "accepted"), attribute.Int("n", 7))
	histogram := metricdata.HistogramDataPoint[float64]{Time: at, Attributes: set, Count: 3, Sum: 6.5, Min: metricdata.NewExtrema(0.5), Max: metricdata.NewExtrema(4.0)}
	points := func(values ...float64) (list []metricdata.DataPoint[float64]) {
		for _, v := range values {
			list = append(list, metricdata.DataPoint[float64]{Time: at, Value: v})
		}
		return list
	}
	rm := &metricdata.ResourceMetrics{Resource: program, ScopeMetrics: []metricdata.ScopeMetrics{{Metrics: []metricdata.Metrics{
		{Name: "sum.int", Data: metricdata.Sum[int64]{DataPoints: []metricdata.DataPoint[int64]{{Time: at, Attributes: set, Value: 42}}}},
		{Name: "sum.float", Data: metricdata.Sum[float64]{DataPoints: points(1.5, math.NaN(), math.Inf(1))}},
		{Name: "gauge.int", Data: metricdata.Gauge[int64]{DataPoints: []metricdata.DataPoint[int64]{{Time: at, Value: -3}}}},
		{Name: "gauge.float", Data: metricdata.Gauge[float64]{DataPoints: points(2.25)}},
		{Name: "histogram.float", Data: metricdata.Histogram[float64]{DataPoints: []metricdata.HistogramDataPoint[float64]{histogram}}},
		{Name: "histogram.int", Data: metricdata.Histogram[int64]{DataPoints: []metricdata.HistogramDataPoint[int64]{{Time: at, Count: 2, Sum: 9}}}},
	}}}}
	if err := metrics.Export(t.Context(), rm); err != nil {
		t.Fatal(err)
	}
	item := func(point, properties string) string {
		return `{"ver":1,"name":"Microsoft.ApplicationInsights.Metric","time":"2026-03-04T05:06:07.0000000Z","sampleRate":100,"iKey":"` + testKey + `",
		"tags":{"ai.cloud.role":"func-1","ai.cloud.roleInstance":"i-9"},"data":{"baseType":"MetricData","baseData":{"ver":2,"metrics":[{"kind":"Aggregation",` + point + `}]` + properties + `}}}`
	}
	const properties = `,"properties":{"outcome":"accepted","n":"7"}`
	wantItems(t, in.seen()[0].items, `[`+strings.Join([]string{
		item(`"name":"sum.int","value":42,"count":1`, properties),
		item(`"name":"sum.float","value":1.5,"count":1`, ""),
		item(`"name":"gauge.int","value":-3,"count":1`, ""),
		item(`"name":"gauge.float","value":2.25,"count":1`, ""),
		item(`"name":"histogram.float","value":6.5,"count":3,"min":0.5,"max":4`, properties),
		item(`"name":"histogram.int","value":9,"count":2`, ""),
	}, ",")+`]`)
}

func TestCountersAreSentAsChangesAndSilenceSendsNothing(t *testing.T) {
	t.Parallel()
	in := newIngestion(t)
	_, metrics := open(t, in.config())
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithResource(program), sdkmetric.WithReader(sdkmetric.NewPeriodicReader(metrics, sdkmetric.WithInterval(time.Hour))))
	counter, err := provider.Meter("").Int64Counter("messages")
	if err != nil {
		t.Fatal(err)
	}
	add := func(n int64) {
		counter.Add(t.Context(), n, metric.WithAttributes(attribute.String("outcome", "accepted")))
	}
	flush := func() {
		if err := provider.ForceFlush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	add(3)
	flush()
	add(4)
	flush()
	flush()
	var values []any
	for _, r := range in.seen() {
		points := r.items[0]["data"].(map[string]any)["baseData"].(map[string]any)["metrics"].([]any)
		values = append(values, points[0].(map[string]any)["value"])
	}
	if !reflect.DeepEqual(values, []any{3.0, 4.0}) {
		t.Errorf("got %v, want 3 and then 4", values)
	}
}

func TestNothingIsSentAfterShutdown(t *testing.T) {
	t.Parallel()
	in := newIngestion(t)
	spans, metrics := open(t, in.config())
	if err := spans.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := spans.ExportSpans(t.Context(), tracetest.SpanStubs{{Name: "late"}}.Snapshots()); !errors.Is(err, sdkmetric.ErrExporterShutdown) {
		t.Errorf("error %v", err)
	}
	if len(in.seen()) != 0 {
		t.Error("a span was sent")
	}
	rm := &metricdata.ResourceMetrics{ScopeMetrics: []metricdata.ScopeMetrics{{Metrics: []metricdata.Metrics{{Name: "m", Data: metricdata.Gauge[int64]{DataPoints: []metricdata.DataPoint[int64]{{}}}}}}}}
	if err := metrics.Export(t.Context(), rm); err != nil || len(in.seen()) != 1 {
		t.Errorf("the other signal: error %v, %d requests", err, len(in.seen()))
	}
	if err := errors.Join(metrics.ForceFlush(t.Context()), metrics.Shutdown(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := metrics.Export(t.Context(), rm); !errors.Is(err, sdkmetric.ErrExporterShutdown) {
		t.Errorf("error %v", err)
	}
}

type credential struct{ err error }

func (c credential) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "for " + strings.Join(o.Scopes, " ")}, c.err
}

func TestEntra(t *testing.T) {
	t.Parallel()
	one := tracetest.SpanStubs{{Name: "one"}}.Snapshots()
	t.Run("a token goes along", func(t *testing.T) {
		t.Parallel()
		in := newIngestion(t)
		c := in.config()
		c.Credential = credential{}
		spans, _ := open(t, c)
		if err := spans.ExportSpans(t.Context(), one); err != nil {
			t.Fatal(err)
		}
		if got := in.seen()[0].authorization; got != "Bearer for https://monitor.azure.com//.default" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("no token, no request, and no word of the credential's", func(t *testing.T) {
		t.Parallel()
		in := newIngestion(t)
		c := in.config()
		c.Credential = credential{errors.New("tenant SECRET")}
		spans, _ := open(t, c)
		err := spans.ExportSpans(t.Context(), one)
		if err == nil || err.Error() != "1 of 1 items are lost: no token from Microsoft Entra" || len(in.seen()) != 0 {
			t.Errorf("error %v, %d requests", err, len(in.seen()))
		}
	})
	t.Run("never in the clear", func(t *testing.T) {
		t.Parallel()
		_, _, err := New(Config{ConnectionString: "InstrumentationKey=" + testKey + ";IngestionEndpoint=http://a.example", Credential: credential{}})
		if err == nil {
			t.Error("a token would have been sent over http")
		}
	})
}

func TestRedirectToAnotherRegion(t *testing.T) {
	t.Parallel()
	region := newIngestion(t)
	for _, tt := range []struct {
		name     string
		answer   answer
		followed bool
	}{
		{"307", answer{status: http.StatusTemporaryRedirect, header: http.Header{"Location": {region.URL + "/v2.1/track"}}}, true},
		{"308", answer{status: http.StatusPermanentRedirect, header: http.Header{"Location": {region.URL + "/v2.1/track"}}}, true},
		{"302, which drops the body", answer{status: http.StatusFound, header: http.Header{"Location": {region.URL + "/v2.1/track"}}}, false},
		{"308 to plain http", answer{status: http.StatusPermanentRedirect, header: http.Header{"Location": {"http://" + region.Listener.Addr().String() + "/v2.1/track"}}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := newIngestion(t, tt.answer)
			spans, _ := open(t, in.config())
			before := len(region.seen())
			err := spans.ExportSpans(t.Context(), tracetest.SpanStubs{{Name: "one"}}.Snapshots())
			if arrived := len(region.seen()) - before; (arrived == 1) != tt.followed || (err == nil) != tt.followed {
				t.Errorf("error %v, %d requests arrived", err, arrived)
			}
		})
	}
}

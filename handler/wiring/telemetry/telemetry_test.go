package telemetry

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/posthorn/posthorn/handler/settings"
)

const testKey = "0fdcec70-1ce5-4085-89d9-9ae8ead9af66"

// collector is a fake of both destinations: it notes what arrived, in words.
type collector struct {
	*httptest.Server
	status int // of every answer

	mu      sync.Mutex
	arrived []string
}

func newCollector(t *testing.T, status int) *collector {
	t.Helper()
	c := &collector{status: status}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	words, err := decode(req)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arrived = append(c.arrived, words...)
	if err != nil {
		c.arrived = append(c.arrived, "unreadable: "+err.Error())
	}
	w.WriteHeader(c.status)
}

func (c *collector) words() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.Sort(c.arrived)
	return c.arrived
}

func decode(req *http.Request) (words []string, err error) {
	body := io.Reader(req.Body)
	if req.Header.Get("Content-Encoding") == "gzip" {
		if body, err = gzip.NewReader(req.Body); err != nil {
			return nil, err
		}
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	switch req.URL.Path {
	case "/v1/traces":
		var m collectortraces.ExportTraceServiceRequest
		err = proto.Unmarshal(raw, &m)
		for _, r := range m.ResourceSpans {
			var name, which string
			for _, a := range r.Resource.Attributes {
				switch a.Key {
				case "service.name":
					name = a.Value.GetStringValue()
				case "service.version":
					which = a.Value.GetStringValue()
				}
			}
			for _, s := range r.ScopeSpans[0].Spans {
				words = append(words, "otlp span "+s.Name+" of "+name+" "+which)
			}
		}
	case "/v1/metrics":
		var m collectormetrics.ExportMetricsServiceRequest
		err = proto.Unmarshal(raw, &m)
		for _, r := range m.ResourceMetrics {
			for _, metric := range r.ScopeMetrics[0].Metrics {
				words = append(words, "otlp metric "+metric.Name)
			}
		}
	case "/v2.1/track":
		var items []struct {
			Tags map[string]string
			Data struct{ BaseType string }
		}
		err = json.Unmarshal(raw, &items)
		for _, i := range items {
			words = append(words, "azure "+i.Data.BaseType+" of "+i.Tags["ai.cloud.role"]+" "+i.Tags["ai.application.ver"])
		}
	default:
		words = []string{"unknown path " + req.URL.Path}
	}
	return words, err
}

// emit reports one span and one metric and ends t.
func emit(t *testing.T, tel *Telemetry) trace.SpanContext {
	t.Helper()
	ctx, span := tel.Tracer.Start(t.Context(), "POST /emails:send", trace.WithSpanKind(trace.SpanKindServer))
	counter, err := tel.Meter.Int64Counter("posthorn.messages")
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(ctx, 1, metric.WithAttributes())
	span.End()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	return span.SpanContext()
}

// The exporters of OTLP read the environment of the process, so this test cannot
// share it.
func TestDestinations(t *testing.T) {
	otlp := []string{"otlp metric posthorn.messages", "otlp span POST /emails:send of posthorn devel"}
	azure := []string{"azure MetricData of func-1 devel", "azure RequestData of func-1 devel"}
	for _, tt := range []struct {
		name        string
		otlp, azure bool
		want        []string
	}{
		{name: "neither"},
		{name: "OTLP", otlp: true, want: otlp},
		{name: "Azure Monitor", azure: true, want: azure},
		{name: "both", otlp: true, azure: true, want: slices.Concat(azure, otlp)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCollector(t, http.StatusOK)
			s := settings.Settings{OTelServiceName: "posthorn", WebsiteSiteName: "func-1", WebsiteInstanceID: "i-9"}
			if tt.otlp {
				s.OTLPEndpoint = c.URL
				t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
			}
			if tt.azure {
				s.AzureMonitor = "InstrumentationKey=" + testKey + ";IngestionEndpoint=" + c.URL
			}
			var log bytes.Buffer
			tel, err := New(s, nil, slog.New(slog.NewTextHandler(&log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			if got := c.words(); len(got) > 0 {
				t.Errorf("New made a request: %q", got)
			}
			span := emit(t, tel)
			if span.IsValid() != (tt.want != nil) {
				t.Errorf("span is valid: %v", span.IsValid())
			}
			if got := c.words(); !slices.Equal(got, tt.want) {
				t.Errorf("arrived %q, want %q", got, tt.want)
			}
			if log.Len() > 0 {
				t.Errorf("log %s", &log)
			}
		})
	}
}

func TestConnectionStringThatIsWrongIsNamedAndNotQuoted(t *testing.T) {
	t.Parallel()
	_, err := New(settings.Settings{AzureMonitor: "InstrumentationKey=SECRET"}, nil, slog.New(slog.DiscardHandler))
	const want = "POSTHORN_AZURE_MONITOR_CONNECTION_STRING: has an InstrumentationKey that is not a UUID"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestWhatIsLostIsToldToTheLogWithoutTheKey(t *testing.T) {
	t.Parallel()
	c := newCollector(t, http.StatusForbidden)
	var log bytes.Buffer
	s := settings.Settings{AzureMonitor: "InstrumentationKey=" + testKey + ";IngestionEndpoint=" + c.URL}
	tel, err := New(s, nil, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	emit(t, tel)
	for _, want := range []string{"to=azure-monitor what=spans", "to=azure-monitor what=metrics", `error="1 of 1 items are lost: status 403"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log does not say %s:\n%s", want, &log)
		}
	}
	if strings.Contains(log.String(), testKey) {
		t.Errorf("log quotes the key:\n%s", &log)
	}
}

func TestTraceOfTheCallerGoesOn(t *testing.T) {
	t.Parallel()
	const traceID = "0af7651916cd43dd8448eb211c80319c"
	for _, tt := range []struct {
		name, flags, sampler string
		sampled              bool
	}{
		{"sampled", "01", "", true},
		{"marked as not sampled, with no sampler chosen", "00", "", true},
		{"marked as not sampled, with a sampler that asks the parent", "00", "parentbased_always_on", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newCollector(t, http.StatusOK)
			s := settings.Settings{AzureMonitor: "InstrumentationKey=" + testKey + ";IngestionEndpoint=" + c.URL, TracesSampler: tt.sampler}
			tel, err := New(s, nil, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			in := propagation.MapCarrier{"traceparent": "00-" + traceID + "-b7ad6b7169203331-" + tt.flags}
			ctx, span := tel.Tracer.Start(tel.Propagator.Extract(t.Context(), in), "work")
			out := propagation.MapCarrier{}
			tel.Propagator.Inject(ctx, out)
			span.End()
			if err := tel.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			flags := "00"
			if tt.sampled {
				flags = "01"
			}
			want := "00-" + traceID + "-" + span.SpanContext().SpanID().String() + "-" + flags
			if out["traceparent"] != want {
				t.Errorf("passed on %s, want %s", out["traceparent"], want)
			}
			if arrived := len(c.words()) > 0; arrived != tt.sampled {
				t.Errorf("span arrived: %v", arrived)
			}
		})
	}
}

func TestShutdownAsksAllAndSaysWhatFailed(t *testing.T) {
	t.Parallel()
	var asked sync.Map
	tel := &Telemetry{shutdown: []func(context.Context) error{
		func(context.Context) error { asked.Store(1, true); return io.ErrUnexpectedEOF },
		func(context.Context) error { asked.Store(2, true); return nil },
	}}
	err := tel.Shutdown(t.Context())
	_, first := asked.Load(1)
	_, second := asked.Load(2)
	if !first || !second || err == nil || err.Error() != io.ErrUnexpectedEOF.Error() {
		t.Errorf("asked %v and %v, error %v", first, second, err)
	}
}

func BenchmarkNew(b *testing.B) {
	b.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	s := settings.Settings{OTLPEndpoint: "http://127.0.0.1:1", AzureMonitor: "InstrumentationKey=" + testKey + ";IngestionEndpoint=http://127.0.0.1:1"}
	log := slog.New(slog.DiscardHandler)
	for b.Loop() {
		tel, err := New(s, nil, log)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		_ = tel.Shutdown(b.Context())
		b.StartTimer()
	}
}

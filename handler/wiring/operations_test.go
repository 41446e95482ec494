package wiring

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

func TestRequestsToStorageAreCountedByServiceWithTheirRepeats(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) == 1 { // the first is tried again
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	reader := sdkmetric.NewManualReader()
	counted, err := newOperations(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test"))
	if err != nil {
		t.Fatal(err)
	}
	base := azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: 1, RetryDelay: time.Nanosecond}}
	for _, service := range []string{"table", "blob", "table"} {
		options := counted.counted(base, service)
		pipeline := runtime.NewPipeline("test", "v0", runtime.PipelineOptions{}, &options)
		req, err := runtime.NewRequest(t.Context(), http.MethodGet, server.URL)
		if err != nil {
			t.Fatal(err)
		}
		res, err := pipeline.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	if len(base.PerRetryPolicies) != 0 {
		t.Error("the options of all clients have been changed")
	}
	for service, want := range map[string]int64{"table": 3, "blob": 1, "queue": 0} {
		if got := operationsOf(t, reader, service); got != want {
			t.Errorf("%s: %d operations, want %d", service, got, want)
		}
	}
}

// operationsOf reads the counter of a service.
func operationsOf(t *testing.T, reader sdkmetric.Reader, service string) (n int64) {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			sum, ok := m.Data.(metricdata.Sum[int64])
			if m.Name != "posthorn.storage.operations" || !ok {
				t.Errorf("there is a metric %s", m.Name)
			}
			for _, p := range sum.DataPoints {
				if is, _ := p.Attributes.Value("service"); is.AsString() == service {
					n += p.Value
				}
			}
		}
	}
	return n
}

package wiring

import (
	"net/http"
	"slices"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// operations counts requests to storage, each try as one: so Azure bills them.
type operations struct{ counter metric.Int64Counter }

func newOperations(m metric.Meter) (operations, error) {
	counter, err := m.Int64Counter("posthorn.storage.operations",
		metric.WithUnit("{operation}"), metric.WithDescription("Requests to storage by service, repeated tries included."))
	return operations{counter}, err
}

// counted is o for the clients of one service, whose requests are counted.
func (p operations) counted(o azcore.ClientOptions, service string) azcore.ClientOptions {
	set := metric.WithAttributeSet(attribute.NewSet(attribute.String("service", service)))
	o.PerRetryPolicies = append(slices.Clip(o.PerRetryPolicies), counting{p.counter, set})
	return o
}

// counting is the policy of one service.
type counting struct {
	counter metric.Int64Counter
	service metric.MeasurementOption
}

func (c counting) Do(req *policy.Request) (*http.Response, error) {
	c.counter.Add(req.Raw().Context(), 1, c.service)
	return req.Next()
}

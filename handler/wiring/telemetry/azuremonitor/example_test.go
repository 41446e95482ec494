package azuremonitor_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/posthorn/posthorn/handler/wiring/telemetry/azuremonitor"
)

const connectionString = "InstrumentationKey=00000000-0000-0000-0000-000000000001;IngestionEndpoint=https://westeurope-5.in.applicationinsights.azure.com/"

// taken stands in for the service: it takes all that it is sent.
type taken struct{}

func (taken) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
}

// The SDK batches what the exporters send. Its providers are shut down before the program ends:
// what is in a batch is sent then.
func ExampleNew() {
	ctx := context.Background()
	spans, metrics, err := azuremonitor.New(azuremonitor.Config{
		ConnectionString: connectionString,
		Transport:        taken{}, // leave it out
	})
	if err != nil {
		log.Fatal(err)
	}
	tracers := sdktrace.NewTracerProvider(sdktrace.WithBatcher(spans))
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(metrics)))

	_, span := tracers.Tracer("shop").Start(ctx, "order")
	span.End()
	orders, err := meters.Meter("shop").Int64Counter("orders")
	if err != nil {
		log.Fatal(err)
	}
	orders.Add(ctx, 1)

	fmt.Println(tracers.Shutdown(ctx), meters.Shutdown(ctx))
	// Output: <nil> <nil>
}

// A resource that takes no telemetry on the strength of the key alone wants a token of Entra ID:
// the identity has the role Monitoring Metrics Publisher.
func ExampleConfig_credential() {
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	_, _, err = azuremonitor.New(azuremonitor.Config{ConnectionString: connectionString, Credential: credential})
	fmt.Println(err)
	// Output: <nil>
}

package wiring

import (
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"go.opentelemetry.io/otel/propagation"

	"github.com/posthorn/posthorn/handler/deliver/acs"
	"github.com/posthorn/posthorn/handler/settings"
)

func TestTheTraceOfARequestIsPassedOnToACS(t *testing.T) {
	t.Parallel()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	var got string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Traceparent")
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(server.Close)
	propagator := propagation.TraceContext{}
	client, err := acs.NewClientWithKey(server.URL, base64.StdEncoding.EncodeToString([]byte("key")), &acs.ClientOptions{
		ClientOptions: azcore.ClientOptions{PerCallPolicies: []policy.Policy{traceContext{propagator}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := propagator.Extract(t.Context(), propagation.MapCarrier{"traceparent": parent})
	if err := newSender(client, slog.New(slog.DiscardHandler), false).Send(ctx, operation, message(), false); err != nil {
		t.Fatal(err)
	}
	if got != parent {
		t.Errorf("ACS was given %q", got)
	}
}

func TestCredentials(t *testing.T) {
	t.Setenv("AZURE_TENANT_ID", "11111111-1111-4111-8111-111111111111")
	t.Setenv("AZURE_CLIENT_SECRET", "secret")
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", "token")
	const client = "22222222-2222-4222-8222-222222222222"
	t.Setenv("AZURE_CLIENT_ID", client)
	for _, choice := range []string{"managed-identity", "workload-identity", "azure-cli", "environment", "default"} {
		if _, err := credential(settings.Settings{Credential: choice, ClientID: client}); err != nil {
			t.Errorf("%s: %v", choice, err)
		}
	}
}

func TestNamesUnderLocalhostAreThisMachine(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	conn, err := dial(t.Context(), "tcp", "devstoreaccount1.blob.localhost:"+port)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestACertificateThatIsNoneIsNamed(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"no-such-file.pem", "azure_test.go"} {
		_, err := storageTransport(file)
		if err == nil || !strings.Contains(err.Error(), "POSTHORN_STORAGE_CA_FILE") {
			t.Errorf("%s: %v", file, err)
		}
	}
}

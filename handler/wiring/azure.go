package wiring

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"go.opentelemetry.io/otel/propagation"

	"github.com/posthorn/posthorn/handler/settings"
	"github.com/posthorn/posthorn/handler/version"
)

// credential is a fixed choice. A chain that guesses would hide a broken
// identity behind the next one, and make a cold start wait for each: it is for an
// operator, whose login may be any.
func credential(s settings.Settings) (azcore.TokenCredential, error) {
	switch s.Credential {
	case "workload-identity":
		return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{ClientID: s.ClientID})
	case "azure-cli":
		return azidentity.NewAzureCLICredential(nil)
	case "environment":
		return azidentity.NewEnvironmentCredential(nil)
	case "default":
		return azidentity.NewDefaultAzureCredential(nil)
	default:
		o := &azidentity.ManagedIdentityCredentialOptions{}
		if s.ClientID != "" {
			o.ID = azidentity.ClientID(s.ClientID)
		}
		return azidentity.NewManagedIdentityCredential(o)
	}
}

// storageOptions are for all clients of storage. Few and quick tries: a caller
// waits, and its own client tries again. A conditional write that a hidden try
// repeats is known by its attempt id.
func storageOptions(s settings.Settings) (azcore.ClientOptions, error) {
	transport, err := storageTransport(s.StorageCAFile)
	if err != nil {
		return azcore.ClientOptions{}, err
	}
	return azcore.ClientOptions{
		Transport: &http.Client{Transport: transport},
		Retry:     policy.RetryOptions{MaxRetries: 2, RetryDelay: 100 * time.Millisecond, MaxRetryDelay: 400 * time.Millisecond},
		Telemetry: policy.TelemetryOptions{ApplicationID: applicationID()},
	}, nil
}

// applicationID is how Azure's logs name this program: azcore cuts it after 24
// characters.
func applicationID() string { return "posthorn/" + version.String() }

// traceContext passes the trace of a request on to Azure, as W3C Trace Context.
type traceContext struct{ propagation.TextMapPropagator }

func (t traceContext) Do(req *policy.Request) (*http.Response, error) {
	raw := req.Raw()
	t.Inject(raw.Context(), propagation.HeaderCarrier(raw.Header))
	return req.Next()
}

func storageTransport(caFile string) (*http.Transport, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the system's certificate authorities: %w", err)
	}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("POSTHORN_STORAGE_CA_FILE: %w", err)
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("POSTHORN_STORAGE_CA_FILE: %s holds no certificate", caFile)
		}
	}
	return &http.Transport{
		DialContext:           dial,
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          128,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
	}, nil
}

// dial resolves names under localhost to this machine, as RFC 6761 section 6.3
// says; many resolvers do not.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err == nil && strings.HasSuffix(host, ".localhost") {
		address = net.JoinHostPort("127.0.0.1", port)
	}
	return (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 30 * time.Second}).DialContext(ctx, network, address)
}

package azuremonitor

import (
	"strings"
	"testing"
)

const testKey = "0fdcec70-1ce5-4085-89d9-9ae8ead9af66"

func TestConnectionString(t *testing.T) {
	t.Parallel()
	const global = "https://dc.services.visualstudio.com/v2.1/track"
	for _, tt := range []struct{ name, in, track, err string }{
		{name: "as the portal gives it", in: "InstrumentationKey=" + testKey + ";IngestionEndpoint=https://westeurope-5.in.applicationinsights.azure.com/;LiveEndpoint=https://westeurope.livediagnostics.monitor.azure.com/;ApplicationId=7",
			track: "https://westeurope-5.in.applicationinsights.azure.com/v2.1/track"},
		{name: "key alone", in: "InstrumentationKey=" + testKey, track: global},
		{name: "names in any case, spaces, empty parts", in: " instrumentationkey = " + testKey + " ;; ", track: global},
		{name: "endpoint without a slash at its end", in: "InstrumentationKey=" + testKey + ";IngestionEndpoint=https://a.example", track: "https://a.example/v2.1/track"},
		{name: "endpoint under a path", in: "InstrumentationKey=" + testKey + ";IngestionEndpoint=https://a.example/proxy/", track: "https://a.example/proxy/v2.1/track"},
		{name: "suffix", in: "InstrumentationKey=" + testKey + ";EndpointSuffix=ai.example", track: "https://dc.ai.example/v2.1/track"},
		{name: "suffix and location", in: "InstrumentationKey=" + testKey + ";EndpointSuffix=ai.example;Location=eu2", track: "https://eu2.dc.ai.example/v2.1/track"},
		{name: "endpoint before suffix", in: "InstrumentationKey=" + testKey + ";EndpointSuffix=ai.example;IngestionEndpoint=https://a.example", track: "https://a.example/v2.1/track"},
		{name: "plain http", in: "InstrumentationKey=" + testKey + ";IngestionEndpoint=http://127.0.0.1:4000", track: "http://127.0.0.1:4000/v2.1/track"},

		{name: "empty", in: "", err: "has no InstrumentationKey"},
		{name: "no key", in: "IngestionEndpoint=https://a.example", err: "has no InstrumentationKey"},
		{name: "empty key", in: "InstrumentationKey=", err: "has no InstrumentationKey"},
		{name: "key alone without its name", in: testKey, err: "has a part that is not NAME=value"},
		{name: "key that is cut off", in: "InstrumentationKey=" + testKey[:30], err: "has an InstrumentationKey that is not a UUID"},
		{name: "reference that Key Vault did not replace", in: "InstrumentationKey=@Microsoft.KeyVault(SecretUri=x)", err: "has an InstrumentationKey that is not a UUID"},
		{name: "endpoint without a scheme", in: "InstrumentationKey=" + testKey + ";IngestionEndpoint=a.example", err: "has an IngestionEndpoint that is not an http or https URL"},
		{name: "endpoint of another scheme", in: "InstrumentationKey=" + testKey + ";IngestionEndpoint=ftp://a.example", err: "has an IngestionEndpoint that is not an http or https URL"},
		{name: "endpoint that is no URL", in: "InstrumentationKey=" + testKey + ";IngestionEndpoint=https://a b", err: "has an IngestionEndpoint that is not an http or https URL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parse(tt.in)
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.key != testKey || got.track.String() != tt.track {
				t.Errorf("got key %q and %s, want %s", got.key, got.track, tt.track)
			}
		})
	}
}

func FuzzConnectionStringErrorsQuoteNothing(f *testing.F) {
	f.Add("InstrumentationKey=SECRETSECRET;IngestionEndpoint=https://a.example")
	f.Add("SECRETSECRET")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parse(s)
		if err == nil {
			if len(c.key) != 36 || c.track.Host == "" || !strings.HasSuffix(c.track.Path, "/v2.1/track") {
				t.Errorf("%q gives key %q and %s", s, c.key, c.track)
			}
			return
		}
		if strings.Contains(err.Error(), "SECRET") {
			t.Errorf("error quotes its input: %v", err)
		}
	})
}

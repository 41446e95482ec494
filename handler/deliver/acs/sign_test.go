package acs

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// Base64 of "not a secret, only a test vector". The signatures were made with
// openssl dgst and with Python's hmac.
const vectorKey = "bm90IGEgc2VjcmV0LCBvbmx5IGEgdGVzdCB2ZWN0b3I="

func TestSignatureMatchesTheVectors(t *testing.T) {
	t.Parallel()
	const (
		emptyHash = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
		bodyHash  = "AVq9f1zFei3ZS3WQ8ErYCEJzkF7jPsXOvq5iJ2qX+GI=" // of {"a":1}
	)
	tests := []struct{ name, method, url, hash, want string }{
		{"POST", "POST", "https://name.europe.communication.azure.com/emails:send?api-version=2025-09-01", bodyHash, "z5EUs/u16yF2Rj+9eK3JQNegc80yXmFaKpi4jEzVikQ="},
		{"POST to a host with a port", "POST", "http://127.0.0.1:8026/emails:send?api-version=2025-09-01", bodyHash, "6zGsOaAfinfM4lGOLJ7XvGKTpCQB4mLtQ9kNIDlsz5I="},
		{"GET", "GET", "https://name.europe.communication.azure.com/emails/operations/0f8fad5b-d9cb-469f-a165-70867728950e?api-version=2023-03-31", emptyHash, "rNGtKCwIb8IDTrNYAytucdknopEGrJ0q4J5ngNV96ls="},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := newSigner(vectorKey, func() time.Time {
				return time.Date(2026, 11, 23, 13, 34, 56, 0, time.FixedZone("CET", 3600))
			})
			if err != nil {
				t.Fatal(err)
			}
			r, err := http.NewRequest(tt.method, tt.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			s.sign(r, tt.hash)
			if got, want := r.Header.Get("Authorization"), "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature="+tt.want; got != want {
				t.Errorf("Authorization\n got %s\nwant %s", got, want)
			}
			if got, want := r.Header.Get("x-ms-date"), "Mon, 23 Nov 2026 12:34:56 GMT"; got != want {
				t.Errorf("x-ms-date: got %q, want %q", got, want)
			}
			if got := r.Header.Get("x-ms-content-sha256"); got != tt.hash {
				t.Errorf("x-ms-content-sha256: got %q, want %q", got, tt.hash)
			}
		})
	}
}

func TestKeyThatIsNotBase64IsRefusedWithoutQuotingIt(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", "hunter2!", "aGk"} {
		_, err := NewClientWithKey("https://name.example.com", key, nil)
		if err == nil || key != "" && strings.Contains(err.Error(), key) {
			t.Errorf("key %q: got error %v", key, err)
		}
	}
}

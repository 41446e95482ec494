package azurite

import (
	"context"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// Credential gives tokens that Azurite believes. It is an azcore.TokenCredential.
type Credential struct{}

// GetToken makes a token for an hour.
func (Credential) GetToken(_ context.Context, opts policy.TokenRequestOptions) (azcore.AccessToken, error) {
	now := time.Now()
	end := now.Add(time.Hour)
	audience := strings.TrimSuffix(opts.Scopes[0], "/.default")
	return azcore.AccessToken{Token: Token(audience, now.Add(-time.Minute), end), ExpiresOn: end}, nil
}

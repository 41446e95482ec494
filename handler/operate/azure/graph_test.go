package azure_test

import (
	"context"
	"net/http"
	"slices"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/posthorn/posthorn/handler/operate/azure/azuretest"
)

// asked is a login that remembers what its tokens are for.
type asked struct {
	azuretest.Credential
	scopes *[]string
}

func (a asked) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	*a.scopes = append(*a.scopes, o.Scopes...)
	return a.Credential.GetToken(ctx, o)
}

func TestGraphHasTokensOfItsOwn(t *testing.T) {
	t.Parallel()
	f, _ := deployed(t)
	f.Answer(http.MethodGet, "/v1.0/applications(appid='a1')", -1, func(r azuretest.Request) azuretest.Answer {
		if r.Query["$select"] != "displayName,passwordCredentials" {
			t.Errorf("asked for %v", r.Query)
		}
		return azuretest.Answer{Status: http.StatusOK, Body: azuretest.Object{"displayName": "Printers", "passwordCredentials": []any{azuretest.Object{"keyId": "k", "endDateTime": "2027-01-01T00:00:00Z"}}}}
	})
	var scopes []string
	a, err := f.Client(t, asked{scopes: &scopes}).Application(t.Context(), "a1")
	if err != nil || a.Name != "Printers" || len(a.Secrets) != 1 || a.Secrets[0].End.Year() != 2027 {
		t.Errorf("%+v, %v", a, err)
	}
	if want := []string{"https://graph.microsoft.com/.default"}; !slices.Equal(scopes, want) {
		t.Errorf("tokens were for %q, want %q", scopes, want)
	}
}

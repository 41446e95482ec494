package azure

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// homeOnly keeps the token of ARM from going elsewhere: answers say where the next page
// is, and where to ask for an operation, and the SDK follows them.
type homeOnly struct{ endpoint string }

// foreignError names a host that is not ARM's.
type foreignError string

func (e foreignError) Error() string { return "it leads to " + string(e) + ", which is not Azure's" }

// Do implements policy.Policy.
func (h homeOnly) Do(req *policy.Request) (*http.Response, error) {
	home, err := url.Parse(h.endpoint)
	if err != nil {
		return nil, errors.New("the address of Azure Resource Manager cannot be read")
	}
	if to := req.Raw().URL; !isAt(home, to) {
		return nil, foreignError(to.Host)
	}
	return req.Next()
}

// isAt tells whether an address is home's, or a region's: REGION.management.azure.com.
func isAt(home, to *url.URL) bool {
	name, of := strings.ToLower(to.Hostname()), strings.ToLower(home.Hostname())
	return to.Scheme == home.Scheme && portOf(to) == portOf(home) && (name == of || strings.HasSuffix(name, "."+of))
}

func portOf(u *url.URL) string {
	if port := u.Port(); port != "" || u.Scheme != "https" {
		return port
	}
	return "443"
}

func endpointOf(c cloud.Configuration) string {
	if at, known := c.Services[cloud.ResourceManager]; known {
		return at.Endpoint
	}
	return cloud.AzurePublic.Services[cloud.ResourceManager].Endpoint
}

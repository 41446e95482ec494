package azure

import (
	"context"
	"net/http"
	"time"
)

// Standing is what Azure says of a subscription, and the time of its answer.
type Standing struct {
	Subscription
	Tenant string    `json:"tenantId"`
	Date   time.Time `json:"-"` // zero if the answer had none
}

// Standing reads a subscription.
func (c *Client) Standing(ctx context.Context, subscription string) (Standing, error) {
	var s Standing
	header, err := c.call(ctx, request{what: "read the subscription " + subscription, method: http.MethodGet, path: "/subscriptions/" + subscription, version: versionSubscriptions}, &s)
	if err == nil {
		s.Date, _ = http.ParseTime(header.Get("Date"))
	}
	return s, err
}

// Reference is a setting whose value is a secret of a vault.
type Reference struct {
	Name       string `json:"name"`
	Properties struct {
		Status  string `json:"status"` // Resolved, AccessToKeyVaultDenied, SecretNotFound, …
		Details string `json:"details"`
		Vault   string `json:"vaultName"`
		Secret  string `json:"secretName"`
	} `json:"properties"`
}

// References are the settings of a function app whose values are secrets of vaults.
// Source of the shape: azure-rest-api-specs, Microsoft.Web 2024-11-01,
// ApiKVReferenceCollection.
func (c *Client) References(ctx context.Context, site ID) ([]Reference, error) {
	return list[Reference](ctx, c, request{
		what: "read the vault references of " + site.Name(), path: string(site) + "/config/configreferences/appsettings", version: versionWeb,
	})
}

// HostStatus is the state of the Functions host.
// Source of the shape: github.com/Azure/azure-functions-host, Models/HostStatus.cs.
type HostStatus struct {
	State   string   `json:"state"` // Running, Error, Starting, …
	Version string   `json:"version"`
	Errors  []string `json:"errors"`
}

// HostStatus asks the host of a function app, which begins for it if none runs.
func (c *Client) HostStatus(ctx context.Context, site ID) (HostStatus, error) {
	var s HostStatus
	_, err := c.call(ctx, request{what: "read the state of the Functions host of " + site.Name(), method: http.MethodGet, path: string(site) + "/hostruntime/admin/host/status", version: versionWeb}, &s)
	return s, err
}

// Vault is a Key Vault.
type Vault struct {
	ID         ID `json:"id"`
	Properties struct {
		Roles bool `json:"enableRbacAuthorization"`
	} `json:"properties"`
}

// Vaults are those of a subscription.
func (c *Client) Vaults(ctx context.Context, subscription string) ([]Vault, error) {
	return inSubscription[Vault](ctx, c, "list the vaults", subscription, "Microsoft.KeyVault/vaults", versionVault)
}

// Component is an Application Insights resource.
type Component struct {
	ID         ID `json:"id"`
	Properties struct {
		Key              string `json:"InstrumentationKey"`
		DisableLocalAuth bool   `json:"DisableLocalAuth"`
	} `json:"properties"`
}

// Components are the Application Insights resources of a subscription.
func (c *Client) Components(ctx context.Context, subscription string) ([]Component, error) {
	return inSubscription[Component](ctx, c, "list the Application Insights resources", subscription, "Microsoft.Insights/components", versionInsights)
}

// inSubscription lists all resources of a type.
func inSubscription[T any](ctx context.Context, c *Client, what, subscription, kind, version string) ([]T, error) {
	return list[T](ctx, c, request{
		what: what + " of subscription " + subscription, path: "/subscriptions/" + subscription + "/providers/" + kind, version: version,
	})
}

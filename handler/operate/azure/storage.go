package azure

import "context"

// Account is a storage account. What Azure does not say is nil: its default holds.
type Account struct {
	ID         ID `json:"id"`
	Properties struct {
		SharedKeys    *bool  `json:"allowSharedKeyAccess"`  // nil is true
		PublicBlobs   *bool  `json:"allowBlobPublicAccess"` // nil is false for accounts of today
		MinimumTLS    string `json:"minimumTlsVersion"`     // TLS1_0, TLS1_1, TLS1_2, TLS1_3
		HTTPSOnly     bool   `json:"supportsHttpsTrafficOnly"`
		PublicNetwork string `json:"publicNetworkAccess"` // Enabled, Disabled, SecuredByPerimeter
		Network       struct {
			Default string `json:"defaultAction"` // Allow, Deny
			Bypass  string `json:"bypass"`        // "AzureServices, Logging", None
		} `json:"networkAcls"`
	} `json:"properties"`
}

// Container is a container of blobs.
type Container struct {
	ID         ID `json:"id"`
	Properties struct {
		PublicAccess string `json:"publicAccess"` // None, Blob, Container
	} `json:"properties"`
}

// Accounts are the storage accounts of a subscription.
func (c *Client) Accounts(ctx context.Context, subscription string) ([]Account, error) {
	return inSubscription[Account](ctx, c, "list the storage accounts", subscription, "Microsoft.Storage/storageAccounts", versionStorage)
}

// Containers are those of a storage account.
func (c *Client) Containers(ctx context.Context, account ID) ([]Container, error) {
	return list[Container](ctx, c, request{
		what: "list the containers of " + account.Name(), path: string(account) + "/blobServices/default/containers", version: versionStorage,
	})
}

// Queues are those of a storage account.
func (c *Client) Queues(ctx context.Context, account ID) ([]Resource, error) {
	return list[Resource](ctx, c, request{
		what: "list the queues of " + account.Name(), path: string(account) + "/queueServices/default/queues", version: versionStorage,
	})
}

// Tables are those of a storage account.
func (c *Client) Tables(ctx context.Context, account ID) ([]Resource, error) {
	return list[Resource](ctx, c, request{
		what: "list the tables of " + account.Name(), path: string(account) + "/tableServices/default/tables", version: versionStorage,
	})
}

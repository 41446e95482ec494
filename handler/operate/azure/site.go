package azure

import (
	"context"
	"maps"
	"net/http"
)

// Subscription is one that the operator sees. ID is a UUID.
type Subscription struct {
	ID    string `json:"subscriptionId"`
	Name  string `json:"displayName"`
	State string `json:"state"`
}

// Resource is what all kinds have.
type Resource struct {
	ID       ID                `json:"id"`
	Type     string            `json:"type"`
	Location string            `json:"location"`
	Tags     map[string]string `json:"tags"`
}

// Site is a function app.
type Site struct {
	ID       ID                `json:"id"`
	Location string            `json:"location"`
	Tags     map[string]string `json:"tags"`
	Identity struct {
		PrincipalID  string `json:"principalId"` // of the system-assigned one
		UserAssigned map[string]struct {
			PrincipalID string `json:"principalId"`
			ClientID    string `json:"clientId"`
		} `json:"userAssignedIdentities"`
	} `json:"identity"`
	Properties struct {
		State             string `json:"state"`
		HostName          string `json:"defaultHostName"`
		FunctionAppConfig struct {
			Scale struct {
				InstanceMemoryMB int `json:"instanceMemoryMB"`
				Maximum          int `json:"maximumInstanceCount"`
				Triggers         struct {
					HTTP struct {
						PerInstance int `json:"perInstanceConcurrency"`
					} `json:"http"`
				} `json:"triggers"`
			} `json:"scaleAndConcurrency"`
		} `json:"functionAppConfig"`
	} `json:"properties"`
}

// Subscriptions are those that the operator sees.
func (c *Client) Subscriptions(ctx context.Context) ([]Subscription, error) {
	return list[Subscription](ctx, c, request{what: "list your subscriptions", path: "/subscriptions", version: versionSubscriptions})
}

// Sites are the function apps of Posthorn in a subscription: infra tags them so.
func (c *Client) Sites(ctx context.Context, subscription string) ([]Resource, error) {
	return list[Resource](ctx, c, request{
		what: "look for function apps of Posthorn in subscription " + subscription,
		path: "/subscriptions/" + subscription + "/resources", version: versionResources,
		query: map[string]string{"$filter": "tagName eq 'azd-service-name' and tagValue eq 'posthorn'"},
	})
}

// Group are the resources of a resource group: "/subscriptions/…/resourceGroups/NAME".
func (c *Client) Group(ctx context.Context, subscription, group string) ([]Resource, error) {
	return list[Resource](ctx, c, request{
		what: "list the resources of group " + group,
		path: "/subscriptions/" + subscription + "/resourceGroups/" + group + "/resources", version: versionResources,
	})
}

// Site reads one.
func (c *Client) Site(ctx context.Context, id ID) (Site, error) {
	var s Site
	_, err := c.call(ctx, request{what: "read the function app " + id.Name(), method: http.MethodGet, path: string(id), version: versionWeb}, &s)
	return s, err
}

// AppSettings are those of a function app. References to a vault are not resolved.
func (c *Client) AppSettings(ctx context.Context, site ID) (map[string]string, error) {
	var s struct {
		Properties map[string]string `json:"properties"`
	}
	_, err := c.call(ctx, request{what: "read the settings of the function app " + site.Name(), method: http.MethodPost, path: string(site) + "/config/appsettings/list", version: versionWeb}, &s)
	if err == nil && s.Properties == nil { // an empty list is {}; to change none would delete all
		err = &Error{What: "read the settings of the function app " + site.Name(), Kind: Refused, Message: "the answer of Azure has no settings"}
	}
	return s.Properties, err
}

// ChangeAppSettings sets some settings and leaves the others. Azure knows the whole list
// only, so they are read first. The app begins anew.
func (c *Client) ChangeAppSettings(ctx context.Context, site ID, changes map[string]string) error {
	all, err := c.AppSettings(ctx, site)
	if err != nil {
		return err
	}
	maps.Copy(all, changes)
	_, err = c.call(ctx, request{
		what: "change the settings of the function app " + site.Name(), method: http.MethodPut, path: string(site) + "/config/appsettings", version: versionWeb,
		body: map[string]any{"properties": all},
	}, nil)
	return err
}

// AllSites are the function and web apps of a subscription.
func (c *Client) AllSites(ctx context.Context, subscription string) ([]Resource, error) {
	return inSubscription[Resource](ctx, c, "list the function apps", subscription, "Microsoft.Web/sites", versionWeb)
}

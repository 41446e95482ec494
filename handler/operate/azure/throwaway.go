package azure

import (
	"context"
	"net/http"
)

// What a question to Azure makes for itself, and deletes again. None of it is to be
// used on a resource of the deployment: a PUT may forget what it does not say.

// PutService makes a Communication Services resource, or replaces its properties.
func (c *Client) PutService(ctx context.Context, id ID, properties map[string]any) error {
	return c.put(ctx, "put the Communication Services resource "+id.Name(), id, map[string]any{"location": "global", "properties": properties})
}

// PutEmailService makes an Email Service.
func (c *Client) PutEmailService(ctx context.Context, id ID, dataLocation string) error {
	return c.put(ctx, "put the Email Service "+id.Name(), id, map[string]any{"location": "global", "properties": map[string]any{"dataLocation": dataLocation}})
}

// PutManagedDomain makes the domain that Azure gives to an Email Service.
func (c *Client) PutManagedDomain(ctx context.Context, emailService ID) (ID, error) {
	id := emailService.Child("domains", "AzureManagedDomain")
	return id, c.put(ctx, "put the managed domain of "+emailService.Name(), id, map[string]any{"location": "global", "properties": map[string]any{"domainManagement": "AzureManaged"}})
}

// PutSuppressionList makes a list of addresses to which a sender username sends nothing.
func (c *Client) PutSuppressionList(ctx context.Context, id ID, username string) error {
	return c.put(ctx, "put the suppression list "+id.Name(), id, map[string]any{"properties": map[string]any{"listName": username}})
}

// PutSuppressed puts an address into a suppression list. The name of id is a UUID.
func (c *Client) PutSuppressed(ctx context.Context, id ID, address string) error {
	return c.put(ctx, "put an address into the suppression list "+id.Parent().Name(), id, map[string]any{"properties": map[string]any{"email": address}})
}

func (c *Client) put(ctx context.Context, what string, id ID, body any) error {
	_, err := c.call(ctx, request{what: what, method: http.MethodPut, path: string(id), version: versionCommunication, body: body}, nil)
	return err
}

// Delete deletes a resource of Communication Services, and waits until it is gone. One
// that is not there is no error.
func (c *Client) Delete(ctx context.Context, id ID) error {
	_, err := c.call(ctx, request{what: "delete " + id.Name(), method: http.MethodDelete, path: string(id), version: versionCommunication}, nil)
	return err
}

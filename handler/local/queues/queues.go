// Package queues opens queues of Azurite for the Functions host's stand-in: for
// the local run and for tests of the built product.
//
// An endpoint and Azurite's certificate go in, a function that opens a queue by
// its name comes out, as host.Config wants it. The queues speak HTTPS with a token,
// as the product does. They try each call once: the host asks again anyway.
package queues

import (
	"context"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"

	"github.com/posthorn/posthorn/handler/local/azurite"
	"github.com/posthorn/posthorn/handler/local/host"
	"github.com/posthorn/posthorn/handler/store/queue"
)

// At opens the queues at an endpoint, such as https://devstoreaccount1.queue.localhost:10001.
func At(endpoint, certFile string) (func(name string) (host.Queue, error), error) {
	transport, err := azurite.Transport(certFile)
	if err != nil {
		return nil, err
	}
	options := &azqueue.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: &http.Client{Transport: transport},
		Retry:     policy.RetryOptions{MaxRetries: -1},
	}}
	service, err := azqueue.NewServiceClient(endpoint, azurite.Credential{}, options)
	if err != nil {
		return nil, err
	}
	return func(name string) (host.Queue, error) {
		q, err := queue.Open(endpoint, name, azurite.Credential{}, options)
		return poisonable{q, service.NewQueueClient(name)}, err
	}, nil
}

// poisonable is a queue to which the host sends nothing but what is given up.
type poisonable struct {
	*queue.Queue
	client *azqueue.QueueClient
}

// Send leaves a message for a week: the host's copy lives as long as the service has
// it by default, and nothing sets another time.
func (p poisonable) Send(ctx context.Context, text string, _ time.Duration) error {
	if err := p.Create(ctx); err != nil {
		return err
	}
	_, err := p.client.EnqueueMessage(ctx, base64.StdEncoding.EncodeToString([]byte(text)), nil)
	return err
}

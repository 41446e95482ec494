// Package queues opens queues of Azurite for the Functions host's stand-in: for
// the desk and for tests of the built product.
//
// An endpoint and Azurite's certificate go in, a function that opens a queue by
// its name comes out, as host.Config wants it. The queues speak HTTPS with a token,
// as the product does. They try each call once: the host asks again anyway.
package queues

import (
	"net/http"

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
	return func(name string) (host.Queue, error) {
		return queue.Open(endpoint, name, azurite.Credential{}, options)
	}, nil
}

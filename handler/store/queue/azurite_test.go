package queue_test

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"

	"github.com/posthorn/posthorn/handler/local/azurite/azuritetest"
	"github.com/posthorn/posthorn/handler/store/queue"
	"github.com/posthorn/posthorn/handler/store/storetest"
)

func TestQueueKeepsTheContractOnAzurite(t *testing.T) {
	t.Parallel()
	azure := azuritetest.Start(t)
	storetest.Queue(t, func(t *testing.T) (storetest.Messages, func(time.Duration)) {
		t.Helper()
		q, err := queue.Open(azure.Queue, strings.ToLower(rand.Text()), azure.Credential, &azqueue.ClientOptions{ClientOptions: azure.Options})
		if err != nil {
			t.Fatal(err)
		}
		return q, time.Sleep // the service's clock is nobody's to set
	})
}

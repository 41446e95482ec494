package blob_test

import (
	"crypto/rand"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"github.com/posthorn/posthorn/handler/local/azurite/azuritetest"
	"github.com/posthorn/posthorn/handler/store/blob"
	"github.com/posthorn/posthorn/handler/store/storetest"
)

func TestContainerKeepsTheContractOnAzurite(t *testing.T) {
	t.Parallel()
	azure := azuritetest.Start(t)
	storetest.Blobs(t, func(t *testing.T) (storetest.Container, *http.Client) {
		c, err := blob.Open(azure.Blob, strings.ToLower(rand.Text()), azure.Credential, time.Now, &service.ClientOptions{ClientOptions: azure.Options})
		if err != nil {
			t.Fatal(err)
		}
		return c, azure.Client
	})
}

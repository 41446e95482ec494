package table_test

import (
	"crypto/rand"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"github.com/posthorn/posthorn/handler/local/azurite/azuritetest"
	"github.com/posthorn/posthorn/handler/store/storetest"
	"github.com/posthorn/posthorn/handler/store/table"
)

func TestTableKeepsTheContractOnAzurite(t *testing.T) {
	t.Parallel()
	azure := azuritetest.Start(t)
	storetest.Table(t, func(t *testing.T) storetest.Rows {
		rows, err := table.Open(azure.Table, "t"+rand.Text(), azure.Credential, &aztables.ClientOptions{ClientOptions: azure.Options})
		if err != nil {
			t.Fatal(err)
		}
		return rows
	})
}

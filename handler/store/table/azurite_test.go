package table_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"github.com/posthorn/posthorn/handler/local/azurite/azuritetest"
	"github.com/posthorn/posthorn/handler/store/mem"
	"github.com/posthorn/posthorn/handler/store/storetest"
	"github.com/posthorn/posthorn/handler/store/table"
)

func TestOnAzurite(t *testing.T) {
	t.Parallel()
	azure := azuritetest.Start(t)
	open := func() storetest.Rows {
		rows, err := table.Open(azure.Table, "t"+rand.Text(), azure.Credential, &aztables.ClientOptions{ClientOptions: azure.Options})
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	t.Run("contract", func(t *testing.T) {
		t.Parallel()
		storetest.Table(t, func(*testing.T) storetest.Rows { return open() })
	})
	t.Run("contract of a series", func(t *testing.T) {
		t.Parallel()
		storetest.Series(t, func(t *testing.T) (storetest.Tables, func(string) storetest.Rows) {
			s, err := table.OpenSeries(azure.Table, "s"+rand.Text(), azure.Credential, &aztables.ClientOptions{ClientOptions: azure.Options})
			if err != nil {
				t.Fatal(err)
			}
			return s, func(suffix string) storetest.Rows { return s.Table(suffix) }
		})
	})
	t.Run("memory is like it", func(t *testing.T) {
		t.Parallel()
		storetest.TablesAreAlike(t, open, func() storetest.Rows { return mem.NewTable(time.Now, nil) })
	})
}

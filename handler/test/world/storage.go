package world

import (
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"

	"github.com/posthorn/posthorn/handler/local/azurite/azuritetest"
)

// Rows counts the rows of a table.
func (p *Product) Rows(tb testing.TB, table string) int {
	tb.Helper()
	return len(p.RowsOf(tb, table))
}

// RowsOf are the rows of a table, each as the service sends it.
func (p *Product) RowsOf(tb testing.TB, table string) (all []string) {
	tb.Helper()
	client, err := aztables.NewClient(p.Storage.Table+"/"+table, azuritetest.Credential{}, &aztables.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: p.Recipients},
	})
	if err != nil {
		tb.Fatal(err)
	}
	for rows := client.NewListEntitiesPager(nil); rows.More(); {
		page, err := rows.NextPage(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		for _, row := range page.Entities {
			all = append(all, string(row))
		}
	}
	return all
}

// BlobsIn counts the committed blobs of a container.
func (p *Product) BlobsIn(tb testing.TB, container string) (n int) {
	tb.Helper()
	client, err := azblob.NewClient(p.Storage.Blob, azuritetest.Credential{}, &azblob.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: p.Recipients},
	})
	if err != nil {
		tb.Fatal(err)
	}
	for blobs := client.NewListBlobsFlatPager(container, nil); blobs.More(); {
		page, err := blobs.NextPage(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		n += len(page.Segment.BlobItems)
	}
	return n
}

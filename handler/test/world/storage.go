package world

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"github.com/posthorn/posthorn/handler/local/azurite/azuritetest"
)

// Rows counts the rows of a table, without contents of messages.
func (p *Product) Rows(tb testing.TB, table string) int {
	tb.Helper()
	return len(slices.DeleteFunc(p.RowsOf(tb, table), IsContent))
}

// IsContent says whether a row is the content of a queued message or dead letter.
func IsContent(row string) bool { return strings.Contains(row, `"RowKey":"c-`) }

// Contents counts the queued messages and dead letters that are stored, in rows and in blobs.
func (p *Product) Contents(tb testing.TB) int {
	tb.Helper()
	n := p.BlobsIn(tb, "posthorn-messages")
	for _, table := range []string{"posthornqueue", "posthorndeadletters"} {
		n += len(p.RowsOf(tb, table)) - p.Rows(tb, table)
	}
	return n
}

// RowsOf are the rows of a table, which need not be there, each as the service sends it.
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
		if r, ok := errors.AsType[*azcore.ResponseError](err); ok && r.ErrorCode == string(aztables.TableNotFound) {
			return nil
		}
		if err != nil {
			tb.Fatal(err)
		}
		for _, row := range page.Entities {
			all = append(all, string(row))
		}
	}
	return all
}

// BlobsIn counts the committed blobs of a container, which need not be there.
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
		if bloberror.HasCode(err, bloberror.ContainerNotFound) {
			return 0
		}
		if err != nil {
			tb.Fatal(err)
		}
		n += len(page.Segment.BlobItems)
	}
	return n
}

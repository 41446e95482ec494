// Package blob keeps files in one container of Azure Blob Storage.
//
// Blocks go in under a name and a number; after Commit they are a blob, before it
// no reader sees them, and the service drops them after a week. A small blob goes
// in whole with Put and comes out whole with Read. What else comes out is a listing
// and URLs that read or write one blob for a while, which the service itself
// answers. What a stranger wrote can be sealed. A container that does not exist is
// created, private, at its first use.
//
// Names that nobody guesses, block sizes and expiry are not its concern. It sets
// no retries: the client's options do, and a Commit or Put that is repeated after a
// lost answer says ErrExists of its own blob.
//
// Source: Blob service REST API, as azblob v1.8.3 speaks it.
package blob

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/limits"
	"github.com/posthorn/posthorn/handler/store/sdk"
)

// Options are optional.
type Options struct {
	Client *service.ClientOptions
	// Checksum goes with every block and every Put; empty means CRC64.
	Checksum Checksum
}

// Container is one container. It is safe for concurrent use.
type Container struct {
	name     string
	client   *container.Client
	signer   *signer
	checksum Checksum
	created  atomic.Bool
}

// Open connects to the container called name at an account's blob endpoint, such
// as https://ACCOUNT.blob.core.windows.net. It makes no call. The first label of
// the host must be the account, since the SDK signs with it: no custom domain, no
// address. now is for the dates of signed URLs only.
func Open(endpoint, name string, cred azcore.TokenCredential, now func() time.Time, o Options) (*Container, error) {
	if err := sdk.CheckEndpoint(endpoint); err != nil {
		return nil, err
	}
	account, err := service.NewClient(endpoint, cred, o.Client)
	if err != nil {
		return nil, sdk.Translate("open container", err)
	}
	return &Container{
		name:     name,
		client:   account.NewContainerClient(name),
		signer:   newSigner(account, now),
		checksum: o.Checksum,
	}, nil
}

// Create makes the container; that it exists is no error.
func (c *Container) Create(ctx context.Context) error {
	_, err := c.client.Create(ctx, nil)
	if err == nil || sdk.Code(err) == string(bloberror.ContainerAlreadyExists) {
		c.created.Store(true)
		return nil
	}
	return sdk.Translate("create container", err)
}

// Checksum makes what Stage must be given with a block.
func (c *Container) Checksum() hash.Hash { return c.checksum.hash() }

// Stage stores block n of a blob that is to be; n counts from 0, and the same n
// again replaces the block. The block is the caller's again when Stage returns.
func (c *Container) Stage(ctx context.Context, name string, n int, block, sum []byte) error {
	if err := limits.Block(n, len(block)); err != nil {
		return err
	}
	return sdk.Do(ctx, "stage block", c.Create, func(ctx context.Context) error {
		body := lend(block)
		defer body.takeBack()
		_, err := c.client.NewBlockBlobClient(name).StageBlock(ctx, blockID(n), body, &blockblob.StageBlockOptions{
			TransactionalValidation: c.checksum.validation(sum),
		})
		return err
	})
}

// Commit makes a blob of the blocks 0 to blocks-1. ErrExists if there is a blob of
// the name, which stays as it is; ErrMissing if a block was not staged.
func (c *Container) Commit(ctx context.Context, name string, blocks int, h store.BlobHeaders) error {
	if err := limits.Blocks(blocks); err != nil {
		return err
	}
	ids := make([]string, blocks)
	for n := range ids {
		ids[n] = blockID(n)
	}
	return existing("commit blob", sdk.Do(ctx, "commit blob", c.Create, func(ctx context.Context) error {
		_, err := c.client.NewBlockBlobClient(name).CommitBlockList(ctx, ids, &blockblob.CommitBlockListOptions{
			HTTPHeaders: &blob.HTTPHeaders{
				BlobContentType:        &h.ContentType,
				BlobContentDisposition: &h.ContentDisposition,
			},
			AccessConditions: &blob.AccessConditions{
				ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: new(azcore.ETagAny)},
			},
		})
		return err
	}))
}

// existing words the error of a call whose one condition is that there is no
// blob: some services answer its failure with 412 instead of 409.
func existing(doing string, err error) error {
	if errors.Is(err, store.ErrChanged) {
		return fmt.Errorf("%s: %w", doing, store.ErrExists)
	}
	return err
}

// ListPage is the most blobs that one listing has.
const ListPage = 5000

// List returns at most n committed blobs, and at most ListPage, in the order of their names,
// that start with prefix. marker is where an earlier listing of this prefix has stopped,
// empty to begin. next is where this one has, empty at the end; a page may have few blobs,
// or none, and not be the last.
func (c *Container) List(ctx context.Context, prefix, marker string, n int) (found []store.Blob, next string, err error) {
	options := container.ListBlobsFlatOptions{Prefix: &prefix, MaxResults: new(int32(min(n, ListPage)))}
	if marker != "" {
		options.Marker = &marker
	}
	var page container.ListBlobsFlatResponse
	err = sdk.Do(ctx, "list blobs", c.Create, func(ctx context.Context) (err error) {
		page, err = c.client.NewListBlobsFlatPager(&options).NextPage(ctx)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	for _, b := range page.Segment.BlobItems {
		found = append(found, store.Blob{Name: *b.Name, Size: *b.Properties.ContentLength})
	}
	if page.NextMarker != nil {
		next = *page.NextMarker
	}
	return found, next, nil
}

// blockID has the same length for every block, as the service demands.
func blockID(n int) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%06d", n))
}

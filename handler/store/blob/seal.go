package blob

import (
	"context"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/lease"

	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/sdk"
)

// sealID is the lease of every sealed blob. It is no secret: a writer of a blob
// may also break its lease.
const sealID = "5ea1ed00-0000-4000-8000-000000000000"

// endless is the duration of a lease that does not end by itself.
const endless = -1

// Size tells the size of a committed blob. ErrMissing without a block blob:
// a stranger may have made a page blob.
func (c *Container) Size(ctx context.Context, name string) (int64, error) {
	var p blob.GetPropertiesResponse
	err := sdk.Do(ctx, "look at blob", c.Create, func(ctx context.Context) (err error) {
		p, err = c.client.NewBlobClient(name).GetProperties(ctx, nil)
		return err
	})
	switch {
	case err != nil:
		return 0, err
	case p.BlobType == nil || *p.BlobType != blob.BlobTypeBlockBlob || p.ContentLength == nil:
		return 0, fmt.Errorf("look at blob: %w: it is no block blob", store.ErrMissing)
	}
	return *p.ContentLength, nil
}

// Seal keeps a committed blob as it is: what SignWrite has given out no longer
// writes to it. Then it sets all headers that a download has, those not named here
// to nothing, and returns the size. ErrMissing as in Size. It may be repeated.
//
// It is a lease without end, which keeps out mistakes, not malice: a signed URL
// that writes can also break leases.
func (c *Container) Seal(ctx context.Context, name string, h store.BlobHeaders) (int64, error) {
	if _, err := c.Size(ctx, name); err != nil {
		return 0, err
	}
	b := c.client.NewBlobClient(name)
	err := sdk.Do(ctx, "seal blob", c.Create, func(ctx context.Context) error {
		err := acquire(ctx, b)
		if sdk.Code(err) != string(bloberror.LeaseAlreadyPresent) {
			return err
		}
		if err := breakLease(ctx, b); err != nil {
			return err
		}
		return acquire(ctx, b)
	})
	if err != nil {
		return 0, err
	}
	err = sdk.Do(ctx, "set headers", c.Create, func(ctx context.Context) error {
		_, err := b.SetHTTPHeaders(ctx, blob.HTTPHeaders{
			BlobContentType:        &h.ContentType,
			BlobContentDisposition: &h.ContentDisposition,
		}, &blob.SetHTTPHeadersOptions{AccessConditions: &blob.AccessConditions{
			LeaseAccessConditions: &blob.LeaseAccessConditions{LeaseID: new(sealID)},
		}})
		return err
	})
	if err != nil {
		return 0, err
	}
	return c.Size(ctx, name)
}

// Delete removes a blob, sealed or not, with the snapshots that a signed URL that
// writes can make. ErrMissing without a blob. Services differ for
// one that is not committed.
func (c *Container) Delete(ctx context.Context, name string) error {
	b := c.client.NewBlobClient(name)
	all := &blob.DeleteOptions{DeleteSnapshots: new(blob.DeleteSnapshotsOptionTypeInclude)}
	return sdk.Do(ctx, "delete blob", c.Create, func(ctx context.Context) error {
		_, err := b.Delete(ctx, all)
		if sdk.Code(err) != string(bloberror.LeaseIDMissing) {
			return err
		}
		if err := breakLease(ctx, b); err != nil {
			return err
		}
		_, err = b.Delete(ctx, all)
		return err
	})
}

// acquire succeeds too if the lease is already ours.
func acquire(ctx context.Context, b *blob.Client) error {
	l, err := lease.NewBlobClient(b, &lease.BlobClientOptions{LeaseID: new(sealID)})
	if err != nil {
		return err
	}
	_, err = l.AcquireLease(ctx, endless, nil)
	return err
}

// breakLease ends whatever lease there is at once.
func breakLease(ctx context.Context, b *blob.Client) error {
	l, err := lease.NewBlobClient(b, nil)
	if err != nil {
		return err
	}
	_, err = l.BreakLease(ctx, &lease.BlobBreakOptions{BreakPeriod: new(int32)})
	return err
}

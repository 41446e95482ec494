package blob

import (
	"context"
	"fmt"
	"io"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/posthorn/posthorn/handler/store/limits"
	"github.com/posthorn/posthorn/handler/store/sdk"
)

// Put makes a whole blob in one request. ErrExists if there is a blob of the name,
// which stays as it is and may be this call's own first try; after ErrUnavailable
// it may be there, whole. data is the caller's again when Put returns.
func (c *Container) Put(ctx context.Context, name string, data []byte) error {
	if err := limits.Whole(int64(len(data))); err != nil {
		return err
	}
	sum := c.Checksum()
	_, _ = sum.Write(data) // never fails
	return existing("put blob", sdk.Do(ctx, "put blob", c.Create, func(ctx context.Context) error {
		body := lend(data)
		defer body.takeBack()
		_, err := c.client.NewBlockBlobClient(name).Upload(ctx, body, &blockblob.UploadOptions{
			TransactionalValidation: c.checksum.validation(sum.Sum(nil)),
			AccessConditions: &blob.AccessConditions{
				ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: new(azcore.ETagAny)},
			},
		})
		return err
	}))
}

// Read returns all bytes of a committed blob, however it was made. ErrMissing if
// there is none. One that is larger than Put takes is refused before it is read.
func (c *Container) Read(ctx context.Context, name string) ([]byte, error) {
	var data []byte
	var tooLarge error
	err := sdk.Do(ctx, "read blob", c.Create, func(ctx context.Context) (err error) {
		answer, err := c.client.NewBlobClient(name).DownloadStream(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }() // what was read is whole or refused already
		if answer.ContentLength == nil {
			return io.ErrUnexpectedEOF
		}
		if tooLarge = limits.Whole(*answer.ContentLength); tooLarge != nil {
			return nil
		}
		data = make([]byte, *answer.ContentLength)
		_, err = io.ReadFull(answer.Body, data)
		return err
	})
	if err == nil && tooLarge != nil {
		err = fmt.Errorf("read blob: %w", tooLarge)
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}

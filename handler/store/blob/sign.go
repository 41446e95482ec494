package blob

import (
	"context"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/limits"
	"github.com/posthorn/posthorn/handler/store/sdk"
)

// SignRead returns an HTTPS URL with which anyone may read the blob from one time
// until another, at most limits.LongestSigned ahead, and do nothing else. The answer has
// the headers of h, whatever has become of the blob's own since. It does not look whether
// there is a blob. The URL is a secret: it stays out of logs.
func (c *Container) SignRead(ctx context.Context, name string, h store.BlobHeaders, from, until time.Time) (string, error) {
	return c.sign(ctx, name, sas.BlobPermissions{Read: true}, h, from, until)
}

// SignWrite is SignRead for a URL with which anyone may make the blob and write to
// it again, at once or in blocks, until Seal; and neither read nor delete it.
func (c *Container) SignWrite(ctx context.Context, name string, from, until time.Time) (string, error) {
	return c.sign(ctx, name, sas.BlobPermissions{Create: true, Write: true}, store.BlobHeaders{}, from, until)
}

func (c *Container) sign(ctx context.Context, name string, allow sas.BlobPermissions, h store.BlobHeaders, from, until time.Time) (string, error) {
	if err := limits.Signed(c.signer.now(), from, until); err != nil {
		return "", err
	}
	if allow.Create && !c.created.Load() {
		// The URL cannot create the container at its first use.
		if err := c.Create(ctx); err != nil {
			return "", err
		}
	}
	query, err := c.signer.sign(ctx, sas.BlobSignatureValues{
		Permissions: allow.String(), ContainerName: c.name, BlobName: name,
		ContentType: h.ContentType, ContentDisposition: h.ContentDisposition,
		StartTime: from.UTC(), ExpiryTime: until.UTC(),
	})
	if err != nil {
		return "", err
	}
	return c.client.NewBlobClient(name).URL() + "?" + query, nil
}

// signer signs with a user delegation key, which it fetches when it is first
// needed and again when it is limits.KeyFresh old. No account key is involved.
//
// Source: "Create a user delegation SAS", Azure Storage REST reference.
type signer struct {
	account *service.Client
	now     func() time.Time
	// turn is a lock of key that a caller can stop waiting for. One fetch serves all
	// callers that wait.
	turn chan struct{}
	key  delegation
}

type delegation struct {
	cred          *service.UserDelegationCredential
	fetched       time.Time
	start, expiry time.Time
}

func newSigner(account *service.Client, now func() time.Time) *signer {
	return &signer{account: account, now: now, turn: make(chan struct{}, 1)}
}

// sign expects what limits.Signed accepts.
func (s *signer) sign(ctx context.Context, v sas.BlobSignatureValues) (query string, err error) {
	key, err := s.delegation(ctx, v.ExpiryTime)
	if err != nil {
		return "", err
	}
	v.Protocol = sas.ProtocolHTTPS
	if v.StartTime.Before(key.start) {
		v.StartTime = key.start
	}
	signed, err := v.SignWithUserDelegation(key.cred)
	if err != nil {
		return "", sdk.Translate("sign URL", err)
	}
	return signed.Encode(), nil
}

// delegation returns a key that lives until the given time. A key that should be
// renewed but cannot be goes on signing what it outlives.
func (s *signer) delegation(ctx context.Context, until time.Time) (delegation, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return delegation{}, sdk.Translate("wait for delegation key", ctx.Err())
	}
	usable := s.key.cred != nil && !until.After(s.key.expiry)
	if usable && s.now().Before(s.key.fetched.Add(limits.KeyFresh)) {
		return s.key, nil
	}
	key, err := s.fetch(ctx)
	if err == nil {
		s.key = key
	}
	if err != nil && !usable {
		return delegation{}, err
	}
	return s.key, nil
}

// fetch asks for the longest life there is, begun early enough for a service whose
// clock is behind ours.
func (s *signer) fetch(ctx context.Context) (delegation, error) {
	now := s.now().UTC().Truncate(time.Second)
	key := delegation{fetched: now, start: now.Add(-limits.ClockError)}
	key.expiry = key.start.Add(limits.DelegationKey)
	cred, err := s.account.GetUserDelegationCredential(ctx, service.KeyInfo{
		Start:  new(key.start.Format(sas.TimeFormat)),
		Expiry: new(key.expiry.Format(sas.TimeFormat)),
	}, nil)
	if err != nil {
		return delegation{}, sdk.Translate("fetch delegation key", err)
	}
	key.cred = cred
	return key, nil
}

package blob

import (
	"context"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"github.com/posthorn/posthorn/handler/store/limits"
	"github.com/posthorn/posthorn/handler/store/sdk"
)

// signer signs with a user delegation key, which it fetches when it is first
// needed and again when it is limits.KeyFresh old. No account key is involved.
//
// Source: "Create a user delegation SAS", Azure Storage REST reference.
type signer struct {
	account *service.Client
	now     func() time.Time
	// turn holds the one place of whoever may look at key, so that one fetch
	// serves all who wait and each can give up waiting.
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

// sign expects what limits.Read accepts.
func (s *signer) sign(ctx context.Context, container, name string, from, until time.Time) (query string, err error) {
	key, err := s.delegation(ctx, until)
	if err != nil {
		return "", err
	}
	if from.Before(key.start) {
		from = key.start
	}
	signed, err := sas.BlobSignatureValues{
		Protocol:      sas.ProtocolHTTPS,
		StartTime:     from.UTC(),
		ExpiryTime:    until.UTC(),
		Permissions:   (&sas.BlobPermissions{Read: true}).String(),
		ContainerName: container,
		BlobName:      name,
	}.SignWithUserDelegation(key.cred)
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

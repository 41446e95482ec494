package offload

import (
	"context"
	"errors"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// The values of a link's row. Those that no code reads are for an operator who
// is asked what a link was.
const (
	valueBlob        = "blob"
	valueName        = "name"
	valueSize        = "size"
	valueContentType = "contentType"
	valueExpires     = "expires"
	valueRevoked     = "revoked"
)

// maxRevokeTries is how often Revoke meets a row that changes under it; a row
// changes only by being revoked.
const maxRevokeTries = 3

func (f file) row() store.Entity {
	k, _ := keyOf(f.token)
	return store.Entity{Partition: k.partition, Row: k.row, Values: map[string]any{
		valueBlob:        f.blob,
		valueName:        f.link.Name,
		valueSize:        f.link.Size,
		valueContentType: f.contentType,
		valueExpires:     f.link.Expires,
		valueRevoked:     false,
	}}
}

// Open returns where the file behind a link can be fetched just now: a SAS URL
// that lives at most mail.ClickSASLife and never longer than the link. It may be
// repeated. An error is NotFound for a token that was never made, Gone for one
// that has expired or was revoked, Unavailable if storage does not answer.
func (o *Offload) Open(ctx context.Context, token string) (location string, err error) {
	e, err := o.link(ctx, token)
	if err != nil {
		return "", err
	}
	// A row without a time has expired, one without a blob has nothing to open.
	expires, _ := e.Values[valueExpires].(time.Time)
	blob, _ := e.Values[valueBlob].(string)
	revoked, _ := e.Values[valueRevoked].(bool)
	if revoked || blob == "" || !o.config.Now().Before(expires) {
		return "", gone()
	}
	return o.sign(ctx, blob, expires, mail.ClickSASLife)
}

// Revoke ends a link before its time. A SAS that Open has already given out
// lives on for its minutes; the blob goes on the day it would have gone anyway.
// It may be repeated. Errors are those of Open.
func (o *Offload) Revoke(ctx context.Context, token string) error {
	for range maxRevokeTries {
		e, err := o.link(ctx, token)
		if err != nil {
			return err
		}
		if revoked, _ := e.Values[valueRevoked].(bool); revoked {
			return nil
		}
		e.Values[valueRevoked] = true
		_, err = o.config.Links.Replace(ctx, e)
		if !errors.Is(err, store.ErrChanged) {
			return away(err)
		}
	}
	return away(store.ErrChanged)
}

// link reads the row of a token.
func (o *Offload) link(ctx context.Context, token string) (store.Entity, error) {
	k, ok := keyOf(token)
	if !ok {
		return store.Entity{}, notFound()
	}
	e, _, err := o.config.Links.Get(ctx, k.partition, k.row)
	switch {
	case err == nil:
		return e, nil
	case !errors.Is(err, store.ErrMissing):
		return store.Entity{}, away(err)
	case k.over(o.config.Now()):
		// Sweep has been: such a link cannot be told from one never made.
		return store.Entity{}, gone()
	default:
		return store.Entity{}, notFound()
	}
}

func gone() error { return problem.New(problem.Gone, "The link has expired or was withdrawn.") }

func notFound() error { return problem.New(problem.NotFound, "There is no such link.") }

func away(err error) error {
	return problem.Wrap(problem.Unavailable, "The link cannot be looked up just now. Try again.", err)
}

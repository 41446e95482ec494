// Package sdk turns errors of the Azure SDK into errors of package store.
//
// Whatever an SDK call returned goes in; store.ErrExists, ErrMissing, ErrChanged
// or ErrUnavailable comes out, wrapped with what was being done, the status and
// the service's code. Any other error is a request that the service will never
// accept: a bug of the program. SDK texts do not pass, since
// they hold URLs, bodies and headers; context.Canceled and DeadlineExceeded stay
// findable. It neither retries nor logs: the first is set by wiring in the
// client's options, the second is for the caller of package store.
//
// The codes: "Table service error codes", "Blob service error codes" and "Queue
// service error codes" of the Azure Storage REST reference.
package sdk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/posthorn/posthorn/handler/store"
)

var kinds = map[string]error{
	"EntityAlreadyExists":         store.ErrExists,
	"BlobAlreadyExists":           store.ErrExists,
	"EntityNotFound":              store.ErrMissing,
	"ResourceNotFound":            store.ErrMissing,
	"BlobNotFound":                store.ErrMissing,
	"MessageNotFound":             store.ErrMissing,
	"PopReceiptMismatch":          store.ErrMissing, // someone else has received it since
	"InvalidBlockList":            store.ErrMissing, // a block that was never staged, or expired
	"UpdateConditionNotSatisfied": store.ErrChanged,
	"ConditionNotMet":             store.ErrChanged,
	"Md5Mismatch":                 store.ErrUnavailable, // damaged on the way
	"Crc64Mismatch":               store.ErrUnavailable, // damaged on the way
}

// Do calls, and once more after create if the table, the container or the queue
// itself was missing, as it is after a fresh deployment. The error of call is
// translated. The error of create must be translated already.
func Do(ctx context.Context, doing string, create, call func(context.Context) error) error {
	err := call(ctx)
	switch Code(err) {
	case "TableNotFound", "TableBeingDeleted", "ContainerNotFound", "QueueNotFound":
		if err := create(ctx); err != nil {
			return err
		}
		err = call(ctx)
	}
	return Translate(doing, err)
}

// roleMissing is said of an identity without the role, and AuthorizationFailure behind a
// firewall. Source: learn.microsoft.com, "Common error codes (REST API) - Azure Storage".
const roleMissing = "AuthorizationPermissionMismatch"

// Code is the service's error code; empty if err is not an answer of a service.
func Code(err error) string {
	if r, ok := errors.AsType[*azcore.ResponseError](err); ok {
		return r.ErrorCode
	}
	return ""
}

// Translate makes an error of package store of err, and nil of nil.
func Translate(doing string, err error) error {
	if err == nil {
		return nil
	}
	if r, ok := errors.AsType[*azcore.ResponseError](err); ok {
		if r.ErrorCode == roleMissing && r.RawResponse != nil && r.RawResponse.Request != nil {
			return fmt.Errorf("%s: %w (%d %s): %w", doing, store.ErrUnavailable, r.StatusCode, r.ErrorCode, store.RoleError{Host: r.RawResponse.Request.URL.Host})
		}
		if kind := kindOf(r); kind != nil {
			return fmt.Errorf("%s: %w (%d %s)", doing, kind, r.StatusCode, r.ErrorCode)
		}
		return fmt.Errorf("%s: storage refused (%d %s)", doing, r.StatusCode, r.ErrorCode)
	}
	for _, ended := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, ended) {
			return fmt.Errorf("%s: %w: %w", doing, store.ErrUnavailable, ended)
		}
	}
	if unproven(err) {
		return fmt.Errorf("%s: %w: %w", doing, store.ErrUnavailable, store.ErrIdentity)
	}
	return fmt.Errorf("%s: %w: %s", doing, store.ErrUnavailable, cause(err))
}

// kindOf returns nil for a request that will never be taken. Statuses decide only
// where the code is unknown here: access refused, throttled, a table that is just
// being deleted. All of these may pass.
func kindOf(r *azcore.ResponseError) error {
	if kind := kinds[r.ErrorCode]; kind != nil {
		return kind
	}
	switch r.StatusCode {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusLengthRequired,
		http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong, http.StatusUnsupportedMediaType:
		return nil
	}
	return store.ErrUnavailable
}

// cause is the text of a broken connection without its URL. Of any other error only
// the type is told.
func cause(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err.Error()
	}
	return fmt.Sprintf("%T", err)
}

// unproven says whether an error is a credential's, which package azidentity exports
// in part.
func unproven(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if strings.HasPrefix(fmt.Sprintf("%T", err), "*azidentity.") {
			return true
		}
	}
	return false
}

// CheckEndpoint refuses an endpoint that cannot take a token, in words that say
// which setting is wrong; the SDK finds out at the first call only.
func CheckEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" {
		return errors.New("storage endpoint must look like https://ACCOUNT.SERVICE.core.windows.net")
	}
	return nil
}

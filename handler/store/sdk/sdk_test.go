package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/sdk"
)

func TestTranslateAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		code   string
		want   error // nil: a fault of the program
	}{
		{409, "EntityAlreadyExists", store.ErrExists},
		{409, "BlobAlreadyExists", store.ErrExists},
		{404, "EntityNotFound", store.ErrMissing},
		{404, "ResourceNotFound", store.ErrMissing},
		{404, "BlobNotFound", store.ErrMissing},
		{404, "MessageNotFound", store.ErrMissing},
		{400, "PopReceiptMismatch", store.ErrMissing},
		{400, "InvalidBlockList", store.ErrMissing},
		{412, "UpdateConditionNotSatisfied", store.ErrChanged},
		{412, "ConditionNotMet", store.ErrChanged},
		{400, "Md5Mismatch", store.ErrUnavailable},
		{400, "Crc64Mismatch", store.ErrUnavailable},
		{400, "PropertyValueTooLarge", nil},
		{405, "", nil},
		{411, "", nil},
		{413, "RequestBodyTooLarge", nil},
		{414, "", nil},
		{415, "", nil},
		{401, "NoAuthenticationInformation", store.ErrUnavailable},
		{403, "AuthorizationPermissionMismatch", store.ErrUnavailable},
		{404, "TableNotFound", store.ErrUnavailable},
		{404, "", store.ErrUnavailable},
		{409, "TableBeingDeleted", store.ErrUnavailable},
		{409, "", store.ErrUnavailable},
		{412, "", store.ErrUnavailable},
		{429, "", store.ErrUnavailable},
		{500, "OperationTimedOut", store.ErrUnavailable},
		{503, "ServerBusy", store.ErrUnavailable},
	} {
		t.Run(fmt.Sprint(c.status, c.code), func(t *testing.T) {
			t.Parallel()
			err := sdk.Translate("get row", fmt.Errorf("wrapped: %w", &azcore.ResponseError{StatusCode: c.status, ErrorCode: c.code}))
			for _, kind := range []error{store.ErrExists, store.ErrMissing, store.ErrChanged, store.ErrUnavailable} {
				if errors.Is(err, kind) != errors.Is(c.want, kind) {
					t.Errorf("error %v, want %v", err, c.want)
				}
			}
			for _, part := range []string{"get row: ", strconv.Itoa(c.status), c.code} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %v does not tell %q", err, part)
				}
			}
			if _, ok := errors.AsType[*azcore.ResponseError](err); ok {
				t.Error("an error of the SDK climbed out")
			}
		})
	}
}

func TestTranslateTellsWhoLacksARole(t *testing.T) {
	t.Parallel()
	const host = "account.table.core.windows.net"
	for _, c := range []struct {
		code string
		want store.RoleError
	}{
		{"AuthorizationPermissionMismatch", store.RoleError{Host: host}},
		{"AuthorizationFailure", store.RoleError{}}, // a firewall
	} {
		answer := &http.Response{Request: &http.Request{URL: &url.URL{Scheme: "https", Host: host, Path: "/rows"}}}
		err := sdk.Translate("get row", &azcore.ResponseError{StatusCode: http.StatusForbidden, ErrorCode: c.code, RawResponse: answer})
		if got, _ := errors.AsType[store.RoleError](err); got != c.want || !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: %v", c.code, err)
		}
	}
}

func TestTranslateNoAnswer(t *testing.T) {
	t.Parallel()
	at := func(err error) error {
		return &url.Error{Op: "Get", URL: "https://account.blob.core.windows.net/c/b?sig=secret", Err: err}
	}
	for name, c := range map[string]struct {
		err  error
		ends error
		text string
	}{
		"cancelled":         {at(context.Canceled), context.Canceled, "context canceled"},
		"too late":          {at(context.DeadlineExceeded), context.DeadlineExceeded, "context deadline exceeded"},
		"connection lost":   {at(errors.New("connection reset by peer")), nil, "connection reset by peer"},
		"something else":    {errors.New("POST https://login?secret"), nil, "*errors.errorString"},
		"credential failed": {fmt.Errorf("wrapped: %w", azidentity.NewCredentialUnavailableError("secret")), store.ErrIdentity, "no identity in Azure"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := sdk.Translate("get row", c.err)
			if !errors.Is(err, store.ErrUnavailable) || c.ends != nil && !errors.Is(err, c.ends) {
				t.Errorf("error %v", err)
			}
			if want := "get row: storage unavailable: " + c.text; err.Error() != want {
				t.Errorf("error %q, want %q", err, want)
			}
		})
	}
	if err := sdk.Translate("get row", nil); err != nil {
		t.Errorf("nil became %v", err)
	}
}

func TestDoCreatesWhatIsMissing(t *testing.T) {
	t.Parallel()
	failed := errors.New("cannot create")
	missing := func(code string) error {
		return &azcore.ResponseError{StatusCode: http.StatusNotFound, ErrorCode: code}
	}
	for name, c := range map[string]struct {
		answers []error // of call, in order
		create  error
		want    error
		log     string
	}{
		"nothing missing":       {[]error{nil}, nil, nil, "call"},
		"table":                 {[]error{missing("TableNotFound"), nil}, nil, nil, "call create call"},
		"container":             {[]error{missing("ContainerNotFound"), nil}, nil, nil, "call create call"},
		"queue":                 {[]error{missing("QueueNotFound"), nil}, nil, nil, "call create call"},
		"row":                   {[]error{missing("ResourceNotFound")}, nil, store.ErrMissing, "call"},
		"then a row":            {[]error{missing("TableNotFound"), missing("ResourceNotFound")}, nil, store.ErrMissing, "call create call"},
		"still, after creation": {[]error{missing("TableNotFound"), missing("TableNotFound")}, nil, store.ErrUnavailable, "call create call"},
		"and cannot be created": {[]error{missing("TableNotFound")}, failed, failed, "call create"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log []string
			err := sdk.Do(t.Context(), "get row", func(context.Context) error {
				log = append(log, "create")
				return c.create
			}, func(context.Context) error {
				log = append(log, "call")
				answer := c.answers[0]
				c.answers = c.answers[1:]
				return answer
			})
			if !errors.Is(err, c.want) || strings.Join(log, " ") != c.log {
				t.Errorf("error %v after %q, want %v after %q", err, log, c.want, c.log)
			}
		})
	}
}

func TestCheckEndpoint(t *testing.T) {
	t.Parallel()
	for endpoint, good := range map[string]bool{
		"https://account.table.core.windows.net":            true,
		"https://account.table.core.windows.net/":           true,
		"https://devstoreaccount1.table.localhost:10002":    true,
		"http://account.table.core.windows.net":             false,
		"account.table.core.windows.net":                    false,
		"https://account.table.core.windows.net?sig=secret": false,
		"": false,
	} {
		if err := sdk.CheckEndpoint(endpoint); (err == nil) != good || err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: error %v, want good %t", endpoint, err, good)
		}
	}
}

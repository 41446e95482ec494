package blob_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/posthorn/posthorn/handler/store"
)

// refusing answers every request with one status and code.
type refusing struct {
	status int
	code   string
}

func (s refusing) Do(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: s.status, Header: http.Header{"X-Ms-Error-Code": {s.code}}, Body: http.NoBody, Request: r}, nil
}

func TestNewBlobWhereOneIs(t *testing.T) {
	t.Parallel()
	for _, s := range []refusing{{http.StatusConflict, "BlobAlreadyExists"}, {http.StatusPreconditionFailed, "ConditionNotMet"}} {
		c := open(t, s)
		for call, err := range map[string]error{
			"commit": c.Commit(t.Context(), "b", 1, store.BlobHeaders{}),
			"put":    c.Put(t.Context(), "b", nil),
		} {
			if !errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrChanged) {
				t.Errorf("%s, %+v: error %v, want %v", call, s, err, store.ErrExists)
			}
		}
	}
}

package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/posthorn/posthorn/handler/store"
)

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: error %v, want %v", what, err, want)
	}
}

// wantCancelled: whether the call happened is not known, and why is.
func wantCancelled(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("%s with a cancelled context: error %v", what, err)
	}
}

// wantRefused: an error of the program is none of the errors of storage.
func wantRefused(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: not refused", what)
	}
	for _, kind := range []error{store.ErrExists, store.ErrMissing, store.ErrChanged, store.ErrUnavailable} {
		if errors.Is(err, kind) {
			t.Errorf("%s: error %v, want none of package store", what, err)
		}
	}
}

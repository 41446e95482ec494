// Package azuritetest gives a test a running Azurite, and what the Azure SDK needs
// to talk to it: a credential and client options.
//
// Where Azurite is not installed the test is skipped, or fails if the environment
// requires it: handler/test/require says how.
package azuritetest

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/posthorn/posthorn/handler/local/azurite"
	"github.com/posthorn/posthorn/handler/test/require"
)

// StartTime is how long Azurite may take to start on a busy machine.
const StartTime = time.Minute

// Storage is a running Azurite.
type Storage struct {
	*azurite.Azurite
	// Client reaches it as a browser would, without a token.
	Client *http.Client
	// Options are for every client of the SDK; retries are off.
	Options azcore.ClientOptions
	// Credential is believed.
	Credential azcore.TokenCredential
}

// Start runs an Azurite in memory for t and its subtests. It takes two seconds, so
// a package does it once, in the test that holds all that need it.
func Start(t *testing.T) Storage {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), StartTime)
	defer cancel()
	a, err := azurite.Start(ctx, azurite.Config{NodeModules: NodeModules(t)})
	Check(t, err)
	t.Cleanup(func() {
		if err := a.Stop(); err != nil {
			t.Error(err)
		}
	})
	transport, err := azurite.Transport(a.CertFile)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: transport}
	return Storage{
		Azurite: a,
		Client:  client,
		// What Azurite answers is seen as it is. A connection that it ends just when it is used
		// again is no answer: the product tries again, too.
		Options: azcore.ClientOptions{Transport: client, Retry: policy.RetryOptions{
			MaxRetries: 2, RetryDelay: 100 * time.Millisecond, StatusCodes: []int{},
		}},
		Credential: Credential{},
	}
}

// Check ends the test if err, of azurite.Start, is one: as skipped if Azurite is not
// installed and need not be.
func Check(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, azurite.ErrNotInstalled) {
		require.Missing(t, require.Azurite)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// NodeModules is where make setup installs Azurite: beside the go.mod above
// the folder that the test runs in.
func NodeModules(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, azurite.Folder, "node_modules")
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test's folder")
		}
		dir = filepath.Dir(dir)
	}
}

// Credential gives tokens that Azurite believes.
type Credential = azurite.Credential

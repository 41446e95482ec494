// Package world is the built product in a world of its own: the handler and the
// emulator of ACS as processes, Azurite, the identity endpoint of Azure, and a
// caller with a key. In go a test's options, out come addresses, answers, logs
// and what has arrived; at the end of the test all processes end. PlayHost adds the
// calls of the Functions host.
//
// It is for handler/test and handler/bench, which hold the handler against its
// promises and measure it. It imports nothing of the product but the local parts.
// Sizes are bytes.
package world

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"

	"github.com/posthorn/posthorn/handler/local/azurite"
	"github.com/posthorn/posthorn/handler/local/azurite/azuritetest"
	"github.com/posthorn/posthorn/handler/test/require"
)

// MasterKey is the deployment's in all tests.
const MasterKey = "a3c05e1f7b9d24866af0c1d2e3b4958677889910aabbccddeeff001122334455"

// identityHeader proves the handler to the identity endpoint.
const identityHeader = "identity-header-of-the-test"

// Product is what all tests share: three binaries, a storage account and an
// identity. The handler's tables have fixed names, so all handlers of a run are
// instances of one deployment, and share its sending quota.
type Product struct {
	HandlerFile, OperateFile, emulator string
	Storage                            *azurite.Azurite
	storageDir                         string
	identity                           string
	// recipients fetches what a recipient clicks; it follows no redirect.
	Recipients *http.Client
}

// NewProduct builds the three programs.
func NewProduct(tb testing.TB) *Product {
	tb.Helper()
	return &Product{
		HandlerFile: build(tb, "./handler", "handler"),
		OperateFile: build(tb, "./handler/operate", "posthorn"),
		emulator:    build(tb, "./handler/local/emulator/cmd/emulator", "emulator"),
	}
}

// OpenStorage gives the product its account and an identity to open it with.
func (p *Product) OpenStorage(tb testing.TB) {
	tb.Helper()
	p.storageDir = filepath.Join(tb.TempDir(), "storage")
	p.StartStorage(tb)
	tb.Cleanup(func() { p.StopStorage(tb) })
	transport, err := azurite.Transport(p.Storage.CertFile)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(transport.CloseIdleConnections)
	p.Recipients = &http.Client{Transport: transport, CheckRedirect: stay}
	p.identity = identityEndpoint(tb)
}

func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// StartStorage starts Azurite over the same data and, from the second time on,
// on the same ports.
func (p *Product) StartStorage(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), azuritetest.StartTime)
	defer cancel()
	c := azurite.Config{NodeModules: filepath.Join(root(tb), azurite.Folder, "node_modules"), Dir: p.storageDir}
	if before := p.Storage; before != nil {
		c.BlobPort, c.QueuePort, c.TablePort = PortOf(tb, before.Blob), PortOf(tb, before.Queue), PortOf(tb, before.Table)
	}
	a, err := azurite.Start(ctx, c)
	if errors.Is(err, azurite.ErrNotInstalled) {
		require.Missing(tb, require.Azurite)
	}
	if err != nil {
		tb.Fatal(err)
	}
	p.Storage = a
}

// StopStorage ends Azurite; its data stay.
func (p *Product) StopStorage(tb testing.TB) {
	tb.Helper()
	if err := p.Storage.Stop(); err != nil {
		tb.Error(err)
	}
}

// PortOf is the port in a URL.
func PortOf(tb testing.TB, address string) int {
	tb.Helper()
	u, err := url.Parse(address)
	if err != nil {
		tb.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		tb.Fatal(err)
	}
	return port
}

// FreePort was free a moment ago.
func FreePort(tb testing.TB) int {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return PortOf(tb, "http://"+l.Addr().String())
}

// identityEndpoint gives tokens as App Service does. Source: learn.microsoft.com,
// "How to use managed identities for App Service and Azure Functions", REST
// endpoint reference.
func identityEndpoint(tb testing.TB) string {
	tb.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.Header.Get("X-Identity-Header") != identityHeader || q.Get("api-version") != "2019-08-01" || q.Get("resource") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		now := time.Now()
		until := now.Add(time.Hour)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{
			"access_token": azurite.Token(q.Get("resource"), now.Add(-time.Minute), until),
			"expires_on":   strconv.FormatInt(until.Unix(), 10),
			"resource":     q.Get("resource"),
			"token_type":   "Bearer",
		})
	}))
	tb.Cleanup(s.Close)
	return s.URL
}

// Blobs counts the committed blobs of a size. Tests that run at the same time
// tell their files apart by it.
func (p *Product) Blobs(tb testing.TB, size int64) int {
	tb.Helper()
	client, err := azblob.NewClient(p.Storage.Blob, azuritetest.Credential{}, &azblob.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: p.Recipients},
	})
	if err != nil {
		tb.Fatal(err)
	}
	n := 0
	for containers := client.NewListContainersPager(nil); containers.More(); {
		page, err := containers.NextPage(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		for _, c := range page.ContainerItems {
			for blobs := client.NewListBlobsFlatPager(*c.Name, nil); blobs.More(); {
				page, err := blobs.NextPage(tb.Context())
				if err != nil {
					tb.Fatal(err)
				}
				for _, b := range page.Segment.BlobItems {
					if *b.Properties.ContentLength == size {
						n++
					}
				}
			}
		}
	}
	return n
}

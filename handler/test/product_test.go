package test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"

	"github.com/posthorn/posthorn/handler/local/azurite"
	"github.com/posthorn/posthorn/handler/local/azurite/azuritetest"
)

const root = "../.."

// masterKey is the deployment's in all tests.
const masterKey = "a3c05e1f7b9d24866af0c1d2e3b4958677889910aabbccddeeff001122334455"

// identityHeader proves the handler to the identity endpoint.
const identityHeader = "identity-header-of-the-test"

// TestProduct holds all tests, so that the programs are built once and Azurite
// starts once.
func TestProduct(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	t.Run("wrong settings", p.testWrongSettings)
	t.Run("the size of the handler", p.testSize)
	t.Run("with storage", func(t *testing.T) {
		p.openStorage(t)
		// First, while the ledger that all share is empty.
		t.Run("the quota holds", p.testQuota)
		t.Run("together", p.testTogether)
		// Last, since these close the ledger and the storage for all.
		t.Run("ACS asks to wait", p.testACSBusy)
		t.Run("storage goes away", p.testStorageAway)
	})
}

func (p *product) testTogether(t *testing.T) {
	for _, c := range []struct {
		name string
		test func(*testing.T)
	}{
		{"answers that ACS does not give", p.testNoAnswer}, // waits longest, so it begins first
		{"callers", p.testCallers},
		{"commands that cannot work", p.testWrongCommands},
		{"a message is sent", p.testSend},
		{"a repeat is harmless", p.testRepeat},
		{"a file that does not fit", p.testFile},
		{"a file behind a SAS", p.testFileSAS},
		{"the official client for JavaScript", p.testJavaScript},
		{"a body that is cut off", p.testCutOff},
		{"a caller that closes its side", p.testHalfClosed},
		{"a caller that goes away", p.testGoneAway},
		{"a message that ACS refuses", p.testRefusals},
		{"ACS is down", p.testACSDown},
		{"a handler that is killed", p.testKilled},
		{"requests that are wrong", p.testWrongRequests},
		{"naughty strings", p.testNaughtyStrings},
		{"the address that it listens at", p.testListen},
		{"an end with a request under way", p.testDrain},
		{"idle memory", p.testIdleMemory},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t)
		})
	}
}

// product is what all tests share: two binaries, a storage account and an
// identity. The handler's tables have fixed names, so all handlers of a run are
// instances of one deployment, and share its sending quota.
type product struct {
	handler, emulator string
	storage           *azurite.Azurite
	storageDir        string
	identity          string
	// recipients fetches what a recipient clicks; it follows no redirect.
	recipients *http.Client
}

func newProduct(tb testing.TB) *product {
	tb.Helper()
	return &product{
		handler:  build(tb, "./handler", "handler"),
		emulator: build(tb, "./handler/local/emulator/cmd/emulator", "emulator"),
	}
}

// openStorage gives the product its account and an identity to open it with.
func (p *product) openStorage(tb testing.TB) {
	tb.Helper()
	p.storageDir = filepath.Join(tb.TempDir(), "storage")
	p.startStorage(tb)
	tb.Cleanup(func() { p.stopStorage(tb) })
	transport, err := azurite.Transport(p.storage.CertFile)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(transport.CloseIdleConnections)
	p.recipients = &http.Client{Transport: transport, CheckRedirect: stay}
	p.identity = identityEndpoint(tb)
}

func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// startStorage starts Azurite over the same data and, from the second time on,
// on the same ports.
func (p *product) startStorage(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), azuritetest.StartTime)
	defer cancel()
	modules, err := filepath.Abs(filepath.Join(root, "local", "node_modules"))
	if err != nil {
		tb.Fatal(err)
	}
	c := azurite.Config{NodeModules: modules, Dir: p.storageDir}
	if before := p.storage; before != nil {
		c.BlobPort, c.QueuePort, c.TablePort = portOf(tb, before.Blob), portOf(tb, before.Queue), portOf(tb, before.Table)
	}
	a, err := azurite.Start(ctx, c)
	if errors.Is(err, azurite.ErrNotInstalled) && os.Getenv("POSTHORN_TEST_REQUIRE_AZURITE") != "1" {
		tb.Skip("Azurite is not installed: run `make setup`")
	}
	if err != nil {
		tb.Fatal(err)
	}
	p.storage = a
}

func (p *product) stopStorage(tb testing.TB) {
	tb.Helper()
	if err := p.storage.Stop(); err != nil {
		tb.Error(err)
	}
}

func portOf(tb testing.TB, address string) int {
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

// freePort was free a moment ago.
func freePort(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
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

// blobs counts the committed blobs of a size. Tests that run at the same time
// tell their files apart by it.
func (p *product) blobs(tb testing.TB, size int64) int {
	tb.Helper()
	client, err := azblob.NewClient(p.storage.Blob, azuritetest.Credential{}, &azblob.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: p.recipients},
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

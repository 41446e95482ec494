package blob_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"github.com/posthorn/posthorn/handler/local/azurite/azuritetest"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/blob"
	"github.com/posthorn/posthorn/handler/store/limits"
)

// keys is a service that gives out delegation keys and nothing else.
type keys struct {
	given atomic.Int64
	down  atomic.Bool
	slow  time.Duration
}

func (k *keys) Do(r *http.Request) (*http.Response, error) {
	if k.down.Load() {
		return nil, errors.New("connection refused")
	}
	select {
	case <-time.After(k.slow):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	var asked struct{ Start, Expiry string }
	if err := xml.NewDecoder(r.Body).Decode(&asked); err != nil {
		return nil, err
	}
	k.given.Add(1)
	body := fmt.Sprintf(`<UserDelegationKey><SignedOid>o</SignedOid><SignedTid>t</SignedTid><SignedStart>%s</SignedStart>`+
		`<SignedExpiry>%s</SignedExpiry><SignedService>b</SignedService><SignedVersion>2026-02-06</SignedVersion>`+
		`<Value>c2VjcmV0</Value></UserDelegationKey>`, asked.Start, asked.Expiry)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func open(t *testing.T, k policy.Transporter) *blob.Container {
	t.Helper()
	c, err := blob.Open("https://account.blob.core.windows.net/", "files", azuritetest.Credential{}, time.Now, blob.Options{Client: &service.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: k, Retry: policy.RetryOptions{MaxRetries: -1}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func sign(t *testing.T, c *blob.Container, from, until time.Duration) url.Values {
	t.Helper()
	signed, err := c.SignRead(t.Context(), "b", store.BlobHeaders{}, time.Now().Add(from), time.Now().Add(until))
	if err != nil {
		t.Fatal(err)
	}
	address, query, _ := strings.Cut(signed, "?")
	if address != "https://account.blob.core.windows.net/files/b" {
		t.Errorf("URL %s", address)
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func TestSignedURLReadsOneBlobOverHTTPSOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got := sign(t, open(t, &keys{}), -time.Minute, 15*time.Minute)
		for parameter, want := range map[string]string{
			"sp": "r", "spr": "https", "sr": "b",
			"st": "1999-12-31T23:59:00Z", "se": "2000-01-01T00:15:00Z",
			"skt": "1999-12-31T23:45:00Z", "ske": "2000-01-07T23:45:00Z",
		} {
			if got.Get(parameter) != want {
				t.Errorf("%s = %q, want %q", parameter, got.Get(parameter), want)
			}
		}
	})
}

func TestSignedURLStaysWithinItsKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := open(t, &keys{})
		sign(t, c, 0, time.Minute)
		time.Sleep(limits.KeyFresh - time.Second)
		got := sign(t, c, -24*time.Hour, limits.LongestSigned)
		if got.Get("se") > got.Get("ske") || got.Get("st") < got.Get("skt") {
			t.Errorf("URL from %s until %s, key from %s until %s", got.Get("st"), got.Get("se"), got.Get("skt"), got.Get("ske"))
		}
	})
}

func TestDelegationKeyIsRenewed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		later time.Duration
		down  bool
		until time.Duration
		keys  int64
		want  error
	}{
		"a fresh one signs again":                  {limits.KeyFresh - time.Second, false, time.Minute, 1, nil},
		"an older one is renewed":                  {limits.KeyFresh, false, time.Minute, 2, nil},
		"an older one signs while there is no new": {24 * time.Hour, true, 15 * time.Minute, 1, nil},
		"but not beyond its end":                   {24 * time.Hour, true, limits.LongestSigned, 1, store.ErrUnavailable},
		"and not after its end":                    {7 * 24 * time.Hour, true, time.Minute, 1, store.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := &keys{}
				container := open(t, k)
				sign(t, container, 0, time.Minute)
				time.Sleep(c.later)
				k.down.Store(c.down)
				_, err := container.SignRead(t.Context(), "b", store.BlobHeaders{}, time.Now(), time.Now().Add(c.until))
				if !errors.Is(err, c.want) || k.given.Load() != c.keys {
					t.Errorf("error %v after %d keys, want %v after %d", err, k.given.Load(), c.want, c.keys)
				}
			})
		})
	}
}

func TestOneKeyServesAllWhoWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &keys{slow: time.Second}
		c := open(t, k)
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() { sign(t, c, 0, time.Minute) })
		}
		group.Wait()
		if k.given.Load() != 1 {
			t.Errorf("%d keys, want 1", k.given.Load())
		}
	})
}

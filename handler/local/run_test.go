package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"

	"github.com/posthorn/posthorn/handler/local/azurite"
	"github.com/posthorn/posthorn/handler/test/require"
)

// The whole of it, twice, on the same data.
func TestARunFromStartToEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts everything")
	}
	t.Chdir("../..")
	if !azuriteFolder.installed() {
		require.Missing(t, require.Azurite)
	}
	c := freeConfig(t)
	c.Dir = t.TempDir()
	first := start(t, c)
	for _, want := range []string{"Welcome to Posthorn: succeeded\n", "A file that does not fit: succeeded; measurements.csv (12.6 MB) became a link"} {
		if !strings.Contains(first.screen(), want) {
			t.Errorf("the screen lacks %q:\n%s", want, first.screen())
		}
	}
	expectIdentity(t, c)
	if got := sum(download(t, c)); got != measurementsSum {
		t.Errorf("the link leads to a file with SHA-256 %s", got)
	}
	key := read(t, c.path("key"))
	expectQueue(t, c)
	first.end(t)

	second := start(t, c)
	if got := read(t, c.path("key")); got != key || !strings.Contains(second.screen(), strings.TrimSpace(key)) {
		t.Error("the key is another one, or not shown")
	}
	if n := len(inboxOf(t, c)); n != 4 {
		t.Errorf("%d messages after two starts", n)
	}
	t.Run("pages", func(t *testing.T) { expectPages(t, c) })
	second.end(t)
}

type localRun struct {
	cancel context.CancelFunc
	ended  chan error

	mu  sync.Mutex
	out bytes.Buffer
}

func (d *localRun) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.out.Write(p)
}

func (d *localRun) screen() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.out.String()
}

// start returns when the screen is whole.
func start(t *testing.T, c config) *localRun {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	d := &localRun{cancel: cancel, ended: make(chan error, 1)}
	go func() { d.ended <- run(ctx, c, os.Environ(), d, false) }()
	t.Cleanup(cancel)
	for !strings.Contains(d.screen(), "Ctrl-C") {
		select {
		case err := <-d.ended:
			t.Fatalf("ended with %v\n%s", err, d.screen())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return d
}

// end expects a calm end that leaves every address free.
func (d *localRun) end(t *testing.T) {
	t.Helper()
	d.cancel()
	if err := <-d.ended; err != nil {
		t.Errorf("ended with %v", err)
	}
}

// expectQueue wants what is put into a queue to reach the gateway: in this one, a
// wake-up message that the gateway can only complain about. It is put there by the connection
// that the real host would read it by.
func expectQueue(t *testing.T, c config) {
	t.Helper()
	transport, err := azurite.Transport(c.certFile())
	if err != nil {
		t.Fatal(err)
	}
	defer transport.CloseIdleConnections()
	q, err := azqueue.NewQueueClientFromConnectionString(settingsIn(c.hostEnv())["POSTHORN_QUEUE"], "posthorn-dispatch-poison", &azqueue.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: &http.Client{Transport: transport}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.EnqueueMessage(t.Context(), base64.StdEncoding.EncodeToString([]byte("no wake-up message")), nil); err != nil {
		t.Fatal(err)
	}
	for range 3000 {
		if strings.Contains(read(t, c.path("log/gateway.log")), "wake-up message failed too often") {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("the gateway was not called")
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func fetch(t *testing.T, url string) []byte {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v", url, resp.StatusCode, err)
	}
	return data
}

type summary struct{ ID, Subject string }

func inboxOf(t *testing.T, c config) []summary {
	t.Helper()
	var list struct{ Messages []summary }
	if err := json.Unmarshal(fetch(t, "http://"+c.Inbox+"/api/messages"), &list); err != nil {
		t.Fatal(err)
	}
	return list.Messages
}

var link = regexp.MustCompile(`http://127\.0\.0\.1:\d+/files/[\w-]+`)

// download follows the link in the message whose file did not fit.
func download(t *testing.T, c config) []byte {
	t.Helper()
	for _, m := range inboxOf(t, c) {
		if url := link.Find(fetch(t, "http://"+c.Inbox+"/api/messages/"+m.ID)); url != nil {
			return fetch(t, string(url))
		}
	}
	t.Fatal("no message has a link")
	return nil
}

// expectIdentity asks who it is with a token of the local tenant, as an app with a
// managed identity would.
func expectIdentity(t *testing.T, c config) {
	t.Helper()
	ask := func(url, name, value string) (answer map[string]any) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(name, value)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
			t.Fatalf("%s: %v", res.Status, err)
		}
		return answer
	}
	token, _ := ask("http://"+c.Identity+identityPath+"?api-version=2019-08-01&resource="+localAudience, "X-Identity-Header", identitySecret)["access_token"].(string)
	if me := ask(c.publicURL()+"/callers/me", "Authorization", "Bearer "+token); me["name"] != callerName || me["proof"] != "token" {
		t.Errorf("the token stands for %v", me)
	}
}

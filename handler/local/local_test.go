package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller/entra"
	"github.com/posthorn/posthorn/handler/local/emulator"
	"github.com/posthorn/posthorn/handler/local/pack"
	"github.com/posthorn/posthorn/handler/settings"
)

// The quota of one's own works without its two settings, here and in a shell.
func TestAQuotaOfOnesOwn(t *testing.T) {
	t.Parallel()
	c, err := readConfig([]string{"POSTHORN_QUOTA=custom", "POSTHORN_LOCAL_NAMES=laptop"})
	if err != nil {
		t.Fatal(err)
	}
	values := settingsIn(c.gatewayEnv(nil))
	if values["POSTHORN_QUOTA_PER_MINUTE"] != "200000" || values["POSTHORN_QUOTA_PER_HOUR"] != "5000000" {
		t.Errorf("a shell gets %v", values)
	}
	if own := settingsIn(c.gatewayEnv([]string{"POSTHORN_QUOTA_PER_MINUTE=7"})); own["POSTHORN_QUOTA_PER_MINUTE"] != "7" {
		t.Errorf("one's own is %v", own)
	}
	if !slices.Contains(c.names().More, "laptop") {
		t.Errorf("the names are %v", c.names())
	}
}

func TestTheGatewayLoadsWhatItIsGiven(t *testing.T) {
	t.Parallel()
	c, err := readConfig([]string{"POSTHORN_LOCAL_GATEWAY=127.0.0.1:9000", "POSTHORN_LOCAL_DIR=/data", "POSTHORN_QUOTA=managed-domain"})
	if err != nil {
		t.Fatal(err)
	}
	// A shell that is set up for a deployment in Azure does not leak into the local run.
	s, err := settings.Load(c.gatewayEnv([]string{
		"POSTHORN_PUBLIC_URL=https://mail.example.com", "AZURE_CLIENT_ID=0f0f", "POSTHORN_CREDENTIAL=azure-cli",
		"POSTHORN_LANGUAGE=de", "POSTHORN_LOG_LEVEL=debug",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if s.PublicURL != "http://127.0.0.1:9000" || s.ClientID != "" || s.Credential != "managed-identity" ||
		s.MasterKeyFile != "/data/master.key" || s.StorageCAFile != "/data/azurite/cert.pem" {
		t.Errorf("fixed settings: %+v", s)
	}
	if s.Language != "de" || s.LogLevel.String() != "DEBUG" || s.Quota != "managed-domain" {
		t.Errorf("free settings: %+v", s)
	}
}

func TestTheSampleSettingsAreThoseOfTheLocalRun(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../local.settings.sample.json")
	if err != nil {
		t.Fatal(err)
	}
	var sample struct{ Values map[string]string }
	if err := json.Unmarshal(data, &sample); err != nil {
		t.Fatal(err)
	}
	c, err := readConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, setting := range append(c.fixedEnv(), c.hostEnv()...) {
		name, want, _ := strings.Cut(setting, "=")
		want = strings.Replace(want, c.Dir, ".local", 1)
		if got, ok := sample.Values[name]; !ok || got != want {
			t.Errorf("%s: the sample has %q, the local run %q", name, got, want)
		}
	}
}

func TestTheEmulatorKeepsTheGatewaysQuota(t *testing.T) {
	t.Parallel()
	for quota, want := range map[string]emulator.Limits{"custom-domain": emulator.CustomDomain, "managed-domain": emulator.ManagedDomain, "custom": {}} {
		if got := (config{Quota: quota}).limits(); got != want {
			t.Errorf("%s: %+v", quota, got)
		}
	}
}

func TestATakenPortIsNamedWithItsSetting(t *testing.T) {
	t.Parallel()
	c := freeConfig(t)
	l, err := net.Listen("tcp", c.Inbox)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	other, err := net.Listen("tcp", c.port(c.QueuePort))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	_, err = claim(t.Context(), c)
	if err == nil {
		t.Fatal("claimed")
	}
	for _, want := range []string{c.Inbox, "choose another with POSTHORN_LOCAL_INBOX=127.0.0.1:", c.port(c.QueuePort), fmt.Sprintf("POSTHORN_LOCAL_QUEUE_PORT=%d", further(c.QueuePort))} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %s", err, want)
		}
	}
	if strings.Contains(err.Error(), c.Gateway) {
		t.Errorf("%q names a free one", err)
	}
	again, err := net.Listen("tcp", c.Gateway)
	if err != nil {
		t.Fatal("a claimed port was kept:", err)
	}
	again.Close()
}

func TestTheIdentityAnswersAsAzureDoes(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	tenant, err := newTenant(config{Identity: "127.0.0.1:8028"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, query, secret string
		status              int
	}{
		{"right", "?api-version=2019-08-01&resource=https://storage.azure.com", identitySecret, 200},
		{"no secret", "?api-version=2019-08-01&resource=https://storage.azure.com", "", 401},
		{"other version", "?api-version=2017-09-01&resource=https://storage.azure.com", identitySecret, 400},
		{"no resource", "?api-version=2019-08-01", identitySecret, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, identityPath+c.query, nil)
			r.Header.Set("X-Identity-Header", c.secret)
			w := httptest.NewRecorder()
			identity(func() time.Time { return now }, tenant).ServeHTTP(w, r)
			if w.Code != c.status {
				t.Fatalf("got %d %s", w.Code, w.Body)
			}
			if c.status != 200 {
				return
			}
			var got map[string]string
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if strings.Count(got["access_token"], ".") != 2 {
				t.Errorf("token %q", got["access_token"])
			}
			delete(got, "access_token")
			want := map[string]string{"expires_on": "1795521600", "resource": "https://storage.azure.com", "token_type": "Bearer"}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestTheLargeSampleIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	data := measurements()
	if len(data) != largeBytes {
		t.Errorf("%d bytes", len(data))
	}
	if got := sum(data); got != measurementsSum {
		t.Errorf("SHA-256 %s", got)
	}
}

const measurementsSum = "8b6ce868f6577252610123e93d045693878c53a197d358328009d57a6788c36a"

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

func TestWhatBecameOfAMessage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ answer, words string }{
		"sent":   {`{"status":"Succeeded","error":null}`, "succeeded"},
		"failed": {`{"status":"Failed","error":{"message":"No such domain."}}`, "failed: No such domain."},
		"moved": {`{"status":"Succeeded","delivery":{"links":[{"name":"a.csv","size":12582912,"expires":"2026-12-23T12:00:00Z"}]}}`,
			"succeeded; a.csv (12.6 MB) became a link, good until 23 December 2026"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var o operation
			if err := json.Unmarshal([]byte(c.answer), &o); err != nil {
				t.Fatal(err)
			}
			if got := o.words(); got != c.words {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestDataInUseIsNotRemoved(t *testing.T) {
	t.Parallel()
	c := config{Dir: filepath.Join(t.TempDir(), "data")}
	if err := reset(c); err != nil {
		t.Errorf("without data: %v", err)
	}
	f, err := own(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeLog(c, "some.log", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := reset(c); err == nil || !strings.Contains(err.Error(), "another run uses the data") {
		t.Errorf("in use: %v", err)
	}
	if err := run(t.Context(), c, nil, io.Discard, false); err == nil || !strings.Contains(err.Error(), "another run uses the data") {
		t.Errorf("a second run: %v", err)
	}
	if _, err := os.Stat(c.path("log/some.log")); err != nil {
		t.Error("data in use was removed:", err)
	}
	f.Close()
	if err := reset(c); err != nil {
		t.Errorf("no longer in use: %v", err)
	}
	if _, err := os.Stat(c.path("log")); err == nil {
		t.Error("data is still there")
	}
}

// tools is a PATH of shell scripts.
func tools(t *testing.T, scripts map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, script := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
}

func TestSetup(t *testing.T) {
	for _, c := range []struct {
		name    string
		scripts map[string]string
		says    string // "" for success
	}{
		{"installs", map[string]string{"node": "echo v22.1.0", "npm": "echo run >> runs"}, ""},
		{"no Node.js", nil, "Node.js is missing"},
		{"old Node.js", map[string]string{"node": "echo v18.20.4"}, "Node.js v18.20.4 is too old"},
		{"odd Node.js", map[string]string{"node": "echo nightly"}, "Node.js nightly is too old"},
		{"no npm", map[string]string{"node": "echo v20.0.0"}, "npm is missing"},
		{"npm fails", map[string]string{"node": "echo v20.0.0", "npm": "echo first; echo 'E404 no such package' >&2; exit 1"}, "E404 no such package"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.MkdirAll(azuriteFolder.modules(), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(azuriteFolder.lockFile(), []byte("{}"), 0o600); err != nil {
				t.Fatal(err)
			}
			tools(t, c.scripts)
			err := setup(t.Context(), config{Dir: t.TempDir()}, io.Discard, azuriteFolder)
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) || azuriteFolder.installed() {
					t.Errorf("got %v, installed %t", err, azuriteFolder.installed())
				}
				return
			}
			if err != nil || !azuriteFolder.installed() {
				t.Fatalf("got %v, installed %t", err, azuriteFolder.installed())
			}
			if err := setup(t.Context(), config{Dir: t.TempDir()}, io.Discard, azuriteFolder); err != nil {
				t.Fatal(err)
			}
			if runs, _ := os.ReadFile(filepath.Join(azuriteFolder.dir, "runs")); string(runs) != "run\n" {
				t.Errorf("npm ran %q", runs)
			}
			if err := os.WriteFile(azuriteFolder.lockFile(), []byte(`{"new":1}`), 0o600); err != nil {
				t.Fatal(err)
			}
			if azuriteFolder.installed() {
				t.Error("a changed lock file is not noticed")
			}
		})
	}
}

// What `make func` hands to Core Tools, seen as they would see it. A run under Core
// Tools themselves is not part of the tests.
func TestUnderFuncTheAppIsToldTheSameSettings(t *testing.T) {
	c := freeConfig(t)
	c.Dir, c.Quota = t.TempDir(), "custom"
	tools(t, map[string]string{"func": `echo "$@ $SSL_CERT_FILE"; trap 'exit 0' INT; while :; do :; done`})
	dir := t.TempDir()
	if err := pack.Dir("../..", os.Args[0], dir); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", c.Gateway)
	if err != nil {
		t.Fatal(err)
	}
	env := c.gatewayEnv([]string{
		"POSTHORN_QUOTA_PER_MINUTE=600", "POSTHORN_QUOTA_PER_HOUR=6000", "POSTHORN_LANGUAGE=de", "OTEL_EXPORTER_OTLP_HEADERS=a=b",
		"POSTHORN_PUBLIC_URL=https://mail.example.com", "POSTHORN_QUEUE__queueServiceUri=https://a.queue.core.windows.net",
		"POSTHORN_LOCAL_DIR=/elsewhere", "HOME=/root",
	})
	ctx, cancel := context.WithCancel(t.Context())
	said, ended := make(lineChannel, 1), make(chan error, 1)
	go func() { ended <- underFunc(ctx, c, gatewayRun{dir: dir, env: env}, l, said) }()
	_, port, _ := net.SplitHostPort(c.Gateway)
	if got := <-said; got != "start --port "+port+" "+c.certFile()+"\n" {
		t.Errorf("func was called with %q", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, name := range []string{"emails-send", "healthz", "cleanup", "watchdog", "dispatch", "dispatch-poison"} {
		_, err := os.Stat(filepath.Join(dir, name))
		if triggered := runtime.GOOS == "linux" || name == "emails-send" || name == "healthz"; (err == nil) != triggered {
			t.Errorf("%s: %v, want it to be there: %t", name, err, triggered)
		}
	}
	var file struct{ Values map[string]string }
	if err := json.Unmarshal([]byte(read(t, filepath.Join(dir, "local.settings.json"))), &file); err != nil {
		t.Fatal(err)
	}
	queue := ";QueueEndpoint=https://" + c.port(c.QueuePort) + "/devstoreaccount1;"
	for _, connection := range []string{"POSTHORN_QUEUE", "AzureWebJobsStorage"} {
		if !strings.Contains(file.Values[connection], queue) {
			t.Errorf("%s is %q, without %s", connection, file.Values[connection], queue)
		}
	}
	for name, want := range map[string]string{
		"FUNCTIONS_WORKER_RUNTIME": "custom", "POSTHORN_PUBLIC_URL": "http://" + c.Gateway, "POSTHORN_QUEUE__queueServiceUri": "",
		"POSTHORN_QUOTA": "custom", "POSTHORN_QUOTA_PER_MINUTE": "600", "POSTHORN_QUOTA_PER_HOUR": "6000", "POSTHORN_LANGUAGE": "de",
		"OTEL_EXPORTER_OTLP_HEADERS": "a=b", "IDENTITY_HEADER": identitySecret,
	} {
		if got, ok := file.Values[name]; got != want || !ok {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"POSTHORN_LOCAL_DIR", "HOME"} {
		if got, ok := file.Values[name]; ok {
			t.Errorf("%s is there: %q", name, got)
		}
	}
	if err := writeEnv(c, env); err != nil {
		t.Fatal(err)
	}
	if got := read(t, c.path("env")); !strings.Contains(got, "export POSTHORN_QUOTA_PER_MINUTE='600'\n") || strings.Contains(got, "HOME") {
		t.Errorf("a shell is given %s", got)
	}
}

type lineChannel chan string

func (c lineChannel) Write(p []byte) (int, error) {
	c <- string(p)
	return len(p), nil
}

// freeConfig has addresses that were free a moment ago.
func freeConfig(t *testing.T) config {
	t.Helper()
	var ports [8]int
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // only at the end, so that all differ
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	var c config
	return config{
		Gateway: c.port(ports[0]), Inbox: c.port(ports[1]), Emulator: c.port(ports[2]), Downloads: c.port(ports[3]), Identity: c.port(ports[4]),
		BlobPort: ports[5], QueuePort: ports[6], TablePort: ports[7], Quota: "custom-domain",
	}
}

// The gateway of the local run believes its tokens, for itself alone.
func TestLocalTokensAreForTheGateway(t *testing.T) {
	t.Parallel()
	var local tenant
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	defer server.Close()
	local, err := newTenant(config{Identity: server.Listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	handler = identity(time.Now, local)
	v := entra.New(entra.Config{
		Tenant: localTenant, Audiences: []string{localAudience}, Authority: server.URL,
		Client: server.Client(), Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	for audience, good := range map[string]bool{localAudience: true, "https://storage.azure.com": false} {
		token, err := local.token(audience, time.Now(), time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if id, err := v.Verify(t.Context(), token); (err == nil) != good || good && (id.App != localApp || id.Object != localObject) {
			t.Errorf("%s: got %+v, %v", audience, id, err)
		}
	}
}

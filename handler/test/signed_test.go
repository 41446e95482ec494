package test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/posthorn/posthorn/handler/local/host"
	"github.com/posthorn/posthorn/handler/local/pack"
	"github.com/posthorn/posthorn/handler/test/world"
)

// sdk is one of Microsoft's, as its source has it: what it signs, and what it sends,
// for an endpoint.
type sdk struct {
	name               string
	host, sentAs       func(endpoint *url.URL) string
	colon, colonIsSent string // how the path of emails:send is written
}

// The sources are, in this order, of azure-sdk-for-js (communication-common,
// communicationAccessKeyCredentialPolicy), -net (Communication/Shared,
// HMACAuthenticationPolicy), -java (azure-communication-common,
// HmacAuthenticationPolicy: it leaves the port out, of the Host header too) and
// -python (azure-communication-email, HMACCredentialsPolicy).
var sdks = []sdk{
	{"JavaScript", authority, authority, ":", ":"},
	{".NET", authority, authority, ":", ":"},
	{"Java", (*url.URL).Hostname, (*url.URL).Hostname, ":", ":"},
	{"Python", func(u *url.URL) string { return u.Host }, authority, ":", ":"},
	{"Python, where its pipeline escapes the path", func(u *url.URL) string { return u.Host }, authority, "%3A", "%3A"},
	{"a client that signs what it escapes afterwards", authority, authority, ":", "%3A"},
	{"a client that escapes what it signs alone", authority, authority, "%3A", ":"},
}

// authority is what a URL parser of the WHATWG's or .NET's makes of a host.
func authority(u *url.URL) string {
	return strings.TrimSuffix(strings.ToLower(u.Host), ":443")
}

// testSignedBehindHost signs as each of Microsoft's SDKs does, and sends through the
// Functions host, which changes Host and the path.
func (p *product) testSignedBehindHost(t *testing.T) {
	w := newDeployment(t, p, world.Options{})
	at := w.behindHost(t)
	for _, name := range []struct{ name, endpoint string }{
		{"the public name", at},
		{"the app's own name", "https://shop.azurewebsites.net"},
		{"a custom domain", "https://mail.example.org"},
		{"a custom domain with a port", "https://mail.example.org:8443"},
	} {
		for _, s := range sdks {
			t.Run(s.name+" under "+name.name, func(t *testing.T) {
				t.Parallel()
				endpoint, err := url.Parse(name.endpoint)
				if err != nil {
					t.Fatal(err)
				}
				const query = "?api-version=2025-09-01"
				a := w.sendSigned(t, s, at, endpoint, http.MethodPost, "/emails:send"+query, world.Message())
				if a.StatusCode != http.StatusAccepted {
					t.Fatalf("a message: %s: %s", a.Status, a.Body)
				}
				a = w.sendSigned(t, s, at, endpoint, http.MethodGet, world.Operation(a.Document(t).ID)+query, "")
				if a.StatusCode != http.StatusOK {
					t.Errorf("its status: %s: %s", a.Status, a.Body)
				}
			})
		}
	}
	t.Run("under a name that was not used", func(t *testing.T) {
		t.Parallel()
		other := sdk{"", func(*url.URL) string { return "mail.example.net" }, authority, ":", ":"}
		endpoint := &url.URL{Scheme: "https", Host: "mail.example.org"}
		w.sendSigned(t, other, at, endpoint, http.MethodPost, "/emails:send", world.Message()).Want(t, http.StatusUnauthorized, "unauthenticated")
	})
	t.Run("the official client for JavaScript, under another name than the public one", func(t *testing.T) {
		t.Parallel()
		_, key, _ := strings.Cut(w.Connection, "accesskey=")
		endpoint := strings.Replace(at, "127.0.0.1", "localhost", 1)
		if said := w.sendByClient(t, "endpoint="+endpoint+"/;accesskey="+key, world.Message()); said.ID == "" {
			t.Errorf("the client says %+v", said)
		}
	})
}

// behindHost starts the world's handler once more, under the stand-in for the
// Functions host, and returns the host's address, which is the public one. Queue and
// timers are those of the other tests, so this host has none.
func (w *deployment) behindHost(t *testing.T) (address string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = "http://" + l.Addr().String()
	dir := t.TempDir()
	if err := pack.Dir(root, w.HandlerFile, dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dispatch", "dispatch-poison", "cleanup", "watchdog"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	said := &world.Output{}
	h, err := host.New(host.Config{
		Dir: dir, Env: append(w.Env, "POSTHORN_PUBLIC_URL="+address, "WEBSITE_HOSTNAME=shop.azurewebsites.net"),
		Output: said, Log: slog.New(slog.NewTextHandler(said, nil)), StartTime: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(ctx, l) }()
	t.Cleanup(func() {
		end()
		if err := <-ended; err != nil {
			t.Errorf("the host: %v", err)
		}
		if t.Failed() {
			t.Logf("the host and its handler said:\n%s", said.String())
		}
	})
	return address
}

// sendSigned makes a request as an SDK does.
func (w *deployment) sendSigned(t *testing.T, s sdk, at string, endpoint *url.URL, method, target, body string) world.Answer {
	t.Helper()
	_, access, _ := strings.Cut(w.Connection, "accesskey=")
	key, err := base64.StdEncoding.DecodeString(access)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(body))
	hash, date := base64.StdEncoding.EncodeToString(sum[:]), time.Now().UTC().Format(http.TimeFormat)
	m := hmac.New(sha256.New, key)
	m.Write([]byte(method + "\n" + strings.Replace(target, ":", s.colon, 1) + "\n" + date + ";" + s.host(endpoint) + ";" + hash))
	req, err := http.NewRequestWithContext(t.Context(), method, at+strings.Replace(target, ":", s.colonIsSent, 1), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = s.sentAs(endpoint)
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Operation-Id": uuid.NewString(), "x-ms-date": date, "x-ms-content-sha256": hash,
		"Authorization": "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=" + base64.StdEncoding.EncodeToString(m.Sum(nil)),
	} {
		req.Header.Set(name, value)
	}
	res, err := w.Client.Do(req)
	if err != nil {
		t.Fatal(errors.Unwrap(err))
	}
	return world.Read(t, res)
}

package acs_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/posthorn/posthorn/handler/deliver/acs"
)

const (
	id  = "0f8fad5b-d9cb-469f-a165-70867728950e"
	key = "bm90IGEgc2VjcmV0LCBvbmx5IGEgdGVzdCB2ZWN0b3I="
)

// request is what a service has seen.
type request struct {
	method, uri, host string
	header            http.Header
	length            int64
	body              []byte
}

// service is a fake ACS that keeps what it sees.
type service struct {
	*httptest.Server
	mu   sync.Mutex
	seen []request
}

func (s *service) requests() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]request(nil), s.seen...)
}

// serve starts a service that reads a request to its end and then answers.
func serve(tb testing.TB, answer http.HandlerFunc) *service {
	tb.Helper()
	s := newService(answer)
	s.Start()
	tb.Cleanup(s.Close)
	return s
}

func serveTLS(tb testing.TB, answer http.HandlerFunc) *service {
	tb.Helper()
	s := newService(answer)
	s.StartTLS()
	tb.Cleanup(s.Close)
	return s
}

func newService(answer http.HandlerFunc) *service {
	s := new(service)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.seen = append(s.seen, request{r.Method, r.RequestURI, r.Host, r.Header, r.ContentLength, body})
		s.mu.Unlock()
		answer(w, r)
	}))
	return s
}

// accept answers as the service was recorded to.
func accept(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Operation-Location", "https://elsewhere.example.com//emails/operations/"+id+"?api-version=2023-03-31")
	w.Header().Set("Retry-After", "3")
	w.Header().Set("MS-CV", "vector-1.0")
	w.Header().Set("Mise-Correlation-Id", "correlation-1")
	w.Header().Set("X-Azure-Ref", "reference-1")
	w.WriteHeader(http.StatusAccepted)
	io.WriteString(w, `{"id":"`+id+`","status":"Running","error":null}`)
}

// say answers with a status, headers in pairs, and a body.
func say(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func keyClient(tb testing.TB, endpoint string, o *acs.ClientOptions) *acs.Client {
	tb.Helper()
	c, err := acs.NewClientWithKey(endpoint, key, o)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func withTransport(transport policy.Transporter) *acs.ClientOptions {
	return &acs.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: transport}}
}

// transportFunc is a policy.Transporter.
type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

// tokens is a TokenCredential that counts and remembers.
type tokens struct {
	mu     sync.Mutex
	asked  []policy.TokenRequestOptions
	failed error
}

func (c *tokens) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, o)
	token := "token-" + string(rune('0'+len(c.asked)))
	return azcore.AccessToken{Token: token, ExpiresOn: time.Now().Add(time.Hour)}, c.failed
}

func hello() *acs.Message {
	return &acs.Message{
		SenderAddress: "donotreply@example.com",
		To:            []acs.Address{{Address: "ann@example.org"}},
		Subject:       "Hello",
		PlainText:     "Hello, Ann.",
	}
}

// large returns a message that no buffer of a connection holds.
func large() *acs.Message {
	m := hello()
	m.Attachments = []acs.Attachment{{Name: "a.bin", ContentType: "application/octet-stream", Content: bytes.Repeat([]byte("0123456789"), 1<<20)}}
	return m
}

// signed checks a request against the documented algorithm, from what arrived.
func signed(r request) bool {
	secret, _ := base64.StdEncoding.DecodeString(key)
	sum := sha256.Sum256(r.body)
	hash := base64.StdEncoding.EncodeToString(sum[:])
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(r.method + "\n" + r.uri + "\n" + r.header.Get("x-ms-date") + ";" + r.host + ";" + hash))
	return r.header.Get("x-ms-content-sha256") == hash && r.header.Get("Authorization") ==
		"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature="+base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

package acs

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// signer signs requests with an access key. Source: learn.microsoft.com,
// "Sign an HTTP request" of Azure Communication Services.
type signer struct {
	macs sync.Pool // of hash.Hash, which are keyed
	now  func() time.Time
}

func newSigner(accessKey string, now func() time.Time) (*signer, error) {
	key, err := base64.StdEncoding.DecodeString(accessKey)
	if err != nil || len(key) == 0 {
		return nil, errors.New("acs: the access key is not Base64") // err would quote from the key
	}
	return &signer{macs: sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}, now: now}, nil
}

// Do signs every try anew, because the service accepts a date for 5 minutes.
func (s *signer) Do(req *policy.Request) (*http.Response, error) {
	sum := sha256.New()
	if content := req.Body(); content != nil {
		if _, err := io.CopyBuffer(sum, content, make([]byte, min(req.Raw().ContentLength, wholeBytes))); err != nil {
			return nil, err
		}
		if err := req.RewindBody(); err != nil {
			return nil, err
		}
	}
	r := req.Raw()
	s.sign(r, base64.StdEncoding.EncodeToString(sum.Sum(nil)))
	return req.Next()
}

func (s *signer) sign(r *http.Request, contentHash string) {
	date := s.now().UTC().Format(http.TimeFormat)
	mac := s.macs.Get().(hash.Hash) //nolint:forcetypeassert // the pool holds nothing else
	defer s.macs.Put(mac)
	mac.Reset()
	mac.Write([]byte(r.Method + "\n" + r.URL.RequestURI() + "\n" + date + ";" + r.Host + ";" + contentHash))
	r.Header.Set("X-Ms-Date", date)
	r.Header.Set("X-Ms-Content-Sha256", contentHash)
	r.Header.Set("Authorization", "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature="+
		base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

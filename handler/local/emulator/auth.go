package emulator

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

// clockMargin is how far x-ms-date may be from our clock.
// Source: ACS's own refusal, "allowed margin of 5 minutes".
const clockMargin = 5 * time.Minute

const signedHeaders = "x-ms-date;host;x-ms-content-sha256"

// authenticate checks the Authorization header over r and its body.
// Source: learn.microsoft.com, "Sign an HTTP request for Azure Communication
// Services".
func (e *Emulator) authenticate(r *http.Request, body []byte) *refusal {
	scheme, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case strings.EqualFold(scheme, "Bearer") && looksLikeJWT(credentials):
		return nil
	case strings.EqualFold(scheme, "HMAC-SHA256") && !e.cfg.BearerOnly:
		return e.checkSignature(r, credentials, body)
	}
	return denied()
}

func (e *Emulator) checkSignature(r *http.Request, credentials string, body []byte) *refusal {
	signature, ok := strings.CutPrefix(credentials, "SignedHeaders="+signedHeaders+"&Signature=")
	if !ok {
		return denied()
	}
	date := r.Header.Get("x-ms-date")
	signed, err := http.ParseTime(date)
	if err != nil {
		return denied()
	}
	if e.cfg.Now().Sub(signed).Abs() > clockMargin {
		return skewed()
	}
	sum := sha256.Sum256(body)
	hash := base64.StdEncoding.EncodeToString(sum[:])
	if r.Header.Get("x-ms-content-sha256") != hash {
		return denied()
	}
	got, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return denied()
	}
	text := r.Method + "\n" + r.RequestURI + "\n" + date + ";" + r.Host + ";" + hash
	for _, key := range e.keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(text))
		if hmac.Equal(mac.Sum(nil), got) {
			return nil
		}
	}
	return denied()
}

// looksLikeJWT checks the form only (RFC 7519 section 3): the emulator has
// nobody to ask whether a token is genuine.
func looksLikeJWT(token string) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	for _, p := range parts {
		if b, err := base64.RawURLEncoding.DecodeString(p); err != nil || len(b) == 0 {
			return false
		}
	}
	return true
}

// newUUID is a random UUID, version 4 (RFC 9562 section 5.4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand, since Go 1.24
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// canonicalUUID returns s in lower case, and whether it is a UUID at all.
func canonicalUUID(s string) (string, bool) {
	digits := strings.ReplaceAll(s, "-", "")
	if _, err := hex.DecodeString(digits); err != nil || len(s) != 36 || len(digits) != 32 ||
		s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return "", false
	}
	return strings.ToLower(s), true
}

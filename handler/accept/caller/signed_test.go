package caller_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/problem"
)

const (
	target = "/emails:send?api-version=2025-09-01"
	host   = "mail.example.com"
)

var signedBody = []byte(`{"a":1}`)

// sign does what ACS's SDKs do, written from Microsoft's description.
func sign(accessKey, method, target, date, host string, body []byte) http.Header {
	key, _ := base64.StdEncoding.DecodeString(accessKey)
	sum := sha256.Sum256(body)
	hash := base64.StdEncoding.EncodeToString(sum[:])
	m := hmac.New(sha256.New, key)
	m.Write([]byte(method + "\n" + target + "\n" + date + ";" + host + ";" + hash))
	h := http.Header{}
	h.Set("x-ms-date", date)
	h.Set("x-ms-content-sha256", hash)
	h.Set("Authorization", "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature="+base64.StdEncoding.EncodeToString(m.Sum(nil)))
	return h
}

// signing is a caller that may sign, one that may not, and a date.
type signing struct {
	*office
	shop, plain string
}

func newSigning(t *testing.T) signing {
	t.Helper()
	s := signing{office: newOffice()}
	s.plain = base64.StdEncoding.EncodeToString(s.MACs("plain", 1)[0])
	s.shop = s.add(t, "shop", caller.Policy{HMAC: true}).AccessKey
	if got := s.add(t, "plain", caller.Policy{}); got.AccessKey != "" {
		t.Error("a caller that may not sign was given an access key")
	}
	return s
}

func (s signing) date(d time.Duration) string { return s.clock.Add(d).Format(http.TimeFormat) }

// good is the header of a request that is signed as it should be.
func (s signing) good() http.Header {
	return sign(s.shop, http.MethodPost, target, s.date(0), host, signedBody)
}

func (s signing) authenticate(t *testing.T, h http.Header) (caller.Proof, error) {
	t.Helper()
	return s.Authenticate(t.Context(), caller.Request{Method: http.MethodPost, Target: target, Hosts: []string{host, "", "other.example.com:7071"}, Header: h})
}

func TestSignedRequests(t *testing.T) {
	t.Parallel()
	s := newSigning(t)
	for _, c := range []struct {
		name   string
		header http.Header
	}{
		{"as it should be", s.good()},
		{"under the second host name", sign(s.shop, "POST", target, s.date(0), "other.example.com:7071", signedBody)},
		{"five minutes early", sign(s.shop, "POST", target, s.date(-5*time.Minute), host, signedBody)},
		{"five minutes late", sign(s.shop, "POST", target, s.date(5*time.Minute), host, signedBody)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sum := sha256.Sum256(signedBody)
			proof, err := s.authenticate(t, c.header)
			if err != nil || proof.Caller.Name != "shop" || string(proof.BodySHA256) != string(sum[:]) {
				t.Errorf("got %q, %v", proof.Caller.Name, err)
			}
		})
	}
}

// The colon of a target may be written as %3A, by the signer, by the client, and by
// what lies between: the Functions host makes a colon of it.
func TestTheColonOfASignedTarget(t *testing.T) {
	t.Parallel()
	s := newSigning(t)
	colon, escaped := target, strings.Replace(target, ":", "%3A", 1)
	for _, c := range []struct{ name, signed, arrives string }{
		{"as it is", colon, colon},
		{"escaped", escaped, escaped},
		{"escaped, and made a colon on the way", escaped, colon},
		{"signed as it is, and escaped on the way", colon, escaped},
		{"escaped in small letters on the way", colon, strings.ToLower(escaped)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := sign(s.shop, "POST", c.signed, s.date(0), host, signedBody)
			_, err := s.Authenticate(t.Context(), caller.Request{Method: "POST", Target: c.arrives, Hosts: []string{host}, Header: h})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestForgedSignatures(t *testing.T) {
	t.Parallel()
	s := newSigning(t)
	signature := func(edit func(parameters string) string) func(http.Header) {
		return func(h http.Header) { h.Set("Authorization", edit(h.Get("Authorization"))) }
	}
	replace := func(old, with string) func(http.Header) {
		return signature(func(p string) string { return strings.Replace(p, old, with, 1) })
	}
	// mac edits the bytes of the signature, which stays Base64.
	mac := func(edit func([]byte) []byte) func(http.Header) {
		return signature(func(p string) string {
			before, text, _ := strings.Cut(p, "&Signature=")
			sum, _ := base64.StdEncoding.DecodeString(text)
			return before + "&Signature=" + base64.StdEncoding.EncodeToString(edit(sum))
		})
	}
	const list = "x-ms-date;host;x-ms-content-sha256"
	foreign := newOffice(oldMaster).add(t, "shop", caller.Policy{HMAC: true}).AccessKey
	retired := base64.StdEncoding.EncodeToString(s.MACs("shop", 2)[0])
	other := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, c := range []struct {
		name   string
		header http.Header
		change func(http.Header)
	}{
		{"a second more than five minutes early", sign(s.shop, "POST", target, s.date(-5*time.Minute-time.Second), host, signedBody), nil},
		{"a second more than five minutes late", sign(s.shop, "POST", target, s.date(5*time.Minute+time.Second), host, signedBody), nil},
		{"of yesterday", sign(s.shop, "POST", target, s.date(-24*time.Hour), host, signedBody), nil},
		{"a date that is none", sign(s.shop, "POST", target, "now", host, signedBody), nil},
		{"an RFC 3339 date", sign(s.shop, "POST", target, s.clock.Format(time.RFC3339), host, signedBody), nil},
		{"another method", sign(s.shop, "GET", target, s.date(0), host, signedBody), nil},
		{"another path", sign(s.shop, "POST", "/emails?api-version=2025-09-01", s.date(0), host, signedBody), nil},
		{"another query", sign(s.shop, "POST", "/emails:send?api-version=2023-03-31", s.date(0), host, signedBody), nil},
		{"no query", sign(s.shop, "POST", "/emails:send", s.date(0), host, signedBody), nil},
		{"the path in another case", sign(s.shop, "POST", strings.ToUpper(target), s.date(0), host, signedBody), nil},
		{"another host", sign(s.shop, "POST", target, s.date(0), "evil.example.com", signedBody), nil},
		{"another port", sign(s.shop, "POST", target, s.date(0), host+":444", signedBody), nil},
		{"the key of a caller that may not sign", sign(s.plain, "POST", target, s.date(0), host, signedBody), nil},
		{"the key of another deployment", sign(foreign, "POST", target, s.date(0), host, signedBody), nil},
		{"a generation that is not alive", sign(retired, "POST", target, s.date(0), host, signedBody), nil},
		{"no host", sign(s.shop, "POST", target, s.date(0), "", signedBody), nil},
		{"the path written in a third way", sign(s.shop, "POST", strings.Replace(target, "e", "%65", 1), s.date(0), host, signedBody), nil},
		{"an empty key", sign("", "POST", target, s.date(0), host, signedBody), nil},
		{"date changed after signing", s.good(), func(h http.Header) { h.Set("x-ms-date", s.date(time.Second)) }},
		{"hash changed after signing", s.good(), func(h http.Header) { h.Set("x-ms-content-sha256", other) }},
		{"no hash", s.good(), func(h http.Header) { h.Del("x-ms-content-sha256") }},
		{"a hash that is cut off", s.good(), func(h http.Header) { h.Set("x-ms-content-sha256", h.Get("x-ms-content-sha256")[:40]) }},
		{"two hashes", s.good(), func(h http.Header) { h.Add("x-ms-content-sha256", other) }},
		{"two hashes, the other first", s.good(), func(h http.Header) {
			h["X-Ms-Content-Sha256"] = []string{other, h.Get("x-ms-content-sha256")}
		}},
		{"the same hash twice", s.good(), func(h http.Header) { h.Add("x-ms-content-sha256", h.Get("x-ms-content-sha256")) }},
		{"no date", s.good(), func(h http.Header) { h.Del("x-ms-date") }},
		{"two dates", s.good(), func(h http.Header) { h.Add("x-ms-date", s.date(time.Second)) }},
		{"two signatures", s.good(), func(h http.Header) { h.Add("Authorization", h.Get("Authorization")) }},
		{"a signature and a key", s.good(), func(h http.Header) { h.Add("Authorization", "Bearer ph_shop_1_00") }},
		{"signed headers: one is missing", s.good(), replace("x-ms-date;", "")},
		{"signed headers: none", s.good(), replace(list, "")},
		{"signed headers: not said", s.good(), replace("SignedHeaders="+list+"&", "")},
		{"signed headers: one twice", s.good(), replace(list, "x-ms-date;"+list)},
		{"signed headers: one more", s.good(), replace(list, list+";content-type")},
		{"signed headers: in another order", s.good(), replace(list, "host;x-ms-date;x-ms-content-sha256")},
		{"signed headers: in capitals", s.good(), replace(list, strings.ToUpper(list))},
		{"signed headers: said twice", s.good(), replace("&Signature=", "&SignedHeaders=host&Signature=")},
		{"signed headers: after the signature", s.good(), signature(func(p string) string {
			_, mac, _ := strings.Cut(p, "&Signature=")
			return "HMAC-SHA256 Signature=" + mac + "&SignedHeaders=" + list
		})},
		{"another scheme", s.good(), replace("HMAC-SHA256", "HMAC-SHA1")},
		{"the scheme in small letters", s.good(), replace("HMAC-SHA256", "hmac-sha256")},
		{"no signature", s.good(), mac(func([]byte) []byte { return nil })},
		{"one byte of the signature", s.good(), mac(func(m []byte) []byte { return m[:1] })},
		{"all but one byte of it", s.good(), mac(func(m []byte) []byte { return m[:31] })},
		{"one byte more", s.good(), mac(func(m []byte) []byte { return append(m, 0) })},
		{"one bit changed", s.good(), mac(func(m []byte) []byte { m[31] ^= 1; return m })},
		{"zeros", s.good(), mac(func(m []byte) []byte { return make([]byte, len(m)) })},
		{"a signature that is no Base64", s.good(), signature(func(p string) string { return p + "!" })},
		{"a signature for URLs", s.good(), signature(func(p string) string { return strings.TrimSuffix(p, "=") })},
		{"a signature with its unused bits set", s.good(), signature(unused)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.change != nil {
				c.change(c.header)
			}
			if proof, err := s.authenticate(t, c.header); !problem.Is(err, problem.Unauthenticated) {
				t.Errorf("got %q, %v", proof.Caller.Name, err)
			}
		})
	}
}

// unused sets a bit of Base64's last letter that no byte has a use for.
func unused(p string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	last := len(p) - 2 // before the =
	return p[:last] + string(letters[strings.IndexByte(letters, p[last])|1]) + p[last+1:]
}

// Each text is hashed for each key, so a stranger does not choose how long it is.
func TestWhatIsSignedIsShort(t *testing.T) {
	t.Parallel()
	s := newSigning(t)
	of := func(length int, start string) string { return start + strings.Repeat("x", length-len(start)) }
	for _, c := range []struct {
		name, target, host string
		good               bool
	}{
		{"the longest target", of(1024, "/quota?"), host, true},
		{"a longer one", of(1025, "/quota?"), host, false},
		{"the longest host", target, of(1024, "mail."), true},
		{"a longer one as host", target, of(1025, "mail."), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := sign(s.shop, http.MethodPost, c.target, s.date(0), c.host, signedBody)
			_, err := s.Authenticate(t.Context(), caller.Request{Method: http.MethodPost, Target: c.target, Hosts: []string{host, c.host}, Header: h})
			if good := err == nil; good != c.good || !good && !problem.Is(err, problem.Unauthenticated) {
				t.Errorf("%v", err)
			}
		})
	}
}

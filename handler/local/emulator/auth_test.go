package emulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"testing"
	"time"
)

func sign(r *http.Request, key string, at time.Time, body string) {
	sum := sha256.Sum256([]byte(body))
	hash := base64.StdEncoding.EncodeToString(sum[:])
	date := at.UTC().Format(http.TimeFormat)
	secret, _ := base64.StdEncoding.DecodeString(key)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(r.Method + "\n" + r.URL.RequestURI() + "\n" + date + ";" + r.Host + ";" + hash))
	r.Header.Set("x-ms-date", date)
	r.Header.Set("x-ms-content-sha256", hash)
	r.Header.Set("Authorization", "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature="+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	const otherKey = "b3RoZXI="
	body := messageTo("ann@example.com")
	signed := func(key string, at time.Time, over string) func(*http.Request) {
		return func(r *http.Request) { sign(r, key, at, over) }
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) {
			sign(r, DevelopmentKey, noon, body)
			r.Header.Set(name, value)
		}
	}
	late := "The given request could not be resolved. The time difference between the originating client and the server is greater than the allowed margin of 5 minutes."
	tests := []struct {
		name    string
		prepare func(*http.Request)
		cfg     Config
		status  int
		message string
	}{
		{name: "signed", prepare: signed(DevelopmentKey, noon, body), status: 202},
		{name: "signed with the second key", prepare: signed(otherKey, noon, body), cfg: Config{Keys: []string{DevelopmentKey, otherKey}}, status: 202},
		{name: "signed five minutes ago", prepare: signed(DevelopmentKey, noon.Add(-5*time.Minute), body), status: 202},
		{name: "signed too long ago", prepare: signed(DevelopmentKey, noon.Add(-5*time.Minute-time.Second), body), status: 401, message: late},
		{name: "signed in the future", prepare: signed(DevelopmentKey, noon.Add(6*time.Minute), body), status: 401, message: late},
		{name: "signed with another key", prepare: signed(otherKey, noon, body), status: 401},
		{name: "signed over another body", prepare: signed(DevelopmentKey, noon, body+" "), status: 401},
		{name: "signed for another host", prepare: func(r *http.Request) { sign(r, DevelopmentKey, noon, body); r.Host = "example.com:8026" }, status: 401},
		{name: "hash of another body", prepare: header("x-ms-content-sha256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="), status: 401},
		{name: "no date", prepare: header("x-ms-date", ""), status: 401},
		{name: "other signed headers", prepare: header("Authorization", "HMAC-SHA256 SignedHeaders=host&Signature=AAAA"), status: 401},
		{name: "signature is no Base64", prepare: header("Authorization", "HMAC-SHA256 SignedHeaders="+signedHeaders+"&Signature=%"), status: 401},
		{name: "nothing", prepare: header("Authorization", ""), status: 401},
		{name: "basic", prepare: header("Authorization", "Basic YTpi"), status: 401},
		{name: "bearer", prepare: header("Authorization", someToken), status: 202},
		{name: "bearer of two parts", prepare: header("Authorization", "Bearer YQ.YQ"), status: 401},
		{name: "bearer that is no Base64", prepare: header("Authorization", "Bearer a.b.!"), status: 401},
		{name: "bearer where keys are refused", prepare: header("Authorization", someToken), cfg: Config{BearerOnly: true}, status: 202},
		{name: "signed where keys are refused", prepare: signed(DevelopmentKey, noon, body), cfg: Config{BearerOnly: true}, status: 401},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e, out := newTest(t, test.cfg)
			r := newCall("POST", "http://127.0.0.1:8026"+sendPath, body)
			r.RequestURI = sendPath // as a server sees it
			test.prepare(r)
			w := call(e, r)
			if test.status == 202 {
				if w.Code != 202 {
					t.Errorf("got %d %s", w.Code, w.Body)
				}
				return
			}
			if test.message == "" {
				test.message = "Denied by the resource provider."
			}
			wantRefusal(t, w, 401, "Denied", test.message)
			if out.count() != 0 {
				t.Error("an unauthenticated message was delivered")
			}
		})
	}
}

func TestKeyThatIsNoBase64(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{Keys: []string{DevelopmentKey, "%"}}); err == nil || err.Error() != "access key 2 is not Base64" {
		t.Errorf("got %v", err)
	}
}

package guard

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestOnly(t *testing.T) {
	t.Parallel()
	names := Names{More: Hosts("mail.test, Laptop", "devbox:8025", "0.0.0.0:1", ":2"), Setting: "POSTHORN_LOCAL_NAMES"}
	for name, of := range map[string]struct {
		method, host, site string
		status             int
		says               string
	}{
		"localhost":                        {"GET", "localhost:8025", "", 200, ""},
		"its dot":                          {"GET", "LOCALHOST.:8025", "", 200, ""},
		"below localhost":                  {"GET", "inbox.localhost", "", 200, ""},
		"IPv4":                             {"GET", "127.0.0.1:8025", "", 200, ""},
		"IPv6":                             {"GET", "[::1]:8025", "", 200, ""},
		"IPv6 without a port":              {"GET", "[::1]", "", 200, ""},
		"an address of the network":        {"POST", "192.168.1.5:8025", "same-origin", 200, ""},
		"the listener's":                   {"GET", "devbox:8025", "", 200, ""},
		"one that was added":               {"GET", "laptop:1", "", 200, ""},
		"no host at all":                   {"GET", "", "", 200, ""},
		"a shell's post":                   {"POST", "localhost", "", 200, ""},
		"another page of this machine":     {"POST", "localhost", "same-site", 200, ""},
		"a link on another site":           {"GET", "localhost", "cross-site", 200, ""},
		"a page of another site that asks": {"OPTIONS", "localhost", "cross-site", 200, ""},
		"another name":                     {"GET", "evil.example:8025", "same-origin", 403, "POSTHORN_LOCAL_NAMES"},
		"a name that begins alike":         {"GET", "localhost.evil.example", "", 403, "POSTHORN_LOCAL_NAMES"},
		"a name that ends alike":           {"GET", "evil-localhost", "", 403, "POSTHORN_LOCAL_NAMES"},
		"a name like an address":           {"GET", "127.0.0.1.nip.example", "", 403, "POSTHORN_LOCAL_NAMES"},
		"another site's post":              {"POST", "localhost", "cross-site", 403, "another site"},
		"another site's delete":            {"DELETE", "127.0.0.1", "cross-site", 403, "another site"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(of.method, "/", nil)
			r.Host = of.host
			if of.site != "" {
				r.Header.Set("Sec-Fetch-Site", of.site)
			}
			w := httptest.NewRecorder()
			names.Only(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
			if w.Code != of.status || !strings.Contains(w.Body.String(), of.says) || strings.Contains(w.Body.String(), "evil") {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}

func TestHosts(t *testing.T) {
	t.Parallel()
	if got := Hosts(" A , ,b:80", "[::1]:8025", ":1"); !slices.Equal(got, []string{"a", "b", "::1"}) {
		t.Errorf("got %q", got)
	}
}

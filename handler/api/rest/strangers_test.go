package rest_test

import (
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/api/hook"
	"github.com/posthorn/posthorn/handler/api/rest"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
)

// forged has the shape of GitHub's signature.
var forged = []string{"X-Hub-Signature-256", "sha256=" + strings.Repeat("0", 64)}

// A client that proves nothing cannot tell a hook that is signed, or has a key, from one that is
// not there, whatever he sends.
func TestHooksAreNotToldApart(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	d.hooked(t, "signed", "github")
	d.hooked(t, "stripe", "stripe")
	d.hooked(t, "keyed", "alertmanager", func(p *hook.Policy) { p.TokenHeader = "X-Gitlab-Token" })
	_, other := d.hooked(t, "other", "alertmanager")
	_, key, _ := strings.Cut(other, "?key=")
	if res := d.post(t, "/hooks/nothere", "{}", forged...); res.StatusCode != http.StatusUnauthorized { // the list is young from here on
		t.Fatal(res.Status)
	}
	for _, c := range []struct {
		name, query, body string
		headers           []string
		status            int // of a POST
	}{
		{"nothing", "", "", nil, 401},
		{"a body", "", "{}", nil, 401},
		{"a key of another hook", "?key=" + key, "{}", nil, 401},
		{"it in a header", "", "{}", []string{"X-Gitlab-Token", key}, 401},
		{"a caller's key", "", "{}", []string{"Authorization", "Bearer " + d.key}, 401},
		{"a forged signature", "", "{}", forged, 401},
		{"one of no right shape", "", "{}", []string{"X-Hub-Signature-256", "sha256=00"}, 401},
		{"an old one", "", "{}", []string{"Stripe-Signature", "t=1,v1=" + strings.Repeat("0", 64)}, 401},
		{"a forged signature over gzip", "", "{}", append([]string{"Content-Encoding", "gzip"}, forged...), 415},
		{"gzip", "", "{}", []string{"Content-Encoding", "gzip"}, 401},
		{"a forged signature and too much", "", strings.Repeat(" ", hook.MaxBodyBytes+1), forged, 413},
		{"too much", "", strings.Repeat(" ", hook.MaxBodyBytes+1), nil, 401},
		{"an origin", "", "{}", []string{"Origin", site}, 401},
		{"what asks to deliver", "", "", []string{"WebHook-Request-Origin", "eventgrid.azure.net"}, 401},
		{"what asks to deliver, wrongly", "", "", []string{"WebHook-Request-Origin", "a b"}, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, method := range []string{"POST", "GET", "HEAD", "OPTIONS", "PUT"} {
				ask := func(name string) string {
					res := d.do(t, d.request(t, method, "/hooks/"+name+c.query, c.body, append([]string{"Authorization", ""}, c.headers...)...))
					if method == "POST" && res.StatusCode != c.status {
						t.Errorf("POST to %s: %s %s", name, res.Status, res.text)
					}
					head := res.Header.Clone()
					head.Del("Date")
					head.Del("X-Request-Id")
					lines := slices.Sorted(maps.Keys(head))
					for i, l := range lines {
						lines[i] = fmt.Sprint(l, head[l])
					}
					return fmt.Sprint(res.Status, lines, res.text)
				}
				want := ask("nothere")
				for _, name := range []string{"signed", "stripe", "keyed", "no%20name"} {
					if got := ask(name); got != want {
						t.Errorf("%s of %s:\n%s\nof one that is not there:\n%s", method, name, got, want)
					}
				}
			}
		})
	}
}

// attacker holds connections to a hook, each with a little of a large body.
type attacker struct {
	t       *testing.T
	address string
	mu      sync.Mutex
	open    []net.Conn
	refused atomic.Int64
}

// attackBytes are more than what needs no piece of the pool, and than small deliveries have.
const attackBytes = 3000

func (a *attacker) attack(head string) {
	c, err := net.Dial("tcp", a.address)
	if err != nil {
		a.t.Error(err)
		return
	}
	a.mu.Lock()
	a.open = append(a.open, c)
	a.mu.Unlock()
	_, _ = io.WriteString(c, head+"\r\n"+strings.Repeat("{", attackBytes))
	answer := make([]byte, len("HTTP/1.1 503"))
	if _, err := io.ReadFull(c, answer); err == nil && strings.HasSuffix(string(answer), " 503") {
		a.refused.Add(1)
	}
}

func (a *attacker) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.open {
		c.Close()
	}
}

// Five hundred strangers with a little each of a megabyte: nobody with a key notices, and
// who is in earnest gets through.
func TestStrangersTakeNothingFromThoseWithAKey(t *testing.T) {
	t.Parallel()
	budget := rest.Budget{Common: 8 << 20, Reserve: 1 << 20, Unproven: 4 << 20, Forms: 64 << 20}
	d := newDeploymentWith(t, plenty, budget)
	d.memory.Store(300_000) // of each message; most than the reserve has
	signed, _ := d.hooked(t, "signed", "github")
	d.hooked(t, "contact", "form", asForm(site))
	_, keyed := d.hooked(t, "keyed", "generic")
	heads := map[string]string{
		"signed":  "X-Hub-Signature-256: sha256=" + hex.EncodeToString(make([]byte, 32)) + "\r\n",
		"nothere": "Stripe-Signature: t=" + strconv.FormatInt(time.Now().Unix(), 10) + ",v1=" + hex.EncodeToString(make([]byte, 32)) + "\r\n",
		"contact": "Origin: " + site + "\r\n",
		"keyed":   "X-Grafana-Alerting-Signature: " + hex.EncodeToString(make([]byte, 32)) + "\r\n",
	}
	a := &attacker{t: t, address: d.server.Listener.Addr().String()}
	var all sync.WaitGroup
	defer all.Wait()
	defer a.end()
	names := slices.Sorted(maps.Keys(heads))
	for i := range 500 {
		name := names[i%len(names)]
		length := "Content-Length: 1000000\r\n"
		if i%8 > 3 {
			length = "Transfer-Encoding: chunked\r\n"
		}
		head := "POST /hooks/" + name + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n" + heads[name] + length
		if i%8 > 3 {
			head += fmt.Sprintf("\r\n%x", attackBytes)
		}
		all.Go(func() { a.attack(head) })
	}
	most := int64(0)
	look := func() { most = max(most, d.admission.Unproven()) }
	for most < budget.Unproven { // until they have all that they can have
		look()
	}
	for i := range 20 {
		if res := d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small(strconv.Itoa(i)))); res.StatusCode != http.StatusAccepted {
			t.Errorf("a message: %s %s", res.Status, res.text)
		}
		if res := d.post(t, keyed, fmt.Sprintf(`{"n":%d}`, i)); res.StatusCode != http.StatusAccepted {
			t.Errorf("a delivery with a key: %s %s", res.Status, res.text)
		}
		body := fmt.Sprintf(`{"action":"opened","issue":{"title":"%d"}}`, i)
		if res := d.post(t, "/hooks/signed", body, "X-GitHub-Event", "issues", "X-Hub-Signature-256", signedBy(d.hooks.Secret(signed), body)); res.StatusCode != http.StatusAccepted {
			t.Errorf("a signed delivery: %s %s", res.Status, res.text)
		}
		if res := d.post(t, "/hooks/contact", filled+strconv.Itoa(i), "Content-Type", formType, "Origin", site, "Accept", "application/json"); res.StatusCode != http.StatusAccepted {
			t.Errorf("a form: %s %s", res.Status, res.text)
		}
		look()
	}
	if most > budget.Unproven {
		t.Errorf("strangers held %d bytes of %d", most, budget.Unproven)
	}
	if a.refused.Load() == 0 {
		t.Error("no stranger was ended, so there was no attack")
	}
}

// What is refused for want of a proof takes no memory of those with a key: theirs is asked
// for after it, and there is none here.
func TestNoMemoryBeforeAProof(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	d.memory.Store(2 << 30)
	signature := "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=" + strings.Repeat("A", 43) + "="
	for _, c := range []struct {
		name    string
		headers []string
		status  int
	}{
		{"no key", []string{"Authorization", ""}, 401},
		{"a forged key", []string{"Authorization", "Bearer " + d.key[:len(d.key)-1]}, 401},
		{"a forged signature", []string{"Authorization", signature, "X-Ms-Date", time.Now().UTC().Format(http.TimeFormat), "X-Ms-Content-Sha256", strings.Repeat("A", 43) + "="}, 401},
		{"the key", nil, 503},
	} {
		for path := range rest.Routes() {
			if !strings.HasPrefix(path, "/email") && path != "/v3/mail/send" || strings.Contains(path, "{") {
				continue
			}
			res := d.do(t, d.request(t, "POST", path, gatewaytest.Small("x"), c.headers...))
			if resend := res.StatusCode == http.StatusForbidden && c.status == http.StatusUnauthorized; res.StatusCode != c.status && !resend {
				t.Errorf("%s, %s: %s %s", path, c.name, res.Status, res.text)
			}
		}
	}
}

// A body where none is read is refused, however it comes; what says nothing, as some
// clients send it, is none.
func TestABodyWhereNoneIsRead(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	later := strings.TrimSuffix(gatewaytest.Small("x"), "}") + `,"delivery":{"sendAt":"` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `"}}`
	id := d.do(t, d.request(t, "POST", "/emails:send", later)).document(t).ID
	d.do(t, d.request(t, "DELETE", "/emails/operations/"+id, "")) // its state stays, whenever it is asked for
	_, alerts := d.hooked(t, "alerts", "generic")
	parameters := strings.NewReplacer("{id}", id, "{token}", "x", "{number}", "1", "/hooks/{name}", alerts)
	with := []string{"/emails:send", "/emails", "/emails/batch", "/v3/mail/send", "/email", "/email/batch"}
	for path, methods := range rest.Routes() {
		for _, method := range methods {
			if slices.Contains(with, path) || path == "/hooks/{name}" && (method == "POST" || method == "PUT") {
				continue
			}
			t.Run(method+" "+path, func(t *testing.T) {
				t.Parallel()
				target := parameters.Replace(path)
				ask := func(body string, chunked bool) int {
					headers := []string{rest.InvocationHeader, "behind-the-host"}
					if path == "/hooks/{name}" {
						headers = append(headers, "Authorization", "")
					}
					req := d.request(t, method, target, body, headers...)
					if chunked {
						req.ContentLength = -1
						req.Body = io.NopCloser(strings.NewReader(body))
					}
					return d.do(t, req).StatusCode
				}
				want := ask("", false)
				for _, chunked := range []bool{false, true} {
					for _, nothing := range []string{"", "{}", "[]", "null", " {}\n"} {
						if got := ask(nothing, chunked); got != want && got != http.StatusConflict {
							t.Errorf("%q, chunked %t: %d; without a body: %d", nothing, chunked, got, want)
						}
					}
					for _, body := range []string{"x", `{"a":1}`, "{}{}", strings.Repeat(" ", 17), strings.Repeat("x", 100_000)} {
						if got := ask(body, chunked); got != http.StatusBadRequest {
							t.Errorf("%.20q, chunked %t: %d", body, chunked, got)
						}
					}
				}
			})
		}
	}
}

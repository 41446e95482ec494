package rest_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/api/hook"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// written counts what storage is asked to keep from now on.
func (d *deployment) written() *int {
	n := new(int)
	d.Harness.See(func(op mem.Op, _ string) {
		switch op {
		case mem.Insert, mem.Put, mem.Stage, mem.Commit:
			*n++
		}
	})
	return n
}

// usageOf is what a caller may know of the quota.
func (d *deployment) usageOf(t *testing.T, name string) quota.Overview {
	t.Helper()
	u, err := d.Usage(t.Context(), mail.CustomDomain, caller.Caller{Holder: keyring.Holder{Name: name}})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// A stranger who posts a form as fast as he can costs nobody else anything: a client that sends
// with a key goes when he would have gone. From one address a few posts are taken, and
// from many as many as the cap lets go and the line may hold; of the rest nothing is kept.
func TestAFloodOfAFormLeavesEverybodyElseAlone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		from  func(i int) string
		taken int
	}{
		{"from one address", func(int) string { return "192.0.2.7" }, hook.FormPerAddress},
		{"from one address that says it is many", func(i int) string { return fmt.Sprintf("198.51.100.%d, 192.0.2.7", i%200) }, hook.FormPerAddress},
		{"from many addresses", func(i int) string { return fmt.Sprintf("192.0.%d.%d:4711", i/200, i%200) }, hook.FormMaxWaiting + 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, quota.CustomDomainSend)
			d.hooked(t, "contact", "form", asForm(site))
			for i := range 17 {
				if res := d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small(strconv.Itoa(i)))); res.StatusCode != http.StatusAccepted {
					t.Fatal(res.text)
				}
			}
			other, own := d.usageOf(t, "other"), d.usageOf(t, "shop")
			taken, kept, refused := 0, 0, 0
			writes := d.written()
			for i := range 400 {
				before := *writes
				res := d.post(t, "/hooks/contact", fmt.Sprintf("name=%d", i), "Content-Type", formType, "Accept", "application/json", "Origin", site, "X-Forwarded-For", c.from(i))
				switch {
				case res.StatusCode == http.StatusAccepted:
					taken++
				case res.StatusCode == http.StatusTooManyRequests && res.Header.Get("Retry-After") != "":
					refused++
					kept += *writes - before
				default:
					t.Fatalf("%d %s", res.StatusCode, res.text)
				}
			}
			if taken != c.taken || refused != 400-taken || kept != 0 {
				t.Errorf("%d were taken, %d refused, and of those %d writes were made", taken, refused, kept)
			}
			if after := d.usageOf(t, "other"); after.Expected.Sub(other.Expected).Abs() > after.Next.Sub(other.Next).Abs() || after.RemainingHour != other.RemainingHour-10 {
				t.Errorf("another caller's message was expected at %v, %d left, and now at %v, %d left", other.Expected, other.RemainingHour, after.Expected, after.RemainingHour)
			}
			if after := d.usageOf(t, "shop"); after.Expected.Sub(own.Expected).Abs() > after.Next.Sub(own.Next).Abs() || after.WaitingOwn != taken-10 {
				t.Errorf("the caller's own was expected at %v, and now at %v; %d wait", own.Expected, after.Expected, after.WaitingOwn)
			}
			if res := d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("after"))); res.document(t).Delivery.State != "accepted" {
				t.Errorf("the caller's next: %d %s", res.StatusCode, res.text)
			}
		})
	}
}

// Somebody with a browser reads what went wrong, and what to do, on a page.
func TestABrowserGetsAPageWhateverIsWrong(t *testing.T) {
	t.Parallel()
	const multi = "multipart/form-data; boundary=x"
	sent := []string{"Origin", site, "Content-Type", formType}
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		broken                   func(*testing.T, *deployment)
		status                   int
		says                     string
	}{
		{"no such form", "POST", "/hooks/nobody", filled, sent, nil, 401, "There is no form at this address."},
		{"another site", "POST", "/hooks/contact", filled, []string{"Origin", "https://evil.example", "Content-Type", formType}, nil, 403, "This form takes nothing from this site."},
		{"an empty form", "POST", "/hooks/contact", "name=&_next=x&_gotcha=", sent, nil, 400, "The form is empty"},
		{"broken multipart", "POST", "/hooks/contact", "--x\r\nContent-Dispo", []string{"Origin", site, "Content-Type", multi}, nil, 400, "not multipart/form-data"},
		{"multipart without a boundary", "POST", "/hooks/contact", "--x", []string{"Origin", site, "Content-Type", "multipart/form-data"}, nil, 400, "without a boundary"},
		{"a file", "POST", "/hooks/contact", "--x\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"a\"\r\n\r\nMZ\r\n--x--\r\n", []string{"Origin", site, "Content-Type", multi}, nil, 400, "photo"},
		{"another type", "POST", "/hooks/contact", "<a/>", []string{"Origin", site, "Content-Type", "text/xml"}, nil, 415, "The owner of the website can correct it."},
		{"broken JSON", "POST", "/hooks/contact", "{", []string{"Origin", site, "Content-Type", "application/json"}, nil, 400, "The owner of the website can correct it."},
		{"too large", "POST", "/hooks/contact", "m=" + strings.Repeat("x", hook.MaxBodyBytes), sent, nil, 413, "It is too long"},
		{"too often", "POST", "/hooks/contact", filled, append([]string{"X-Forwarded-For", "192.0.2.1"}, sent...), func(t *testing.T, d *deployment) {
			for range hook.FormPerAddress {
				d.post(t, "/hooks/contact", filled, append([]string{"X-Forwarded-For", "192.0.2.1"}, sent...)...)
			}
		}, 429, "Please go back and try again in 3 minutes."},
		{"storage is away", "POST", "/hooks/contact", filled, sent, func(_ *testing.T, d *deployment) { d.Failing("", mem.Refused) }, 503, "Please go back and try again in a minute."},
		{"ACS is misconfigured", "POST", "/hooks/contact", filled, sent, func(_ *testing.T, d *deployment) {
			d.ACS.Answer = func(*mail.Message) (bool, error) { return false, problem.New(problem.ACSMisconfigured, "no") }
		}, 503, "Please go back and try again in a minute."},
		{"its caller is paused", "POST", "/hooks/contact", filled, sent, func(t *testing.T, d *deployment) {
			if err := d.callers.Pause(t.Context(), "shop", "a secret", true); err != nil {
				t.Fatal(err)
			}
		}, 503, "Please go back and try again in a minute."},
		{"another method", "PATCH", "/hooks/contact", filled, sent, nil, 405, "The owner of the website can correct it."},
		{"looking at what is none", "GET", "/hooks/nobody", "", nil, nil, 401, "There is no form at this address."},
		{"another site's preflight", "OPTIONS", "/hooks/contact", "", []string{"Origin", "https://evil.example"}, nil, 403, "This form takes nothing from this site."},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, plenty)
			d.hooked(t, "contact", "form", asForm(site))
			if c.broken != nil {
				c.broken(t, d)
			}
			before := len(d.ACS.Sent)
			headers := append([]string{"Authorization", "", "Accept", browser}, c.headers...)
			res := d.do(t, d.request(t, c.method, c.path, c.body, headers...))
			if res.StatusCode != c.status || res.Header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(res.text, c.says) || strings.Contains(res.text, "a secret") {
				t.Errorf("%d %s: %s", res.StatusCode, res.Header.Get("Content-Type"), res.text)
			}
			if wait := res.Header.Get("Retry-After"); (c.status == 429 || c.status == 503) != (wait != "") {
				t.Errorf("Retry-After is %q", wait)
			}
			if res.Header.Get("Content-Security-Policy") == "" || len(d.ACS.Sent) != before {
				t.Errorf("%v, %d sent", res.Header, len(d.ACS.Sent)-before)
			}
		})
	}
}

// Nobody chooses his address: the platform says it last.
func TestWhoPostsAFormIsWhomThePlatformNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		first, second []string
		same          bool
	}{
		{"one address", []string{"X-Forwarded-For", "192.0.2.1"}, []string{"X-Forwarded-For", "192.0.2.1"}, true},
		{"two addresses", []string{"X-Forwarded-For", "192.0.2.1"}, []string{"X-Forwarded-For", "192.0.2.2"}, false},
		{"one of two ports", []string{"X-Forwarded-For", "192.0.2.1:1"}, []string{"X-Forwarded-For", "192.0.2.1:2"}, true},
		{"one that says it comes for others", []string{"X-Forwarded-For", "192.0.2.1"}, []string{"X-Forwarded-For", "192.0.2.9, 192.0.2.1"}, true},
		{"two with IPv6", []string{"X-Forwarded-For", "[2001:db8:1::1]:80"}, []string{"X-Forwarded-For", "[2001:db8:2::1]:80"}, false},
		{"one household with IPv6", []string{"X-Forwarded-For", "2001:db8:1::1"}, []string{"X-Forwarded-For", "[2001:db8:1::2]:443"}, true},
		{"the front end names two behind itself", []string{"X-Forwarded-For", "10.0.0.4", "Client-Ip", "192.0.2.1:1"}, []string{"X-Forwarded-For", "10.0.0.4", "Client-Ip", "192.0.2.2:1"}, false},
		{"the front end names one behind itself", []string{"X-Forwarded-For", "10.0.0.4", "Client-Ip", "192.0.2.1:1"}, []string{"X-Forwarded-For", "10.0.0.5", "Client-Ip", "192.0.2.1:2"}, true},
		{"the front end alone says nothing of anybody", []string{"X-Forwarded-For", "10.0.0.4"}, []string{"X-Forwarded-For", "10.0.0.4"}, false},
		{"nor does what data centres use inside", []string{"X-Forwarded-For", "100.64.0.1"}, []string{"X-Forwarded-For", "100.64.0.1"}, false},
		{"nobody says it", nil, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, plenty)
			d.hooked(t, "contact", "form", asForm(site), func(p *hook.Policy) { p.Form.PerAddress = 1 })
			for i, headers := range [][]string{c.first, c.second} {
				res := d.post(t, "/hooks/contact", fmt.Sprintf("name=%d", i), append([]string{"Content-Type", formType, "Accept", "application/json", "Origin", site}, headers...)...)
				if want := i == 1 && c.same; (res.StatusCode == http.StatusTooManyRequests) != want {
					t.Errorf("post %d: %d %s", i+1, res.StatusCode, res.text)
				}
				if i == 1 && c.same && res.slug(t) != "too-many-requests" {
					t.Errorf("it is %s", res.text)
				}
			}
			if strings.Contains(d.log.String(), "192.0.2.") || strings.Contains(d.log.String(), "2001:db8") {
				t.Errorf("an address is in the log: %s", d.log.String())
			}
		})
	}
}

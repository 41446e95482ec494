package rest_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/api/rest"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
)

// spellings of a path that clients make of an address with a slash at its end.
var spellings = map[string]func(path string) string{
	"a slash before": func(path string) string { return "/" + path },
	"a slash behind": func(path string) string { return path + "/" },
	"all doubled":    func(path string) string { return strings.ReplaceAll(path, "/", "//") + "//" },
	"dots":           func(path string) string { return "/x/.." + path + "/." },
}

// ask is do, past the validation: openapi.json knows no such path.
func (d *deployment) ask(t *testing.T, req *http.Request) answer {
	t.Helper()
	client := http.Client{CheckRedirect: d.client.CheckRedirect}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{Response: res, text: string(text)}
}

func TestSlashesTooManyMeanNothing(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	_, alerts := d.hooked(t, "alerts", "generic")
	parameters := strings.NewReplacer("{id}", "11111111-1111-4111-8111-111111111111", "{token}", "x", "{number}", "1", "/hooks/{name}", alerts)
	paths := rest.Routes()
	for _, path := range rest.Absent() {
		if paths[path] == nil {
			paths[path], paths[path+"/x"] = []string{"GET", "PATCH"}, []string{"PUT"}
		}
	}
	for path, methods := range paths {
		path, query, _ := strings.Cut(parameters.Replace(path), "?")
		for name, spelt := range spellings {
			for _, method := range append(methods, "PATCH") {
				plain := d.ask(t, d.request(t, method, path+"?"+query, "", "Authorization", ""))
				got := d.ask(t, d.request(t, method, spelt(path)+"?"+query, "", "Authorization", ""))
				if got.StatusCode != plain.StatusCode || got.Header.Get("Content-Type") != plain.Header.Get("Content-Type") || got.Header.Get("Allow") != plain.Header.Get("Allow") {
					t.Errorf("%s, %s %s: %s %v, and as it is %s", name, method, path, got.Status, got.Header, plain.Status)
				}
			}
		}
	}
}

// The body, the key and the names come with it.
func TestAMessageToAPathWithSlashesTooMany(t *testing.T) {
	t.Parallel()
	for name, spelt := range spellings {
		for path, body := range map[string]string{
			"/emails:send": gatewaytest.Small("x"), "/emails": fmt.Sprintf(inResend, ""), "/v3/mail/send": fmt.Sprintf(inSendGrid, ""), "/email": fmt.Sprintf(inPostmark, ""),
		} {
			t.Run(path+", "+name, func(t *testing.T) {
				t.Parallel()
				d := newDeployment(t, plenty)
				if res := d.ask(t, d.request(t, "POST", spelt(path), body)); res.StatusCode >= 300 || len(d.ACS.Sent) != 1 {
					t.Errorf("%s %s: %d sent", res.Status, res.text, len(d.ACS.Sent))
				}
			})
		}
	}
}

// A parameter keeps a slash that came encoded, and no other path is reached by one.
func TestAnEncodedSlashIsNone(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	for path, status := range map[string]int{"/%2Femails": 404, "/emails%2F": 404, "//v3%2Fmail/send/": 404, "//emails/x%2Fcancel/": 405} {
		if res := d.ask(t, d.request(t, "POST", path, fmt.Sprintf(inResend, ""))); res.StatusCode != status || len(d.ACS.Sent) != 0 {
			t.Errorf("%s: %s %s", path, res.Status, res.text)
		}
	}
}

// Of a path that two APIs have, the header of the key tells which one the client speaks.
func TestAbsenceIsToldInTheFormOfTheKey(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	for _, c := range []struct{ name, header, path, want string }{
		{"Resend's", "", "/domains/x/verify", `"name":"not_found"`},
		{"Postmark's server", "X-Postmark-Server-Token", "/templates/1", `"ErrorCode":300`},
		{"Postmark's account", "X-Postmark-Account-Token", "/domains/1/verifydkim", `"ErrorCode":300`},
		{"Postmark's alone", "", "/bounces/1/dump", `"ErrorCode":300`},
		{"in another case", "", "/deliveryStats", `"ErrorCode":300`},
		{"SendGrid's", "", "/v3/marketing/lists/x/contacts/count", `"field":null`},
		{"nearly SendGrid's", "", "/v30/marketing", `problems.md#not-found`},
		{"ours, beside Resend's", "", "/emails/operations/x/attachments", `problems.md#not-found`},
	} {
		var headers []string
		if c.header != "" {
			headers = []string{c.header, "x", "Authorization", ""}
		}
		if res := d.ask(t, d.request(t, "PUT", c.path, "", headers...)); res.StatusCode != http.StatusNotFound || !strings.Contains(res.text, c.want) {
			t.Errorf("%s: %s %s, want %s", c.name, res.Status, res.text, c.want)
		}
	}
}

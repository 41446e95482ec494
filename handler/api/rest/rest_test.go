package rest_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/api/rest"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

func TestOpenAPIIsValid(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range openAPI(t).Faults() {
		t.Error(fault)
	}
	for path := range rest.Routes() {
		if !strings.Contains(string(text), `"`+path+`"`) {
			t.Errorf("openapi.json has no %s", path)
		}
	}
}

func TestAMessageIsTakenAndItsStatusTold(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	res := d.do(t, d.request(t, "POST", "/emails:send?api-version=2023-03-31", gatewaytest.Large()))
	o := res.document(t)
	if res.StatusCode != http.StatusAccepted || o.Status != "Running" || o.Error != nil || o.Delivery.State != "accepted" {
		t.Fatalf("%d %s", res.StatusCode, res.text)
	}
	if len(o.Delivery.Links) != 1 || o.Delivery.Links[0].Name != "a.bin" {
		t.Errorf("links are %v", o.Delivery.Links)
	}
	if want := d.server.URL + "/emails/operations/" + o.ID + "?api-version=2023-03-31"; res.Header.Get("Operation-Location") != want {
		t.Errorf("Operation-Location is %s, want %s", res.Header.Get("Operation-Location"), want)
	}
	for _, name := range []string{"Retry-After", "RateLimit", "RateLimit-Policy", "X-Request-Id"} {
		if res.Header.Get(name) == "" {
			t.Errorf("no %s", name)
		}
	}
	d.end(t, o.ID, record.Accepted, nil)
	status := d.do(t, d.request(t, "GET", "/emails/operations/"+o.ID+"?api-version=2023-03-31", ""))
	if s := status.document(t); status.StatusCode != http.StatusOK || s.Status != "Succeeded" || s.ID != o.ID {
		t.Errorf("%d %s", status.StatusCode, status.text)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	body := gatewaytest.Small("x")
	const post = "/emails:send"
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		slug                     string
	}{
		{"no key", "POST", post, body, []string{"Authorization", ""}, 401, "unauthenticated"},
		{"wrong key", "POST", post, body, []string{"Authorization", "Bearer ph_shop_1_00"}, 401, "unauthenticated"},
		{"no key for a status", "GET", "/emails/operations/11111111-1111-4111-8111-111111111111", "", []string{"Authorization", ""}, 401, "unauthenticated"},
		{"another sender", "POST", post, strings.Replace(body, "donotreply@example.com", "a@example.org", 1), nil, 403, "forbidden"},
		{"another recipient", "POST", post, strings.Replace(body, "ann@example.com", "ann@example.org", 1), nil, 403, "forbidden"},
		{"no JSON", "POST", post, "hello", nil, 400, "malformed-json"},
		{"empty body", "POST", post, "", nil, 400, "malformed-json"},
		{"an array", "POST", post, "[]", nil, 400, "invalid-message"},
		{"unknown member", "POST", post, strings.Replace(body, `"content"`, `"subject":"x","content"`, 1), nil, 400, "invalid-message"},
		{"unknown priority", "POST", post, strings.TrimSuffix(body, "}") + `,"delivery":{"priority":"urgent"}}`, nil, 400, "invalid-message"},
		{"media type", "POST", post, body, []string{"Content-Type", "text/plain"}, 415, "unsupported-media-type"},
		{"no media type", "POST", post, body, []string{"Content-Type", ""}, 415, "unsupported-media-type"},
		{"charset", "POST", post, body, []string{"Content-Type", "application/json; charset=latin1"}, 415, "unsupported-media-type"},
		{"encoding", "POST", post, body, []string{"Content-Encoding", "gzip"}, 415, "unsupported-media-type"},
		{"too large", "POST", post, strings.Repeat(" ", 100_001), nil, 413, "too-large"},
		{"api-version", "POST", post + "?api-version=2020-01-01", body, nil, 400, "invalid-request"},
		{"query", "POST", post + "?api-version=%zz", body, nil, 400, "invalid-request"},
		{"operation id", "POST", post, body, []string{"Operation-Id", "42"}, 400, "invalid-request"},
		{"idempotency key too long", "POST", post, body, []string{"Idempotency-Key", strings.Repeat("k", 256)}, 400, "invalid-request"},
		{"two names", "POST", post, body, []string{"Idempotency-Key", "k", "Operation-Id", "11111111-1111-4111-8111-111111111111"}, 400, "invalid-request"},
		{"method", "GET", post, "", nil, 405, "method-not-allowed"},
		{"cancelling what is not there", "DELETE", "/emails/operations/11111111-1111-4111-8111-111111111111", "", nil, 404, "not-found"},
		{"method of an operation", "PUT", "/emails/operations/11111111-1111-4111-8111-111111111111", "", nil, 405, "method-not-allowed"},
		{"no key for the quota", "GET", "/quota", "", []string{"Authorization", ""}, 401, "unauthenticated"},
		{"unknown operation", "GET", "/emails/operations/11111111-1111-4111-8111-111111111111", "", nil, 404, "not-found"},
		{"operation that is no id", "GET", "/emails/operations/x%2F..%00", "", nil, 404, "not-found"},
		{"unknown path", "GET", "/admin", "", nil, 404, "not-found"},
		{"a trigger's path", "POST", "/cleanup", "{}", nil, 404, "not-found"},
		{"another trigger's path", "POST", "/dispatch", "{}", nil, 404, "not-found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			res := d.do(t, d.request(t, c.method, c.path, c.body, c.headers...))
			if res.StatusCode != c.status || res.slug(t) != c.slug {
				t.Errorf("got %d %s", res.StatusCode, res.text)
			}
			if got := res.Header.Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("Content-Type is %s", got)
			}
		})
	}
	t.Cleanup(func() {
		if n := len(d.ACS.Sent); n != 0 {
			t.Errorf("%d messages were sent", n)
		}
	})
}

func TestMediaTypesThatAreTaken(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	for _, contentType := range []string{"application/json", "APPLICATION/JSON;charset=UTF-8", "application/json;charset=utf8", `application/json; charset="Utf8"; odata=verbose`} {
		if res := d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("x"), "Content-Type", contentType)); res.StatusCode != http.StatusAccepted {
			t.Errorf("%s: %d %s", contentType, res.StatusCode, res.text)
		}
	}
}

func TestAllFaultsAreToldAtOnce(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	res := d.do(t, d.request(t, "POST", "/emails:send", `{"senderAddress":"nobody","content":{"subject":"a\nb"},"recipients":{"to":[{"address":"ann@example.com"},{"address":"ANN@"}]}}`, "Accept", "application/json"))
	doc := res.document(t)
	var pointers []string
	for _, e := range doc.Errors {
		pointers = append(pointers, e.Pointer)
	}
	want := "/content /content/subject /recipients/to/1/address /senderAddress"
	if strings.Join(pointers, " ") != want {
		t.Errorf("faults at %v, want %s", pointers, want)
	}
	if res.Header.Get("Content-Type") != "application/json" || doc.Error == nil || !strings.Contains(doc.Error.Message, "/senderAddress") {
		t.Errorf("an ACS SDK would see %s %v", res.Header.Get("Content-Type"), doc.Error)
	}
}

// Faults that reading finds and those that checking finds come in one answer.
func TestFaultsOfReadingAndOfCheckingComeTogether(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	for _, c := range []struct{ name, body, want string }{
		{"an unknown member", `{"foo":1,"recipients":{"to":[{"address":"bad"}]},"content":{}}`, "/foo /content /content/subject /recipients/to/0/address /senderAddress"},
		{"a wrong type is not missing too", `{"senderAddress":1,"recipients":{"to":[{"address":"bad"}]},"content":{"subject":[],"plainText":"x"}}`, "/content/subject /senderAddress /recipients/to/0/address"},
		{"bad Base64 and a bad type", strings.TrimSuffix(gatewaytest.Small("x"), "}") + `,"attachments":[{"name":"a","contentType":"text","contentInBase64":"?"}]}`, "/attachments/0/contentInBase64 /attachments/0/contentType"},
		{"a body that cannot be read is not missing", `{"senderAddress":"donotreply@example.com","recipients":{"to":"x"},"content":{"subject":"x","html":1}}`, "/content/html /recipients/to"},
		{"no object at all", `[]`, ""},
	} {
		var pointers []string
		for _, e := range d.do(t, d.request(t, "POST", "/emails:send", c.body)).document(t).Errors {
			pointers = append(pointers, e.Pointer)
		}
		if strings.Join(pointers, " ") != c.want {
			t.Errorf("%s: faults at %v, want %s", c.name, pointers, c.want)
		}
	}
}

func TestNoQuotaLeft(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, quota.Limits{PerMinute: 1, PerHour: 2})
	if res := d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("1"))); res.StatusCode != http.StatusAccepted {
		t.Fatal(res.text)
	}
	res := d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Refusing(gatewaytest.Small("2"))))
	if res.StatusCode != http.StatusTooManyRequests || res.slug(t) != "over-quota" || res.Header.Get("Retry-After") == "" {
		t.Errorf("got %d %s, Retry-After %q", res.StatusCode, res.text, res.Header.Get("Retry-After"))
	}
	if got := res.Header.Get("RateLimit-Policy"); got != `"minute";q=1;w=60, "hour";q=2;w=3600` {
		t.Errorf("RateLimit-Policy is %s", got)
	}
	if got := res.Header.Get("RateLimit"); !strings.HasPrefix(got, `"minute";r=0;t=`) {
		t.Errorf("RateLimit is %s", got)
	}
}

func TestARepeatGetsTheSameAnswer(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	for _, key := range []string{`order-4711`, `"order-4711"`} {
		res := d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("1"), "Idempotency-Key", key))
		if res.StatusCode != http.StatusAccepted {
			t.Fatal(res.text)
		}
		if want := key[0] == '"'; (res.Header.Get("Idempotency-Replayed") == "true") != want {
			t.Errorf("%s: Idempotency-Replayed is %q", key, res.Header.Get("Idempotency-Replayed"))
		}
	}
	res := d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("2"), "Idempotency-Key", "order-4711"))
	if res.StatusCode != http.StatusUnprocessableEntity || res.slug(t) != "key-reused" {
		t.Errorf("got %d %s", res.StatusCode, res.text)
	}
	const id = "ABCDEFAB-1111-4111-8111-111111111111"
	res = d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("3"), "Operation-Id", id))
	if got := res.document(t).ID; got != strings.ToLower(id) {
		t.Errorf("id is %s", got)
	}
	if len(d.ACS.Sent) != 2 {
		t.Errorf("%d messages were sent, want 2", len(d.ACS.Sent))
	}
}

func TestSignedRequests(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	const path = "/emails:send?api-version=2025-09-01"
	res := d.do(t, d.signed(t, "POST", path, gatewaytest.Small("1"), gatewaytest.Small("1")))
	if res.StatusCode != http.StatusAccepted {
		t.Fatalf("%d %s", res.StatusCode, res.text)
	}
	poll := d.signed(t, "GET", "/emails/operations/"+res.document(t).ID+"?api-version=2025-09-01", "", "")
	if res := d.do(t, poll); res.StatusCode != http.StatusOK {
		t.Errorf("%d %s", res.StatusCode, res.text)
	}
}

func TestLinksOfRecipients(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Large()))
	_, after, _ := strings.Cut(d.ACS.Sent[0].Content.PlainText, "/files/")
	token := strings.Fields(after)[0]
	open := func(token string) answer {
		return d.do(t, d.request(t, "GET", "/files/"+token, "", "Authorization", "", "Accept-Language", "de"))
	}
	res := open(token)
	if res.StatusCode != http.StatusFound || res.Header.Get("Location") == "" || res.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	if res := open("nothing"); res.StatusCode != http.StatusNotFound || !strings.Contains(res.text, "<html") || res.Header.Get("Content-Language") != "de" {
		t.Errorf("unknown: %d %s", res.StatusCode, res.text)
	}
	if err := d.Offload.RevokeLinks(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if res := open(token); res.StatusCode != http.StatusGone {
		t.Errorf("revoked: %d %s", res.StatusCode, res.text)
	}
	d.Failing("", 1)
	if res := open(token); res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("storage away: %d %s", res.StatusCode, res.text)
	}
	if strings.Contains(d.log.String(), token) {
		t.Error("a token is in the log")
	}
}

// twoFiles is a message whose two attachments are links in any case.
func twoFiles() string {
	file := func(name string) string {
		return `{"name":"` + name + `","contentType":"text/plain","placement":"link","contentInBase64":"cG9zdGhvcm4="}`
	}
	return strings.TrimSuffix(gatewaytest.Small("files"), "}") + `,"attachments":[` + file("a.txt") + "," + file("b.txt") + "]}"
}

func TestSeveralFilesHaveOnePage(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	sent := d.do(t, d.request(t, "POST", "/emails:send", twoFiles()))
	id := sent.document(t).ID
	_, after, _ := strings.Cut(d.ACS.Sent[0].Content.PlainText, "/files/")
	token, _, _ := strings.Cut(strings.Fields(after)[0], "/")
	open := func(path string) answer {
		return d.do(t, d.request(t, "GET", "/files/"+token+path, "", "Authorization", ""))
	}
	page := open("")
	if page.StatusCode != http.StatusOK || !strings.Contains(page.text, "a.txt") || !strings.Contains(page.text, "b.txt") || page.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("page: %d %s", page.StatusCode, page.text)
	}
	if res := open("/2"); res.StatusCode != http.StatusFound {
		t.Errorf("second file: %d %s", res.StatusCode, res.text)
	}
	for _, path := range []string{"/0", "/3", "/01", "/x", "/-1"} {
		if res := open(path); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
	if res := d.do(t, d.request(t, "DELETE", "/emails/operations/"+id+"/links", "")); res.StatusCode != http.StatusNoContent {
		t.Errorf("revoke: %d %s", res.StatusCode, res.text)
	}
	for _, path := range []string{"", "/1", "/2"} {
		if res := open(path); res.StatusCode != http.StatusGone {
			t.Errorf("revoked %s: %d", path, res.StatusCode)
		}
	}
	status := d.do(t, d.request(t, "GET", "/emails/operations/"+id, ""))
	for _, l := range status.document(t).Delivery.Links {
		if !l.Revoked {
			t.Errorf("%s is not told as revoked: %s", l.Name, status.text)
		}
	}
}

// Scanners of mail ask with HEAD where a link leads.
func TestOnlyAFetchCountsAsADownload(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	id := d.do(t, d.request(t, "POST", "/emails:send", twoFiles())).document(t).ID
	_, after, _ := strings.Cut(d.ACS.Sent[0].Content.PlainText, "/files/")
	token, _, _ := strings.Cut(strings.Fields(after)[0], "/")
	for method, path := range map[string]string{"HEAD": "/1", "GET": "/2"} {
		if res := d.do(t, d.request(t, method, "/files/"+token+path, "", "Authorization", "")); res.StatusCode != http.StatusFound {
			t.Fatalf("%s: %d", method, res.StatusCode)
		}
	}
	counts := func() (head, get int64) {
		links := d.do(t, d.request(t, "GET", "/emails/operations/"+id, "")).document(t).Delivery.Links
		return links[0].Downloads, links[1].Downloads
	}
	head, get := counts()
	for range 10_000 { // it is counted beside the answer
		if get > 0 {
			break
		}
		runtime.Gosched()
		head, get = counts()
	}
	if head != 0 || get != 1 {
		t.Errorf("counted %d for HEAD and %d for GET, want 0 and 1", head, get)
	}
}

func TestLinksOfOthersAreNotRevoked(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	other, err := d.callers.Add(t.Context(), "other", caller.Policy{Senders: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	id := d.do(t, d.request(t, "POST", "/emails:send", twoFiles())).document(t).ID
	for _, c := range []struct {
		name, path, key string
		status          int
	}{
		{"another caller", id, other.Key, 404},
		{"unknown message", "11111111-1111-4111-8111-111111111111", d.key, 404},
		{"no id", "x", d.key, 404},
		{"no key", id, "", 401},
	} {
		res := d.do(t, d.request(t, "DELETE", "/emails/operations/"+c.path+"/links", "", "Authorization", "Bearer "+c.key))
		if res.StatusCode != c.status {
			t.Errorf("%s: %d %s", c.name, res.StatusCode, res.text)
		}
	}
	plain := d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("1"))).document(t).ID
	if res := d.do(t, d.request(t, "DELETE", "/emails/operations/"+plain+"/links", "")); res.StatusCode != http.StatusNotFound {
		t.Errorf("a message without links: %d", res.StatusCode)
	}
}

func TestFilesAsPartsOfTheRequest(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	body := "--b\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\n" + gatewaytest.Small("parts") +
		"\r\n--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nplain text\r\n--b--\r\n"
	res := d.do(t, d.request(t, "POST", "/emails:send", body, "Content-Type", "multipart/form-data; boundary=b"))
	if res.StatusCode != http.StatusAccepted {
		t.Fatalf("%d %s", res.StatusCode, res.text)
	}
	if got := d.ACS.Sent[0].Attachments; len(got) != 1 || got[0].Name != "a.txt" || string(got[0].Content) != "plain text" {
		t.Errorf("sent %+v", got)
	}
	cut := d.do(t, d.request(t, "POST", "/emails:send", body[:len(body)-10], "Content-Type", "multipart/form-data; boundary=b"))
	if cut.StatusCode != http.StatusBadRequest || len(d.ACS.Sent) != 1 {
		t.Errorf("cut off: %d %s", cut.StatusCode, cut.text)
	}
}

func TestAnUploadIsNamedInAMessage(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	slot := d.do(t, d.request(t, "POST", "/attachments", "", "Content-Type", ""))
	var s struct{ ID, URL string }
	if err := json.Unmarshal([]byte(slot.text), &s); err != nil || slot.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s", slot.StatusCode, slot.text)
	}
	message := strings.TrimSuffix(gatewaytest.Small("upload"), "}") + `,"attachments":[{"name":"u.bin","contentType":"application/octet-stream","uploadId":"` + s.ID + `"}]}`
	early := d.do(t, d.request(t, "POST", "/emails:send", message))
	if early.StatusCode != http.StatusBadRequest || len(early.document(t).Errors) != 1 || early.document(t).Errors[0].Pointer != "/attachments/0/uploadId" {
		t.Errorf("before the upload: %d %s", early.StatusCode, early.text)
	}
	put, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL, strings.NewReader("uploaded"))
	if err != nil {
		t.Fatal(err)
	}
	put.Header.Set("x-ms-blob-type", "BlockBlob")
	if res, err := d.Files.RoundTrip(put); err != nil || res.StatusCode != http.StatusCreated {
		t.Fatalf("upload: %v %v", res, err)
	}
	res := d.do(t, d.request(t, "POST", "/emails:send", message))
	if o := res.document(t); res.StatusCode != http.StatusAccepted || len(o.Delivery.Links) != 1 || o.Delivery.Links[0].Size != 8 {
		t.Errorf("after the upload: %d %s", res.StatusCode, res.text)
	}
	other := strings.Replace(message, `"upload"`, `"another"`, 1)
	if res := d.do(t, d.request(t, "POST", "/emails:send", other)); res.StatusCode != http.StatusBadRequest {
		t.Errorf("a second message with the upload: %d %s", res.StatusCode, res.text)
	}
	if res := d.do(t, d.request(t, "POST", "/attachments", `{"name":"a"}`)); res.StatusCode != http.StatusBadRequest {
		t.Errorf("a slot with a body: %d", res.StatusCode)
	}
}

func TestWithoutMemoryARequestIsSentAway(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	d.memory.Store(1 << 40)
	res := d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("1")))
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") != "1" {
		t.Errorf("%d %s", res.StatusCode, res.text)
	}
	d.memory.Store(1)
	if res := d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("1"))); res.StatusCode != http.StatusAccepted {
		t.Errorf("%d %s", res.StatusCode, res.text)
	}
}

func TestStorageAway(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	d.storageDown(true)
	res := d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("1")))
	if res.StatusCode != http.StatusServiceUnavailable || res.slug(t) != "unavailable" || res.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", res.StatusCode, res.text)
	}
	d = newDeployment(t, plenty) // this one does not ask again for a second
	d.Failing("", 1)
	if res := d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("1"))); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%d %s", res.StatusCode, res.text)
	}
	d.Working()
	if res := d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("1"))); res.StatusCode != http.StatusAccepted {
		t.Errorf("%d %s", res.StatusCode, res.text)
	}
}

func TestWhatACSSaysReachesTheCaller(t *testing.T) {
	t.Parallel()
	refused := problem.New(problem.RefusedByACS, "ACS refused the message: no such user")
	refused.Upstream = "InvalidEmailAddress"
	busy := problem.New(problem.ACSBusy, "ACS asks to wait.")
	busy.RetryAfter = 1500 * time.Millisecond
	for _, c := range []struct {
		name   string
		err    error
		status int
		code   string
	}{
		{"refused", refused, 422, "InvalidEmailAddress"},
		{"busy", busy, 429, "AcsBusy"},
		{"misconfigured", problem.New(problem.ACSMisconfigured, "Tell the operator."), 502, "AcsMisconfigured"},
		{"out of reach", problem.New(problem.ACSFailed, "Send it again."), 502, "AcsFailed"},
		{"a fault of ours", errors.New("secret inner text"), 500, "Internal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, plenty)
			d.ACS.Answer = func(*mail.Message) (bool, error) { return false, c.err }
			res := d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Refusing(gatewaytest.Small("1"))))
			if res.StatusCode != c.status || res.Header.Get("X-Ms-Error-Code") != c.code {
				t.Errorf("%d %s", res.StatusCode, res.text)
			}
			if strings.Contains(res.text, "secret inner text") {
				t.Error("the inner error reached the caller")
			}
			if c.name == "busy" && res.Header.Get("Retry-After") != "2" {
				t.Errorf("Retry-After is %s", res.Header.Get("Retry-After"))
			}
		})
	}
}

func TestAPanicHarmsOnlyItsRequest(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	d.ACS.Answer = func(*mail.Message) (bool, error) { panic("a secret address") }
	res := d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("1")))
	if res.StatusCode != http.StatusInternalServerError || strings.Contains(d.log.String(), "a secret address") {
		t.Errorf("%d, log %s", res.StatusCode, d.log)
	}
	d.ACS.Answer = nil
	if res := d.do(t, d.request(t, "POST", "/emails:send", gatewaytest.Small("2"))); res.StatusCode != http.StatusAccepted {
		t.Errorf("%d %s", res.StatusCode, res.text)
	}
}

func TestAliveAndReady(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	for _, path := range []string{"/healthz", "/readyz", "/openapi.json", "/swagger.json"} {
		if res := d.do(t, d.request(t, "GET", path, "", "Authorization", "")); res.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", path, res.StatusCode, res.text)
		}
	}
	for path, want := range map[string]string{
		"/healthz": `{"status":"alive","version":"v1.2.3"}`, "/openapi.json": `"version": "v1.2.3"`, "/swagger.json": `"version": "v1.2.3"`,
	} {
		if res := d.do(t, d.request(t, "GET", path, "")); !strings.Contains(res.text, want) {
			t.Errorf("%s does not say %s", path, want)
		}
	}
	res, err := http.Get(d.server.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		t.Errorf("the host's ping got %d", res.StatusCode)
	}
}

// While sending is paused, readiness and quota say so, and nothing else is wrong; while a
// caller is, its quota does.
func TestAPauseIsTold(t *testing.T) {
	t.Parallel()
	told := func(t *testing.T, d *deployment, path string) string {
		t.Helper()
		res := d.do(t, d.request(t, "GET", path, ""))
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", path, res.StatusCode, res.text)
		}
		return res.text
	}
	for _, c := range []struct {
		name             string
		pause            func(*deployment) error
		readiness, quota string
	}{
		{"nothing", func(*deployment) error { return nil }, `{"status":"ready","checks":{"quota":"ok"}}`, `"waiting":{"yours":0,"all":0}`},
		{"sending", func(d *deployment) error { return d.PauseSending(t.Context(), "a drill", true) },
			`{"status":"paused","checks":{"quota":"ok"}}`, `"refuses":true,"waiting":0}}`},
		{"the caller", func(d *deployment) error { return d.callers.Pause(t.Context(), "shop", "a loop", false) },
			`{"status":"ready","checks":{"quota":"ok"}}`, `"paused":{"reason":"a loop"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, plenty)
			if err := c.pause(d); err != nil {
				t.Fatal(err)
			}
			if got := told(t, d, "/readyz"); strings.TrimSpace(got) != c.readiness {
				t.Errorf("ready: %s", got)
			}
			if got := told(t, d, "/quota"); !strings.Contains(got, c.quota) {
				t.Errorf("quota: %s", got)
			}
		})
	}
}

// A refused message of a caller that is paused hears why, in the form of each API.
func TestWhoIsPausedHearsWhy(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	if err := d.callers.Pause(t.Context(), "shop", "a loop", true); err != nil {
		t.Fatal(err)
	}
	for path, body := range map[string]string{
		"/emails:send":  gatewaytest.Small("1"),
		"/emails":       `{"from":"a@example.com","to":"b@example.com","subject":"1","text":"x"}`,
		"/v3/mail/send": `{"personalizations":[{"to":[{"email":"b@example.com"}]}],"from":{"email":"a@example.com"},"subject":"1","content":[{"type":"text/plain","value":"x"}]}`,
		"/email":        `{"From":"a@example.com","To":"b@example.com","Subject":"1","TextBody":"x"}`,
	} {
		res := d.do(t, d.request(t, "POST", path, body))
		if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") != "60" || !strings.Contains(res.text, "has paused this caller: a loop.") {
			t.Errorf("%s: %d %s %s", path, res.StatusCode, res.Header.Get("Retry-After"), res.text)
		}
	}
	if len(d.ACS.Arrivals) != 0 {
		t.Error("something was sent")
	}
}

// Nothing that a caller sends may be found in the log again.
func TestTheLogHoldsNoSecrets(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	body := `{"senderAddress":"canary1@example.com","content":{"subject":"canary2","plainText":"canary3","html":"canary4"},"recipients":{"to":[{"address":"canary5@example.com","displayName":"canary6"}]},"headers":{"X-A":"canary7"},"delivery":{"tags":[{"name":"canary8","value":"canary9"}]}%s}`
	for _, tail := range []string{"", `,"canaryA":1`, `,"attachments":[{"name":"canaryB","contentType":"canaryC","contentInBase64":"canaryD"}]`} {
		d.do(t, d.request(t, "POST", "/emails:send?x=canaryE", strings.Replace(body, "%s", tail, 1), "Idempotency-Key", "canaryF"))
	}
	d.do(t, d.request(t, "GET", "/emails/operations/canaryG", "", "X-Api-Key", "canaryH"))
	for _, secret := range []string{"canary", d.key, d.access} {
		if strings.Contains(d.log.String(), secret) || strings.Contains(d.Log.String(), secret) {
			t.Errorf("%s is in the log", secret)
		}
	}
}

package rest_test

import (
	"bytes"
	"compress/gzip"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/test/require"
)

// The smallest message in each API's words; more members may follow.
const (
	inResend   = `{"from":"Shop <donotreply@example.com>","to":"ann@example.com","subject":"Hi","text":"Hello"%s}`
	inSendGrid = `{"from":{"email":"donotreply@example.com"},"personalizations":[{"to":[{"email":"ann@example.com"}]}],"subject":"Hi","content":[{"type":"text/plain","value":"Hello"}]%s}`
	inPostmark = `{"From":"donotreply@example.com","To":"ann@example.com","Subject":"Hi","TextBody":"Hello"%s}`
)

// large is the content of an attachment that becomes a link.
var large = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("posthorn"), 600))

// api is what the APIs have in common for a test.
type api struct {
	path, message string
	attachments   string                       // the member, with one that does not fit
	status        int                          // of a message that was taken
	id            func(a answer) string        // of it
	told          func(a answer) (int, string) // status in the body, and the text
}

var apis = map[string]api{
	"resend": {"/emails", inResend, `,"attachments":[{"filename":"a.bin","content":"` + large + `"}]`, 200,
		func(a answer) string { return field(a, "id") },
		func(a answer) (int, string) {
			n, _ := strconv.Atoi(field(a, "statusCode"))
			return n, field(a, "message")
		}},
	"sendgrid": {"/v3/mail/send", inSendGrid, `,"attachments":[{"filename":"a.bin","content":"` + large + `"}]`, 202,
		func(a answer) string { return a.Header.Get("X-Message-Id") },
		func(a answer) (int, string) {
			var e struct {
				Errors []struct{ Message, Field string }
			}
			_ = json.Unmarshal([]byte(a.text), &e) // told by what is missing then
			var all []string
			for _, f := range e.Errors {
				all = append(all, f.Field+": "+f.Message)
			}
			return a.StatusCode, strings.Join(all, " ")
		}},
	"postmark": {"/email", inPostmark, `,"Attachments":[{"Name":"a.bin","Content":"` + large + `"}]`, 200,
		func(a answer) string { return field(a, "MessageID") },
		func(a answer) (int, string) {
			if field(a, "ErrorCode") == "0" {
				return 0, ""
			}
			return a.StatusCode, field(a, "Message")
		}},
}

// field is a member of an answer that is an object.
func field(a answer, name string) string {
	var all map[string]any
	_ = json.Unmarshal([]byte(a.text), &all) // told by what is missing then
	return fmt.Sprint(all[name])
}

func TestOtherAPIsTakeAMessage(t *testing.T) {
	t.Parallel()
	for name, api := range apis {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, plenty)
			res := d.do(t, d.request(t, "POST", api.path, fmt.Sprintf(api.message, api.attachments)))
			if res.StatusCode != api.status || len(d.ACS.Sent) != 1 {
				t.Fatalf("%d %s", res.StatusCode, res.text)
			}
			m := d.ACS.Sent[0]
			if m.SenderAddress != "donotreply@example.com" || m.Content.Subject != "Hi" || len(m.Attachments) != 0 || !strings.Contains(m.Content.PlainText, "/files/") {
				t.Errorf("sent as %+v", m)
			}
			d.end(t, api.id(res), record.Accepted, nil)
			o := d.do(t, d.request(t, "GET", "/emails/operations/"+api.id(res), "")).document(t)
			if o.Status != "Succeeded" || len(o.Delivery.Links) != 1 {
				t.Errorf("its status is %+v", o)
			}
		})
	}
}

// A name of the sender is sent if ACS takes one. Otherwise it is left out, since clients
// write it as a habit.
func TestTheNameOfTheSender(t *testing.T) {
	t.Parallel()
	for path, body := range map[string]string{
		"/emails":       fmt.Sprintf(inResend, ""),
		"/v3/mail/send": strings.Replace(fmt.Sprintf(inSendGrid, ""), `"donotreply@example.com"`, `"donotreply@example.com","name":"Shop"`, 1),
		"/email":        strings.Replace(fmt.Sprintf(inPostmark, ""), "donotreply@example.com", "Shop <donotreply@example.com>", 1),
		"/emails:send":  strings.Replace(gatewaytest.Small("x"), "{", `{"senderDisplayName":"Shop",`, 1),
	} {
		for _, names := range []bool{false, true} {
			t.Run(fmt.Sprint(path, " ", names), func(t *testing.T) {
				t.Parallel()
				d := newDeployment(t, plenty)
				d.Gateway.Check.SenderNames = names
				res := d.do(t, d.request(t, "POST", path, body))
				want := map[bool]string{true: "Shop"}[names]
				if len(d.ACS.Sent) != 1 || d.ACS.Sent[0].SenderDisplayName != want {
					t.Errorf("%d %s: sent %+v, want the name %q", res.StatusCode, res.text, d.ACS.Sent, want)
				}
			})
		}
	}
}

func TestOtherAPIsTellErrorsInTheirForm(t *testing.T) {
	t.Parallel()
	wrong := map[string][2]string{ // what is wrong with the message, and where
		"resend":   {`{"from":"nobody","to":["ann@example.com","x y"],"subject":"","html":"a","scheduled_at":"soon"}`, "/from /scheduled_at /subject /to/1"},
		"sendgrid": {`{"from":{"email":"nobody"},"personalizations":[{"to":[{"email":"ann@example.com"},{"email":"x y"}]}],"content":[{"type":"text/html","value":"a"}],"template_id":"x"}`, "from.email personalizations.0.to.1.email subject template_id"},
		"postmark": {`{"From":"nobody","To":"ann@example.com, x y","Subject":"","HtmlBody":"a","TrackLinks":"x"}`, "/From /Subject /To /TrackLinks"},
	}
	d := newDeployment(t, plenty)
	for name, api := range apis {
		good := fmt.Sprintf(api.message, "")
		for _, c := range []struct {
			name, body string
			headers    []string
			status     map[string]int
			text       string
		}{
			{"no key", good, []string{"Authorization", ""}, map[string]int{"": 401}, "The request has no key."},
			{"wrong key", good, []string{"Authorization", "Bearer ph_shop_1_00"}, map[string]int{"": 401, "resend": 403}, "The key is not valid"},
			{"no JSON", "hello", nil, map[string]int{"": 400, "postmark": 422}, "Reading the JSON stopped at byte 0."},
			{"media type", good, []string{"Content-Type", "text/plain"}, map[string]int{"": 415, "postmark": 422}, "The body must be JSON in UTF-8"},
			{"parts", good, []string{"Content-Type", "multipart/mixed; boundary=b"}, map[string]int{"": 415, "postmark": 422}, "The body must be JSON in UTF-8"},
			{"encoding", good, []string{"Content-Encoding", "br"}, map[string]int{"": 415, "postmark": 422}, "This Content-Encoding is not supported."},
			{"too large", strings.Repeat(" ", 100_001), nil, map[string]int{"": 413}, "The body is larger than the 100000 bytes"},
			{"another sender", strings.Replace(good, "donotreply@example.com", "a@example.org", 1), nil, map[string]int{"": 403, "postmark": 422}, "The rule `senders` of this caller"},
			{"another recipient", strings.Replace(good, "ann@example.com", "a@example.org", 1), nil, map[string]int{"": 403, "postmark": 422}, "The rule `recipientDomains` of this caller"},
			{"a wrong message", wrong[name][0], nil, map[string]int{"": 422, "sendgrid": 400}, ""},
		} {
			t.Run(name+", "+c.name, func(t *testing.T) {
				res := d.do(t, d.request(t, "POST", api.path, c.body, c.headers...))
				want, ok := c.status[name]
				if !ok {
					want = c.status[""]
				}
				status, text := api.told(res)
				if res.StatusCode != want || status != want || !strings.Contains(text, c.text) {
					t.Errorf("%d %s", res.StatusCode, res.text)
				}
				if got := res.Header.Get("Content-Type"); got != "application/json" {
					t.Errorf("Content-Type is %s", got)
				}
				if c.text == "" {
					for place := range strings.FieldsSeq(wrong[name][1]) {
						if !strings.Contains(text, place+": ") {
							t.Errorf("%s is not told: %s", place, text)
						}
					}
				}
				if len(d.ACS.Sent) != 0 {
					t.Error("it was sent")
				}
			})
		}
	}
}

func TestOtherAPIsTellTheQuota(t *testing.T) {
	t.Parallel()
	refuse := map[string]string{"resend": `,"delivery":{"whenBusy":"refuse"}`, "sendgrid": `,"delivery":{"whenBusy":"refuse"}`, "postmark": `,"Delivery":{"whenBusy":"refuse"}`}
	for name, api := range apis {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, quota.Limits{PerMinute: 1, PerHour: 9})
			first := d.do(t, d.request(t, "POST", api.path, fmt.Sprintf(api.message, "")))
			if first.StatusCode != api.status {
				t.Fatal(first.text)
			}
			res := d.do(t, d.request(t, "POST", api.path, fmt.Sprintf(api.message, refuse[name])))
			status, text := api.told(res)
			wait, _ := strconv.Atoi(res.Header.Get("Retry-After"))
			if status != http.StatusTooManyRequests || text == "" || wait < 1 {
				t.Errorf("%d %s, Retry-After %d", status, text, wait)
			}
			for prefix, resets := range map[string]func(int) bool{
				"Ratelimit-":   func(reset int) bool { return name == "resend" && 1 <= reset && reset <= 70 },
				"X-Ratelimit-": func(reset int) bool { return name == "sendgrid" && reset > int(time.Now().Unix()) },
			} {
				if res.Header.Get(prefix+"Reset") == "" {
					continue
				}
				reset, _ := strconv.Atoi(res.Header.Get(prefix + "Reset"))
				if res.Header.Get(prefix+"Limit") != "1" || res.Header.Get(prefix+"Remaining") != "0" || !resets(reset) {
					t.Errorf("the headers are %v", res.Header)
				}
			}
			waits := d.do(t, d.request(t, "POST", api.path, fmt.Sprintf(api.message, "")))
			if o := d.do(t, d.request(t, "GET", "/emails/operations/"+api.id(waits), "")).document(t); waits.StatusCode != api.status || o.Delivery.State != "waiting" {
				t.Errorf("%d %s, then %+v", waits.StatusCode, waits.text, o)
			}
		})
	}
}

// A body may come compressed, or in chunks whose number nobody knows.
func TestBodiesOfOtherAPIsMayBePacked(t *testing.T) {
	t.Parallel()
	packed := func(text string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write([]byte(text)) // a buffer takes all
		_ = w.Close()
		return b.String()
	}
	bomb := packed(`{"from":"` + strings.Repeat(" ", 3<<20) + `"}`)
	for name, api := range apis {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, plenty)
			good := fmt.Sprintf(api.message, api.attachments)
			for _, c := range []struct {
				name, body string
				status     int
			}{
				{"whole", packed(good), api.status},
				{"in two members", packed(good[:100]) + packed(good[100:]), api.status},
				{"cut off", packed(good)[:150], 0},
				{"no gzip", good, 0},
				{"nothing", "", 0},
				{"with a wrong sum", packed(good)[:len(packed(good))-8] + "12345678", 0},
				{"that grows", bomb, http.StatusRequestEntityTooLarge},
			} {
				res := d.do(t, d.request(t, "POST", api.path, c.body, "Content-Encoding", "gzip"))
				want := c.status
				if want == 0 {
					want = map[string]int{"postmark": 422}[name]
					want = max(want, http.StatusBadRequest)
				}
				if res.StatusCode != want {
					t.Errorf("%s: %d %s", c.name, res.StatusCode, res.text)
				}
			}
			req := d.request(t, "POST", api.path, good)
			req.ContentLength = -1
			if res := d.do(t, req); res.StatusCode != api.status {
				t.Errorf("in chunks: %d %s", res.StatusCode, res.text)
			}
		})
	}
}

func TestKeysOfOtherAPIsAreFoundWhereTheyPutThem(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	for _, header := range []string{"X-Postmark-Server-Token", "X-API-Key", "X-Functions-Key", "Authorization"} {
		for name, api := range apis {
			req := d.request(t, "POST", api.path, fmt.Sprintf(api.message, ""), "Authorization", "")
			req.Header.Set(header, d.key)
			if res := d.do(t, req); res.StatusCode != api.status {
				t.Errorf("%s, %s: %d %s", name, header, res.StatusCode, res.text)
			}
		}
	}
}

// A signature says what the body is, which is known only at its end.
func TestSignaturesAreNotForOtherAPIs(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	for name, api := range apis {
		req := d.request(t, "POST", api.path, fmt.Sprintf(api.message, ""), "Authorization", "")
		d.sign(t, req, fmt.Sprintf(api.message, ""))
		status, text := api.told(d.do(t, req))
		if status != map[string]int{"resend": 403, "sendgrid": 401, "postmark": 401}[name] || !strings.Contains(text, "Only ACS's own routes take a signature.") {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
}

// What openapi.json shows of other APIs works.
func TestExamplesOfOtherAPIsAreTaken(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]struct {
			Post struct {
				RequestBody struct {
					Content map[string]struct {
						Examples map[string]struct{ Value json.RawMessage }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	d := newDeployment(t, plenty)
	for _, path := range []string{"/emails", "/emails/batch", "/v3/mail/send", "/email", "/email/batch"} {
		examples := doc.Paths[path].Post.RequestBody.Content["application/json"].Examples
		if len(examples) == 0 {
			t.Errorf("%s has no example", path)
		}
		for name, e := range examples {
			if res := d.do(t, d.request(t, "POST", path, string(e.Value))); res.StatusCode >= 300 || strings.Contains(res.text, "rror") && !strings.Contains(res.text, `"ErrorCode":0`) {
				t.Errorf("%s, %s: %d %s", path, name, res.StatusCode, res.text)
			}
		}
	}
}

// Strings that have broken programs elsewhere are the caller's fault, or arrive.
func TestNaughtyStringsInOtherAPIs(t *testing.T) {
	t.Parallel()
	naughty := require.NaughtyStrings(t)
	d := newDeployment(t, plenty)
	d.client = http.DefaultClient // to hold 3,000 answers against openapi.json takes long
	for name, api := range apis {
		for _, s := range naughty {
			quoted, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			for _, body := range []string{
				strings.Replace(fmt.Sprintf(api.message, ""), `"Hello"`, string(quoted), 1),
				strings.NewReplacer(`"Hi"`, string(quoted), `"ann@example.com"`, string(quoted)).Replace(fmt.Sprintf(api.message, "")),
			} {
				if res := d.do(t, d.request(t, "POST", api.path, body)); res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests {
					t.Errorf("%s, %q: %d %s", name, s, res.StatusCode, res.text)
				}
			}
		}
	}
}

func TestRepeatsInOtherAPIs(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"resend", "postmark"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api, d := apis[name], newDeployment(t, plenty)
			var id string
			for _, key := range []string{`order-4711`, `"order-4711"`} {
				res := d.do(t, d.request(t, "POST", api.path, fmt.Sprintf(api.message, ""), "Idempotency-Key", key))
				if id == "" {
					id = api.id(res)
				} else if api.id(res) != id || res.Header.Get("Idempotency-Replayed") != "true" {
					t.Errorf("%d %s", res.StatusCode, res.text)
				}
			}
			other := d.do(t, d.request(t, "POST", api.path, strings.Replace(fmt.Sprintf(api.message, ""), "Hi", "Ho", 1), "Idempotency-Key", "order-4711"))
			if status, _ := api.told(other); status != map[string]int{"resend": 409, "postmark": 422}[name] {
				t.Errorf("another message: %d %s", status, other.text)
			}
			long := d.do(t, d.request(t, "POST", api.path, fmt.Sprintf(api.message, ""), "Idempotency-Key", strings.Repeat("k", 256)))
			if status, text := api.told(long); status < 400 || !strings.Contains(text, "Idempotency-Key") {
				t.Errorf("a long key: %d %s", status, long.text)
			}
			if n := len(d.ACS.Sent); n != 1 {
				t.Errorf("%d messages were sent", n)
			}
		})
	}
}

// SendGrid's client writes the headers of the mail into the request.
func TestHeadersOfTheMailInTheRequestNameNothing(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	api := apis["sendgrid"]
	for range 2 {
		if res := d.do(t, d.request(t, "POST", api.path, fmt.Sprintf(api.message, ""), "Idempotency-Key", "k", "Operation-Id", "x")); res.StatusCode != http.StatusAccepted {
			t.Fatal(res.text)
		}
	}
	if n := len(d.ACS.Sent); n != 2 {
		t.Errorf("%d messages were sent", n)
	}
}

func TestMethodsOfOverlappingRoutes(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	for _, c := range []struct{ method, path, allow string }{
		{"GET", "/emails", "POST"}, {"DELETE", "/emails/batch", "GET, POST"}, {"PATCH", "/emails/x", "GET"}, {"GET", "/emails/x/cancel", "POST"},
		{"PUT", "/emails/operations/x", "GET, DELETE"}, {"GET", "/v3/mail/send", "POST"}, {"PUT", "/email", "POST"}, {"PUT", "/healthz", "GET, HEAD"},
		{"PATCH", "/hooks/x", "GET, HEAD, POST, PUT, OPTIONS"}, {"OPTIONS", "/emails:send", "POST"},
	} {
		res := d.do(t, d.request(t, c.method, c.path, ""))
		if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q", c.method, c.path, res.StatusCode, res.Header.Get("Allow"))
		}
	}
	if res := d.do(t, d.request(t, "PATCH", "/emails/x", "")); field(res, "name") != "method_not_allowed" {
		t.Errorf("Resend's form is %s", res.text)
	}
}

func TestResendFindsAndCancels(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, plenty)
	sent := field(d.do(t, d.request(t, "POST", "/emails", fmt.Sprintf(inResend, `,"tags":[{"name":"k","value":"v"}]`))), "id")
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	later := field(d.do(t, d.request(t, "POST", "/emails", fmt.Sprintf(inResend, `,"scheduled_at":"`+at.Format(time.RFC3339)+`"`))), "id")
	cancel := func(id string) answer { return d.do(t, d.request(t, "POST", "/emails/"+id+"/cancel", "")) }
	find := func(id string) answer { return d.do(t, d.request(t, "GET", "/emails/"+id, "")) }

	if res := find(sent); field(res, "last_event") != "queued" {
		t.Error(res.text)
	}
	d.end(t, sent, record.Accepted, nil)
	if res := find(sent); field(res, "last_event") != "sent" || field(res, "subject") != "<nil>" || field(res, "object") != "email" {
		t.Error(res.text)
	}
	if res := find(later); field(res, "last_event") != "scheduled" || field(res, "scheduled_at") != at.Format(time.RFC3339) {
		t.Error(res.text)
	}
	for range 2 {
		if res := cancel(later); res.StatusCode != http.StatusOK || field(res, "id") != later {
			t.Error(res.text)
		}
	}
	if res := find(later); field(res, "last_event") != "canceled" {
		t.Error(res.text)
	}
	if res := cancel(sent); res.StatusCode != http.StatusConflict || field(res, "name") != "validation_error" {
		t.Error(res.text)
	}
	for _, id := range []string{"x", "11111111-1111-4111-8111-111111111111"} {
		for _, res := range []answer{find(id), cancel(id)} {
			if res.StatusCode != http.StatusNotFound || field(res, "name") != "not_found" {
				t.Error(res.text)
			}
		}
	}
	if len(d.ACS.Sent) != 1 {
		t.Errorf("%d messages were sent", len(d.ACS.Sent))
	}
}

// sign signs a request as ACS's SDKs do.
func (d *deployment) sign(t *testing.T, req *http.Request, body string) {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(d.access)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(body))
	hash, date := base64.StdEncoding.EncodeToString(sum[:]), time.Now().UTC().Format(http.TimeFormat)
	m := hmac.New(sha256.New, key)
	fmt.Fprintf(m, "%s\n%s\n%s;%s;%s", req.Method, req.URL.RequestURI(), date, req.URL.Host, hash)
	req.Header.Set("X-Ms-Date", date)
	req.Header.Set("X-Ms-Content-Sha256", hash)
	req.Header.Set("Authorization", "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature="+base64.StdEncoding.EncodeToString(m.Sum(nil)))
}

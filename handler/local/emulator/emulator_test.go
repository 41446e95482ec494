package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// noon is the time of the tests' clock.
var noon = time.Date(2026, time.March, 2, 12, 0, 30, 0, time.UTC)

const (
	someID      = "3f0b52c1-9a4d-4f7e-8c21-5d6e7f809a1b"
	sendPath    = "/emails:send?api-version=2025-09-01"
	previewPath = "/emails:send?api-version=2025-01-15-preview"
	statusPath  = "/emails/operations/" + someID + "?api-version=2025-09-01"
	someToken   = "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ0ZXN0In0.c2ln"
)

// outbox is what Deliver was given.
type outbox struct {
	mu    sync.Mutex
	ids   []string
	fails bool
}

func (o *outbox) deliver(id string, _ time.Time, _ []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fails {
		return errors.New("the disk is full")
	}
	o.ids = append(o.ids, id)
	return nil
}

func (o *outbox) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.ids)
}

func newTest(t *testing.T, cfg Config) (*Emulator, *outbox) {
	t.Helper()
	out := &outbox{}
	if cfg.Deliver == nil {
		cfg.Deliver = out.deliver
	}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return noon }
	}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e, out
}

func messageTo(recipient string) string {
	return `{"senderAddress":"donotreply@example.com","content":{"subject":"Hello","plainText":"Hello Ann"},"recipients":{"to":[{"address":"` + recipient + `","displayName":"Ann"}]}}`
}

func newCall(method, path, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", someToken)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func call(e *Emulator, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w
}

func sendTo(e *Emulator, recipient string) *httptest.ResponseRecorder {
	return call(e, newCall("POST", sendPath, messageTo(recipient), "Operation-Id", someID))
}

func status(e *Emulator) *httptest.ResponseRecorder { return call(e, newCall("GET", statusPath, "")) }

// wantRefusal checks the form that all of ACS's errors have.
func wantRefusal(t *testing.T, w *httptest.ResponseRecorder, status int, code, message string) {
	t.Helper()
	var body struct {
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("status %d, body is not JSON: %v", w.Code, err)
	}
	if w.Code != status || body.Error.Code != code || w.Header().Get("x-ms-error-code") != code {
		t.Errorf("got %d %q (header %q), want %d %q", w.Code, body.Error.Code, w.Header().Get("x-ms-error-code"), status, code)
	}
	if message != "" && body.Error.Message != message {
		t.Errorf("message %q, want %q", body.Error.Message, message)
	}
}

func TestAcceptedSend(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"2023-03-31", "2025-01-15-preview", "2025-09-01"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			e, out := newTest(t, Config{})
			w := call(e, newCall("POST", "http://127.0.0.1:8026/emails:send?api-version="+version, messageTo("ann@example.com"), "Operation-Id", strings.ToUpper(someID)))
			if got, want := w.Body.String(), `{"id":"`+someID+`","status":"Running","error":null}`; w.Code != 202 || got != want {
				t.Fatalf("got %d %s, want 202 %s", w.Code, got, want)
			}
			if got, want := w.Header().Get("Operation-Location"), "http://127.0.0.1:8026/emails/operations/"+someID+"?api-version="+version; got != want {
				t.Errorf("Operation-Location %q, want %q", got, want)
			}
			for _, name := range []string{"Retry-After", "api-supported-versions", "mise-correlation-id", "X-Azure-Ref", "MS-CV"} {
				if w.Header().Get(name) == "" {
					t.Errorf("no header %s", name)
				}
			}
			if out.count() != 1 || out.ids[0] != someID {
				t.Errorf("delivered %v", out.ids)
			}
		})
	}
}

// Posthorn takes a contentId with any api-version, so its stand-in for ACS does.
func TestAContentIDWithAnyVersion(t *testing.T) {
	t.Parallel()
	e, out := newTest(t, Config{})
	body := members(map[string]string{"attachments": `[` + attached + `]`})
	if w := call(e, newCall("POST", "http://127.0.0.1:8026/emails:send?api-version=2023-03-31", body)); w.Code != 202 || out.count() != 1 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestSendWithoutOperationIDGetsOne(t *testing.T) {
	t.Parallel()
	e, out := newTest(t, Config{})
	call(e, newCall("POST", sendPath, messageTo("ann@example.com")))
	call(e, newCall("POST", sendPath, messageTo("ann@example.com")))
	if out.count() != 2 || out.ids[0] == out.ids[1] {
		t.Fatalf("delivered %v, want two ids", out.ids)
	}
	if _, ok := canonicalUUID(out.ids[0]); !ok {
		t.Errorf("%q is not a UUID", out.ids[0])
	}
}

// members builds a message in which one member is replaced; "" removes it.
func members(replaced map[string]string) string {
	all := map[string]string{
		"senderAddress": `"donotreply@example.com"`,
		"content":       `{"subject":"Hello","plainText":"Hello Ann"}`,
		"recipients":    `{"to":[{"address":"ann@example.com"}]}`,
	}
	for k, v := range replaced {
		all[k] = v
	}
	var parts []string
	for k, v := range all {
		if v != "" {
			parts = append(parts, fmt.Sprintf("%q:%s", k, v))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func manyRecipients(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"address":"a%d@example.com"}`, i)
	}
	return `{"bcc":[` + strings.Join(list, ",") + `]}`
}

const attached = `{"name":"a.txt","contentType":"text/plain","contentInBase64":"aGVsbG8=","contentId":"pic"}`

func TestRefusedSend(t *testing.T) {
	t.Parallel()
	property := func(p string) string { return "Request body validation error. See property '" + p + "'" }
	address := "Invalid format for email address"
	tests := []struct {
		name    string
		body    string
		path    string
		headers []string
		status  int
		code    string
		message string
	}{
		{name: "no JSON", body: "hello", status: 400, code: "BadRequest"},
		{name: "an array", body: "[]", status: 400, code: "BadRequest"},
		{name: "null", body: "null", status: 400, code: "BadRequest", message: property("senderAddress")},
		{name: "no sender", body: members(map[string]string{"senderAddress": ""}), status: 400, code: "BadRequest", message: property("senderAddress")},
		{name: "sender is a number", body: members(map[string]string{"senderAddress": "1"}), status: 400, code: "BadRequest", message: property("senderAddress")},
		{name: "no content", body: members(map[string]string{"content": ""}), status: 400, code: "BadRequest", message: property("content")},
		{name: "no subject", body: members(map[string]string{"content": `{"plainText":"x"}`}), status: 400, code: "BadRequest", message: property("content.subject")},
		{name: "no text and no HTML", body: members(map[string]string{"content": `{"subject":"x"}`}), status: 400, code: "BadRequest", message: property("content")},
		{name: "no recipients", body: members(map[string]string{"recipients": ""}), status: 400, code: "BadRequest", message: property("recipients")},
		{name: "empty recipients", body: members(map[string]string{"recipients": `{"to":[]}`}), status: 400, code: "BadRequest", message: property("recipients")},
		{name: "51 recipients", body: members(map[string]string{"recipients": manyRecipients(51)}), status: 400, code: "BadRequest", message: property("recipients")},
		{name: "recipient without address", body: members(map[string]string{"recipients": `{"cc":[{"displayName":"Ann"}]}`}), status: 400, code: "BadRequest", message: property("recipients.cc[0].address")},
		{name: "bad recipient", body: messageTo("ann.example.com"), status: 400, code: "InvalidEmailAddress", message: address},
		{name: "recipient with a name in the address", body: messageTo("Ann <ann@example.com>"), status: 400, code: "InvalidEmailAddress", message: address},
		{name: "domain without a dot", body: messageTo("ann@localhost"), status: 400, code: "InvalidEmailAddress", message: address},
		{name: "bad sender", body: members(map[string]string{"senderAddress": `"donotreply"`}), status: 400, code: "BadRequest", message: property("senderAddress")},
		{name: "sender with a name", body: members(map[string]string{"senderAddress": `"Shop <donotreply@example.com>"`}), status: 400, code: "BadRequest", message: property("senderAddress")},
		{name: "half a bracket", body: members(map[string]string{"senderAddress": `"<donotreply@example.com"`}), status: 400, code: "BadRequest", message: property("senderAddress")},
		{name: "a line break in the subject", body: members(map[string]string{"content": `{"subject":"x\r\nBcc: eve@example.com","plainText":"x"}`}), status: 400, code: "BadRequest", message: property("content.subject")},
		{name: "a line break in a name", body: members(map[string]string{"recipients": `{"to":[{"address":"ann@example.com","displayName":"Ann\n"}]}`}), status: 400, code: "BadRequest", message: property("recipients.to[0].displayName")},
		{name: "a line break in a header", body: members(map[string]string{"headers": `{"X-Order":"1\r\nBcc: eve@example.com"}`}), status: 400, code: "BadRequest", message: property("headers")},
		{name: "a NUL in a header", body: members(map[string]string{"headers": `{"X-Order":"1\u0000"}`}), status: 400, code: "BadRequest", message: property("headers")},
		{name: "a space in a header's name", body: members(map[string]string{"headers": `{"X Bad":"1"}`}), status: 400, code: "BadRequest", message: property("headers")},
		{name: "a colon in a header's name", body: members(map[string]string{"headers": `{"X:Bad":"1"}`}), status: 400, code: "BadRequest", message: property("headers")},
		{name: "a header's name that is not ASCII", body: members(map[string]string{"headers": `{"X-Nön":"1"}`}), status: 400, code: "BadRequest", message: property("headers")},
		{name: "a header without a name", body: members(map[string]string{"headers": `{"":"1"}`}), status: 400, code: "BadRequest", message: property("headers")},
		{name: "bad reply-to", body: members(map[string]string{"replyTo": `[{"address":"x"}]`}), status: 400, code: "InvalidEmailAddress", message: address},
		{name: "domain not linked", body: members(map[string]string{"senderAddress": `"donotreply@example.org"`}), status: 404, code: "DomainNotLinked", message: "The specified sender domain has not been linked."},
		{name: "attachment without a name", body: members(map[string]string{"attachments": `[{"contentType":"text/plain","contentInBase64":"aGVsbG8="}]`}), status: 400, code: "BadRequest", message: property("attachments[0].name")},
		{name: "attachment without a type", body: members(map[string]string{"attachments": `[` + attached + `,{"name":"a","contentInBase64":"aGVsbG8="}]`}), status: 400, code: "BadRequest", message: property("attachments[1].contentType")},
		{name: "attachment of no type", body: members(map[string]string{"attachments": `[{"name":"a","contentType":"text","contentInBase64":"aGVsbG8="}]`}), status: 400, code: "BadRequest", message: property("attachments[0].contentType")},
		{name: "attachment without content", body: members(map[string]string{"attachments": `[{"name":"a","contentType":"text/plain"}]`}), status: 400, code: "BadRequest", message: property("attachments[0].contentInBase64")},
		{name: "attachment of broken Base64", body: members(map[string]string{"attachments": `[{"name":"a","contentType":"text/plain","contentInBase64":"a b"}]`}), status: 400, code: "BadRequest", message: "ContentBytes invalid. Should be base64."},
		{name: "the same contentId twice", body: members(map[string]string{"attachments": `[` + attached + `,` + attached + `]`}), status: 400, code: "BadRequest", message: property("attachments[1].contentId")},
		{name: "a sender's name in no preview", body: members(map[string]string{"senderDisplayName": `"Shop"`}), status: 400, code: "BadRequest", message: property("senderDisplayName")},
		{name: "a line break in the sender's name", path: previewPath, body: members(map[string]string{"senderDisplayName": `"Shop\n"`}), status: 400, code: "BadRequest", message: property("senderDisplayName")},
		{name: "unknown version", path: "/emails:send?api-version=2021-01-01", status: 400, code: "UnsupportedApiVersion"},
		{name: "no version", path: "/emails:send", status: 400, code: "ApiVersionUnspecified"},
		{name: "Operation-Id is no UUID", headers: []string{"Operation-Id", "order-1"}, status: 400, code: "BadRequest"},
		{name: "not JSON's type", headers: []string{"Content-Type", "text/plain"}, status: 415, code: "UnsupportedMediaType"},
		{name: "too large", body: members(map[string]string{"x": `"` + strings.Repeat("x", 4096) + `"`}), status: 413, code: "RequestEntityTooLarge"},
		{name: "trailing slash on the endpoint", path: "http://example.com//emails:send?api-version=2025-09-01", status: 401, code: "Denied"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e, out := newTest(t, Config{SenderDomains: []string{"Example.com"}, MaxRequestBytes: 4096})
			if test.path == "" {
				test.path = sendPath
			}
			if test.body == "" {
				test.body = messageTo("ann@example.com")
			}
			w := call(e, newCall("POST", test.path, test.body, test.headers...))
			wantRefusal(t, w, test.status, test.code, test.message)
			if out.count() != 0 {
				t.Error("a refused message was delivered")
			}
		})
	}
}

func TestBodyCutOff(t *testing.T) {
	t.Parallel()
	e, out := newTest(t, Config{})
	r := newCall("POST", sendPath, "")
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"sender`), failing{}))
	wantRefusal(t, call(e, r), 400, "BadRequest", "")
	if out.count() != 0 {
		t.Error("a half message was delivered")
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestOddButAcceptedSend(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body string }{
		{"a sender's name", members(map[string]string{"senderDisplayName": `"Jörg's shop"`})},
		{"only bcc", members(map[string]string{"recipients": `{"to":[],"bcc":[{"address":"ann@example.com"}]}`})},
		{"50 recipients", members(map[string]string{"recipients": manyRecipients(50)})},
		{"unknown members", members(map[string]string{"surprise": `{"x":1}`})},
		{"HTML only", members(map[string]string{"content": `{"subject":"x","html":"<p>x</p>"}`})},
		{"duplicate contentId, asked for", members(map[string]string{
			"attachments": `[` + attached + `,` + attached + `]`, "headers": `{"X-MS-ACSEmail-Ignore-Duplicate-Content-Id":"true"}`})},
		{"international domain", messageTo("ann@bücher.example")},
		{"sender in angle brackets", members(map[string]string{"senderAddress": `"<donotreply@example.com>"`})},
		{"a header's value that is not ASCII", members(map[string]string{"headers": `{"X-Name":"Jörg\tB"}`})},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e, out := newTest(t, Config{})
			path := sendPath
			if strings.Contains(test.body, "senderDisplayName") {
				path = previewPath
			}
			if w := call(e, newCall("POST", path, test.body)); w.Code != 202 || out.count() != 1 {
				t.Errorf("got %d %s, %d delivered", w.Code, w.Body, out.count())
			}
		})
	}
}

func TestRepeatedOperation(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		policy     Repeat
		second     string
		wantStatus int
		wantCode   string
		wantMails  int
	}{
		{"dedup, same body", RepeatDedup, "ann@example.com", 202, "", 1},
		{"dedup, other body", RepeatDedup, "bob@example.com", 409, "Conflict", 1},
		{"refuse, same body", RepeatRefuse, "ann@example.com", 400, "BadRequest", 1},
		{"refuse, other body", RepeatRefuse, "bob@example.com", 400, "BadRequest", 1},
		{"double, same body", RepeatDouble, "ann@example.com", 202, "", 2},
		{"double, other body", RepeatDouble, "bob@example.com", 202, "", 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e, out := newTest(t, Config{Repeat: test.policy})
			sendTo(e, "ann@example.com")
			w := sendTo(e, test.second)
			if test.wantCode != "" {
				wantRefusal(t, w, test.wantStatus, test.wantCode, "")
			} else if w.Code != test.wantStatus || !strings.Contains(w.Body.String(), someID) {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			if out.count() != test.wantMails {
				t.Errorf("%d mails, want %d", out.count(), test.wantMails)
			}
		})
	}
}

func TestUndeliverableMessageIsNotRemembered(t *testing.T) {
	t.Parallel()
	e, out := newTest(t, Config{})
	out.fails = true
	wantRefusal(t, sendTo(e, "ann@example.com"), 500, "InternalServerError", "")
	wantRefusal(t, status(e), 404, "NotFound", "")
	out.fails = false
	if w := sendTo(e, "ann@example.com"); w.Code != 202 || out.count() != 1 {
		t.Errorf("got %d, %d delivered; want the second try to succeed", w.Code, out.count())
	}
}

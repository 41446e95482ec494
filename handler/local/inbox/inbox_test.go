package inbox

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, time.March, 2, 12, 0, 30, 0, time.UTC)

// message is a request whose parts a test replaces.
type message struct {
	from, fromName, to, bcc, subject, text, html string
	files                                        []string // JSON
}

func (l message) request() []byte {
	if l.from == "" {
		l.from = "donotreply@example.com"
	}
	recipients := map[string]any{"to": []map[string]string{{"address": l.to, "displayName": "Ann Becker"}}}
	if l.bcc != "" {
		recipients["bcc"] = []map[string]string{{"address": l.bcc}}
	}
	body, _ := json.Marshal(map[string]any{
		"senderAddress": l.from, "senderDisplayName": l.fromName,
		"content":     map[string]string{"subject": l.subject, "plainText": l.text, "html": l.html},
		"recipients":  recipients,
		"replyTo":     []map[string]string{{"address": "orders@example.com"}},
		"headers":     map[string]string{"X-Order": "10-4471"},
		"attachments": json.RawMessage("[" + strings.Join(l.files, ",") + "]"),
	})
	return body
}

func file(name, contentType, contentID, content string) string {
	f, _ := json.Marshal(map[string]string{"name": name, "contentType": contentType, "contentId": contentID,
		"contentInBase64": base64.StdEncoding.EncodeToString([]byte(content))})
	return string(f)
}

func newTest(t *testing.T, cfg Config) *Inbox {
	t.Helper()
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func add(t *testing.T, b *Inbox, id string, l message) {
	t.Helper()
	if err := b.Add(id, noon, l.request()); err != nil {
		t.Fatal(err)
	}
}

func do(b *Inbox, method, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w
}

// ids lists the messages that a query finds, as one word.
func ids(t *testing.T, b *Inbox, query string) string {
	t.Helper()
	w := do(b, "GET", "/api/messages"+query)
	var l struct{ Messages []struct{ ID string } }
	if err := json.Unmarshal(w.Body.Bytes(), &l); err != nil || w.Code != 200 {
		t.Fatalf("%s answered %d %s", query, w.Code, w.Body)
	}
	var all []string
	for _, m := range l.Messages {
		all = append(all, m.ID)
	}
	return strings.Join(all, " ")
}

func TestListAndSearch(t *testing.T) {
	t.Parallel()
	b := newTest(t, Config{})
	add(t, b, "one", message{to: "ann@example.com", subject: "Your ORDER", text: "on its way"})
	add(t, b, "two", message{to: "bob@example.org", bcc: "hidden@example.com", from: "billing@example.com", subject: "Invoice", html: "<style>.way{}</style><p>Gr&uuml;&szlig;e &amp; thanks</p>"})
	add(t, b, "three", message{to: "ann@example.com", subject: "Order again", text: "plain", html: "<p>only here</p>"})
	tests := []struct{ name, query, want string }{
		{"all, newest first", "", "three two one"},
		{"at most two", "?limit=2", "three two"},
		{"by subject, whatever the case", "?query=order", "three one"},
		{"by recipient", "?query=bob%40example.org", "two"},
		{"by blind copy", "?query=hidden%40", "two"},
		{"by name", "?query=becker", "three two one"},
		{"by sender", "?query=billing", "two"},
		{"by text", "?query=its+way", "one"},
		{"by text of the HTML", "?query=gr%C3%BC%C3%9Fe", "two"},
		{"by text of the HTML beside plain text", "?query=only", "three"},
		{"every word must be there", "?query=ann+again", "three"},
		{"nothing", "?query=zebra", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := ids(t, b, test.query); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	for _, limit := range []string{"0", "-1", "x"} {
		if w := do(b, "GET", "/api/messages?limit="+limit); w.Code != 400 {
			t.Errorf("limit=%s: %d", limit, w.Code)
		}
	}
}

func TestOneMessage(t *testing.T) {
	t.Parallel()
	b := newTest(t, Config{})
	l := message{fromName: "Shop", to: "ann@example.com", subject: "Hello", text: "Hi", html: "<p>Hi</p>", files: []string{file("a.txt", "text/plain", "", "hello"), file("p.png", "image/png", "pic", "png")}}
	add(t, b, "one", l)
	var got map[string]any
	if err := json.Unmarshal(do(b, "GET", "/api/messages/one").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"id": "one", "operationId": "one", "from": "donotreply@example.com", "fromName": "Shop", "subject": "Hello", "text": "Hi", "html": "<p>Hi</p>", "snippet": "Hi",
		"receivedAt": "2026-03-02T12:00:30Z", "attachmentCount": "2", "headers": "map[X-Order:10-4471]",
	} {
		if fmt.Sprint(got[name]) != want {
			t.Errorf("%s is %v, want %s", name, got[name], want)
		}
	}
	if page := do(b, "GET", "/messages/one").Body.String(); !strings.Contains(page, "Shop &lt;donotreply@example.com&gt;") {
		t.Error("the page does not name the sender")
	}
	first := got["attachments"].([]any)[0].(map[string]any)
	if first["name"] != "a.txt" || first["size"] != 5.0 || first["sha256"] != "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" {
		t.Errorf("attachment %v", first)
	}
	w := do(b, "GET", first["url"].(string))
	if w.Body.String() != "hello" || w.Header().Get("Content-Type") != "text/plain" || w.Header().Get("Content-Disposition") != "attachment; filename=a.txt" {
		t.Errorf("the attachment came as %q %v", w.Body, w.Header())
	}
	if w := do(b, "GET", "/api/messages/one/request"); !bytes.Equal(w.Body.Bytes(), l.request()) {
		t.Error("the request changed")
	}
}

func TestWhatIsNotThere(t *testing.T) {
	t.Parallel()
	b := newTest(t, Config{})
	add(t, b, "one", message{to: "ann@example.com"})
	for _, path := range []string{"/api/messages/x", "/api/messages/x/request", "/api/messages/x/attachments/0", "/api/messages/one/attachments/0",
		"/api/messages/one/attachments/-1", "/api/messages/one/attachments/a", "/messages/x", "/messages/x/html", "/assets/", "/assets/page.html", "/nothing"} {
		if w := do(b, "GET", path); w.Code != 404 {
			t.Errorf("GET %s: %d, want 404", path, w.Code)
		}
	}
	if w := do(b, "DELETE", "/api/messages/x"); w.Code != 404 {
		t.Errorf("DELETE of nothing: %d", w.Code)
	}
	if err := b.Add("two", noon, []byte("no JSON")); err == nil {
		t.Error("something that is no message was kept")
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	b := newTest(t, Config{})
	for _, id := range []string{"one", "two", "three"} {
		add(t, b, id, message{to: "ann@example.com"})
	}
	if w := do(b, "DELETE", "/api/messages/two", "Sec-Fetch-Site", "cross-site"); w.Code != 403 {
		t.Errorf("another site's DELETE: %d, want 403", w.Code)
	}
	if w := do(b, "DELETE", "/api/messages/two"); w.Code != 204 || ids(t, b, "") != "three one" {
		t.Errorf("%d, left %s", w.Code, ids(t, b, ""))
	}
	if w := do(b, "DELETE", "/api/messages"); w.Code != 204 || ids(t, b, "") != "" || b.bytes != 0 {
		t.Errorf("%d, left %s and %d bytes", w.Code, ids(t, b, ""), b.bytes)
	}
}

func TestSameOperationTwice(t *testing.T) {
	t.Parallel()
	b := newTest(t, Config{})
	for range 3 {
		add(t, b, "one", message{to: "ann@example.com"})
	}
	if got := ids(t, b, ""); got != "one.3 one.2 one" {
		t.Errorf("got %s", got)
	}
}

func TestOldestMakeRoom(t *testing.T) {
	t.Parallel()
	size := int64(len(message{to: "a@example.com"}.request()))
	tests := []struct {
		name string
		cfg  Config
		want string
		says string // on the page
	}{
		{"by number", Config{MaxMessages: 2}, "d c", "2 older messages made room. The inbox keeps at most 2 messages, 256.0 MB."},
		{"by size", Config{MaxBytes: 3*size + 1}, "d c b", "1 older message made room."},
		{"the newest stays", Config{MaxBytes: 1}, "d", "3 older messages made room."},
		{"with room for all", Config{}, "d c b a", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.cfg.Dir = t.TempDir()
			b := newTest(t, test.cfg)
			for _, id := range []string{"a", "b", "c", "d"} {
				add(t, b, id, message{to: "a@example.com"})
			}
			if got := ids(t, b, ""); got != test.want {
				t.Errorf("kept %q, want %q", got, test.want)
			}
			files, _ := os.ReadDir(test.cfg.Dir)
			if len(files) != len(strings.Fields(test.want)) {
				t.Errorf("%d files are left", len(files))
			}
			if got := b.list("", 1).Dropped; got != 4-len(files) {
				t.Errorf("says that %d were dropped", got)
			}
			page := do(b, "GET", "/").Body.String()
			if !strings.Contains(page, test.says) || test.says == "" && strings.Contains(page, "made room") {
				t.Errorf("the page does not say %q", test.says)
			}
			b.clear()
			if got := b.list("", 1).Dropped; got != 0 {
				t.Errorf("after all was deleted, says that %d were dropped", got)
			}
		})
	}
}

func TestFolderOutlivesTheInbox(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made", "by", "it")
	b := newTest(t, Config{Dir: dir})
	l := message{to: "ann@example.com", subject: "Hello", files: []string{file("a.txt", "text/plain", "", "hello")}}
	add(t, b, "3f0b52c1-9a4d-4f7e-8c21-5d6e7f809a1b", l)
	if err := b.Add("3f0b52c1-9a4d-4f7e-8c21-5d6e7f809a1b", noon.Add(1), message{to: "bob@example.com"}.request()); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"20260302T120031.000000000Z_broken.json": "{", "notes.txt": "mine", "20260302T120031.000000000Z_half.json.part": "{}"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := do(b, "GET", "/api/messages").Body.String()
	again := newTest(t, Config{Dir: dir})
	if after := do(again, "GET", "/api/messages").Body.String(); after != before {
		t.Errorf("was %s\nis %s", before, after)
	}
	if got := do(again, "GET", "/api/messages/3f0b52c1-9a4d-4f7e-8c21-5d6e7f809a1b/attachments/0").Body.String(); got != "hello" {
		t.Errorf("the attachment is %q", got)
	}
	again.clear()
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(left) != 3 {
		t.Errorf("left %v, want only the three files that are no messages", left)
	}
}

func TestFolderThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Dir: path}); err == nil {
		t.Error("a file was taken for a folder")
	}
}

func TestIDThatIsNoFileName(t *testing.T) {
	t.Parallel()
	b := newTest(t, Config{Dir: t.TempDir()})
	if err := b.Add("../../etc/x", noon, message{to: "ann@example.com"}.request()); err == nil || ids(t, b, "") != "" {
		t.Errorf("got %v, kept %q", err, ids(t, b, ""))
	}
}

func TestEventStream(t *testing.T) {
	t.Parallel()
	b := newTest(t, Config{})
	server := httptest.NewServer(b)
	defer server.Close()
	resp, err := http.Get(server.URL + "/api/events")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	next := func() string {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return data
			}
		}
		return "the end"
	}
	lines.Scan() // the first line says that the stream is open
	add(t, b, "one", message{to: "ann@example.com"})
	if got := next(); got != `{"type":"added","id":"one"}` {
		t.Errorf("got %s", got)
	}
	do(b, "DELETE", "/api/messages")
	if got := next(); got != `{"type":"deleted","id":"one"}` {
		t.Errorf("got %s", got)
	}
	b.Close()
	if got := next(); got != "the end" {
		t.Errorf("got %s after Close", got)
	}
}

func TestSlowReaderIsDropped(t *testing.T) {
	t.Parallel()
	var s subscribers
	c := s.join()
	for range waitingChanges + 1 {
		s.tell(change{Type: "added", ID: "x"})
	}
	seen := 0
	for range c {
		seen++
	}
	if seen != waitingChanges {
		t.Errorf("saw %d changes before the end, want %d", seen, waitingChanges)
	}
	s.leave(c)
	s.close()
	if _, open := <-s.join(); open {
		t.Error("joined after the end")
	}
}

// However long a text is, it is cut between characters.
func TestSnippetIsText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		n := rapid.IntRange(0, 40).Draw(t, "n")
		if got := clip(text, n); len(got) > n || strings.ToValidUTF8(text, "") == text && !strings.HasPrefix(text, got) {
			t.Fatalf("clip(%q, %d) = %q", text, n, got)
		}
		if got := snippet(text); len([]rune(got)) > snippetRunes+1 || strings.ContainsAny(got, "\r\n\t") {
			t.Fatalf("snippet(%q) = %q", text, got)
		}
	})
}

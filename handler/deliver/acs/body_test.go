package acs

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"
)

// wireMessage is the specification's EmailMessage, for encoding/json.
type wireMessage struct {
	SenderAddress string `json:"senderAddress"`
	Content       struct {
		Subject   string `json:"subject"`
		PlainText string `json:"plainText,omitempty"`
		HTML      string `json:"html,omitempty"`
	} `json:"content"`
	Recipients struct {
		To  []wireAddress `json:"to"`
		CC  []wireAddress `json:"cc,omitempty"`
		BCC []wireAddress `json:"bcc,omitempty"`
	} `json:"recipients"`
	ReplyTo                        []wireAddress     `json:"replyTo,omitempty"`
	Headers                        map[string]string `json:"headers,omitempty"`
	UserEngagementTrackingDisabled bool              `json:"userEngagementTrackingDisabled,omitempty"`
	SenderDisplayName              string            `json:"senderDisplayName,omitempty"`
	Attachments                    []wireAttachment  `json:"attachments,omitempty"`
}

type wireAddress struct {
	Address     string `json:"address"`
	DisplayName string `json:"displayName,omitempty"`
}

type wireAttachment struct {
	Name            string `json:"name"`
	ContentType     string `json:"contentType"`
	ContentID       string `json:"contentId,omitempty"`
	ContentInBase64 []byte `json:"contentInBase64"`
}

func toWire(m *Message) wireMessage {
	var w wireMessage
	w.SenderAddress, w.SenderDisplayName = m.SenderAddress, m.SenderDisplayName
	w.Content.Subject, w.Content.PlainText, w.Content.HTML = m.Subject, m.PlainText, m.HTML
	addresses := func(list []Address) []wireAddress {
		out := make([]wireAddress, 0, len(list))
		for _, a := range list {
			out = append(out, wireAddress(a))
		}
		return out
	}
	w.Recipients.To, w.Recipients.CC, w.Recipients.BCC = addresses(m.To), addresses(m.CC), addresses(m.BCC)
	w.ReplyTo = addresses(m.ReplyTo)
	w.Headers = m.Headers
	w.UserEngagementTrackingDisabled = m.UserEngagementTrackingDisabled
	for _, a := range m.Attachments {
		w.Attachments = append(w.Attachments, wireAttachment{a.Name, a.ContentType, a.ContentID, append([]byte{}, a.Content...)})
	}
	return w
}

// texts draws all sorts of strings: bytes that are no UTF-8 and characters that
// JSON escapes among them.
func texts() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.String(),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
		rapid.StringOf(rapid.RuneFrom([]rune("\"\\/<>&\b\f\n\r\t\x00\x1f\x7f\u2028\u2029é😀\uFFFD"))),
		rapid.Custom(func(t *rapid.T) string { // longer than a chunk, which ends anywhere in unit
			unit := rapid.OneOf(rapid.StringN(1, 5, -1), rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 5), func(b []byte) string { return string(b) })).Draw(t, "unit")
			return strings.Repeat("a", rapid.IntRange(0, 9).Draw(t, "before")) + strings.Repeat(unit, chunkBytes/len(unit)+5)
		}),
	)
}

func messages() *rapid.Generator[*Message] {
	addresses := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Address {
		return Address{Address: texts().Draw(t, "address"), DisplayName: texts().Draw(t, "name")}
	}), 0, 3)
	attachments := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Attachment {
		return Attachment{
			Name: texts().Draw(t, "name"), ContentType: texts().Draw(t, "type"), ContentID: texts().Draw(t, "id"),
			Content: rapid.SliceOfN(rapid.Byte(), 0, 3000).Draw(t, "content"),
		}
	}), 0, 3)
	return rapid.Custom(func(t *rapid.T) *Message {
		return &Message{
			SenderAddress: texts().Draw(t, "sender"), SenderDisplayName: texts().Draw(t, "name"), Subject: texts().Draw(t, "subject"),
			PlainText: texts().Draw(t, "plain"), HTML: texts().Draw(t, "html"),
			To: addresses.Draw(t, "to"), CC: addresses.Draw(t, "cc"), BCC: addresses.Draw(t, "bcc"), ReplyTo: addresses.Draw(t, "replyTo"),
			// Names that differ in wrong bytes only would become one name.
			Headers:                        rapid.MapOfN(rapid.String(), texts(), 0, 4).Draw(t, "headers"),
			Attachments:                    attachments.Draw(t, "attachments"),
			UserEngagementTrackingDisabled: rapid.Bool().Draw(t, "untracked"),
		}
	})
}

func TestBodyIsTheMessageAndAsLongAsSizeSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := messages().Draw(t, "message")
		body := newBody(m)
		content, err := io.ReadAll(randomReads{body, t})
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(content)) != m.Size() {
			t.Fatalf("wrote %d bytes, Size says %d", len(content), m.Size())
		}
		var got, want wireMessage
		if err := json.Unmarshal(content, &got); err != nil {
			t.Fatalf("%v in %s", err, content)
		}
		reference, err := json.Marshal(toWire(m))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(reference, &want); err != nil {
			t.Fatal(err)
		}
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(want)
		if !bytes.Equal(a, b) {
			t.Fatalf("got  %s\nwant %s", a, b)
		}
	})
}

// randomReads reads with buffers of all sizes.
type randomReads struct {
	inner io.Reader
	t     *rapid.T
}

func (r randomReads) Read(p []byte) (int, error) {
	n := rapid.OneOf(rapid.Just(len(p)), rapid.IntRange(1, 20), rapid.IntRange(chunkBytes-9, chunkBytes+9)).Draw(r.t, "read")
	return r.inner.Read(p[:min(n, len(p))])
}

func TestSizeOfNoMessageIsNothing(t *testing.T) {
	t.Parallel()
	var m *Message
	if got := m.Size(); got != 0 {
		t.Errorf("got %d", got)
	}
}

func TestBodyKeepsTheContractOfReaders(t *testing.T) {
	t.Parallel()
	m := largeMessage(5000)
	want, err := io.ReadAll(newBody(m))
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(struct{ io.Reader }{newBody(m)}, want); err != nil {
		t.Error(err)
	}
}

func TestSameMessageMakesTheSameBytes(t *testing.T) {
	t.Parallel()
	m := largeMessage(100)
	m.Headers = map[string]string{}
	for _, name := range []string{"X-Delta", "X-Alpha", "List-Unsubscribe", "Message-ID", "X-Beta", "x-alpha"} {
		m.Headers[name] = "value of " + name
	}
	first, _ := io.ReadAll(newBody(m))
	for range 50 {
		copied := *m
		copied.Headers = maps.Clone(m.Headers)
		again, _ := io.ReadAll(newBody(&copied))
		if !bytes.Equal(first, again) {
			t.Fatal("the bytes differ")
		}
	}
}

func TestBodyCanBeReadAgain(t *testing.T) {
	t.Parallel()
	b := newBody(largeMessage(5000))
	size, err := b.Seek(0, io.SeekEnd)
	if err != nil || size != b.size {
		t.Fatalf("end: got %d, %v, want %d", size, err, b.size)
	}
	if rest, err := io.ReadAll(b); len(rest) != 0 || err != nil {
		t.Errorf("after the end: %d bytes, %v", len(rest), err)
	}
	var readings [][]byte
	for _, before := range []int64{0, 1, 300, 4000} {
		if _, err := b.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, b, before); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(b)
		if err != nil {
			t.Fatal(err)
		}
		readings = append(readings, content)
	}
	if len(slices.CompactFunc(readings, bytes.Equal)) != 1 {
		t.Error("readings differ")
	}
	for _, whence := range []int{io.SeekStart, io.SeekCurrent, io.SeekEnd} {
		if _, err := b.Seek(7, whence); err == nil {
			t.Errorf("Seek(7, %d) did not fail", whence)
		}
	}
}

func TestJSONIsWrittenAsThisTableSays(t *testing.T) {
	t.Parallel()
	const start, end = `{"senderAddress":"","recipients":{"to":[]},"content":{"subject":"Hello","plainText":"`, `"}}`
	tests := []struct{ name, text, want string }{
		{"plain", "Hello", `Hello`},
		{"quotes and backslashes", `a"b\c`, `a\"b\\c`},
		{"slash and HTML stay", "</a&b>", `</a&b>`},
		{"line ends and tab", "a\r\n\tb", `a\r\n\tb`},
		{"other controls", "\x00\x08\x0c\x1f", `\u0000\b\f\u001f`},
		{"DEL stays", "\x7f", "\x7f"},
		{"line separators, for JavaScript's sake", "\u2028\u2029", `\u2028\u2029`},
		{"beyond ASCII stays", "é€😀", "é€😀"},
		{"every wrong byte becomes U+FFFD", "a\xff\xc3b\xe2\x82", `a\ufffd\ufffdb\ufffd\ufffd`},
		{"a surrogate in UTF-8 is three wrong bytes", "\xed\xa0\x80", `\ufffd\ufffd\ufffd`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := io.ReadAll(newBody(&Message{Subject: "Hello", PlainText: tt.text}))
			if err != nil || string(got) != start+tt.want+end {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestWholeMessageIsWrittenAsTheSpecificationNamesIt(t *testing.T) {
	t.Parallel()
	m := &Message{
		SenderAddress: "donotreply@example.com", Subject: "Hi", PlainText: "Hello", HTML: "<p>Hello</p>",
		To: []Address{{"ann@example.org", "Ann"}, {"bob@example.org", ""}}, CC: []Address{{"c@example.org", ""}},
		BCC: []Address{{"d@example.org", ""}}, ReplyTo: []Address{{"r@example.com", "Replies"}},
		Headers:                        map[string]string{"X-Two": "2", "X-One": "1"},
		Attachments:                    []Attachment{{"a.txt", "text/plain", "", []byte("hello")}, {"b.png", "image/png", "logo", nil}},
		UserEngagementTrackingDisabled: true,
	}
	const want = `{"senderAddress":"donotreply@example.com",` +
		`"recipients":{"to":[{"address":"ann@example.org","displayName":"Ann"},{"address":"bob@example.org"}],` +
		`"cc":[{"address":"c@example.org"}],"bcc":[{"address":"d@example.org"}]},` +
		`"replyTo":[{"address":"r@example.com","displayName":"Replies"}],"headers":{"X-One":"1","X-Two":"2"},` +
		`"userEngagementTrackingDisabled":true,"content":{"subject":"Hi","plainText":"Hello","html":"<p>Hello</p>"},"attachments":[{"name":"a.txt","contentType":"text/plain","contentInBase64":"aGVsbG8="},` +
		`{"name":"b.png","contentType":"image/png","contentId":"logo","contentInBase64":""}]}`
	if got, _ := io.ReadAll(newBody(m)); string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func largeMessage(attachmentBytes int) *Message {
	content := make([]byte, attachmentBytes)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range content {
		content[i] = byte(random.Uint32())
	}
	return &Message{
		SenderAddress: "donotreply@example.com", Subject: "Grüße", PlainText: "Hello\n", HTML: "<p>\"Hello\"</p>",
		To:          []Address{{Address: "ann@example.org", DisplayName: "Ann"}},
		Attachments: []Attachment{{Name: "a.bin", ContentType: "application/octet-stream", Content: content}},
	}
}

// BenchmarkBody compares the stream with what encoding/json needs for the same,
// turn by turn, so that a busy machine slows both.
func BenchmarkBody(b *testing.B) {
	m := largeMessage(7 << 20)
	w := toWire(m)
	var stream, marshal time.Duration
	b.SetBytes(m.Size())
	for b.Loop() {
		start := time.Now()
		if _, err := io.Copy(io.Discard, struct{ io.Reader }{newBody(m)}); err != nil {
			b.Fatal(err)
		}
		stream += time.Since(start)
		b.StopTimer()
		start = time.Now()
		content, err := json.Marshal(w)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, struct{ io.Reader }{bytes.NewReader(content)}); err != nil {
			b.Fatal(err)
		}
		marshal += time.Since(start)
		b.StartTimer()
	}
	b.ReportMetric(stream.Seconds()/marshal.Seconds(), "stream/marshal")
}

// Not parallel: it counts what the whole process allocates.
func TestStreamHoldsNothingOfTheAttachment(t *testing.T) {
	m := largeMessage(4 << 20)
	buffer := make([]byte, 32<<10)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{newBody(m)}, buffer)
	runtime.ReadMemStats(&after)
	if err != nil || n != m.Size() {
		t.Fatal(n, err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 64<<10 {
		t.Errorf("%d bytes were allocated for a message of %d", got, n)
	}
}

// BenchmarkSmallBody is what most messages cost: the size beforehand, and the bytes.
func BenchmarkSmallBody(b *testing.B) {
	m := largeMessage(0)
	m.Attachments = nil
	m.PlainText, m.HTML = strings.Repeat("Hello, Ann. ", 40), strings.Repeat("<p>\"Hello\", Ann.</p>\n", 60)
	b.SetBytes(m.Size())
	b.ReportAllocs()
	for b.Loop() {
		if m.Size() == 0 {
			b.Fatal("no size")
		}
		if _, err := io.Copy(io.Discard, struct{ io.Reader }{newBody(m)}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLongText is a message of 7 MiB without a file.
func BenchmarkLongText(b *testing.B) {
	m := largeMessage(0)
	m.Attachments, m.HTML = nil, strings.Repeat("<p>\"Grüße\", Ann.</p>\n", 7<<20/23)
	b.SetBytes(m.Size())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.Copy(io.Discard, struct{ io.Reader }{newBody(m)}); err != nil {
			b.Fatal(err)
		}
	}
}

package wire_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

const (
	formType  = `multipart/form-data; boundary="b"`
	mixedType = "multipart/mixed; boundary=b"
	// stoppedEarly is the fault of a multipart body that was cut off.
	stoppedEarly = "The body ended early."
)

// lines are s with CRLF for its line breaks.
func lines(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// wholeParts is a body with a message, an attachment of its own and three files.
var wholeParts = lines(`A preamble.
--b
Content-Type: application/json; charset=utf-8

{"senderAddress":"a@example.com",
 "attachments":[{"name":"j","placement":"link","contentInBase64":"aGVs\r\nbG8=","contentType":"text/plain"}]}
--b
Content-Disposition: attachment;
  filename="a b.txt"
content-type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8BIT
Content-ID: <i1@example.com>

line 1

--line -- 2
--b

--b
Content-Disposition: attachment; filename=c.bin
X-Other: y

`) + "--not b\r\n--b\r\nContent-Disposition: attachment; filename=cr\r\n\r\n\r\r\n\r\n-\r\r\n--\r\n--b--\r\n"

var (
	wholePartsContents = keep{0: "hello", 1: "line 1\r\n\r\n--line -- 2", 2: "", 3: "--not b", 4: "\r\r\n\r\n-\r\r\n--"}
	wholePartsMessage  = &mail.Message{
		SenderAddress: "a@example.com",
		Attachments: []mail.Attachment{
			{Name: "j", ContentType: "text/plain", Placement: mail.PlacementLink, HasContent: true},
			{Name: "a b.txt", ContentType: "text/plain; charset=utf-8", ContentID: "i1@example.com", HasContent: true},
			{ContentType: "application/octet-stream", HasContent: true},
			{Name: "c.bin", ContentType: "application/octet-stream", HasContent: true},
			{Name: "cr", ContentType: "application/octet-stream", HasContent: true},
		},
	}
)

func TestMultipartInAnyChunks(t *testing.T) {
	t.Parallel()
	for name, chunked := range chunkings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			contents := keep{}
			m, err := wire.Multipart(t.Context(), chunked(strings.NewReader(wholeParts)), mixedType, contents)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, m, wholePartsMessage)
			equal(t, contents, wholePartsContents)
			again := keep{}
			if _, err := wire.Multipart(t.Context(), chunked(strings.NewReader(wholeParts)), mixedType, byBytes{again}); err != nil {
				t.Fatal(err)
			}
			equal(t, again, contents)
		})
	}
}

func TestFormAsClientsSendIt(t *testing.T) {
	t.Parallel()
	bodies := map[string]struct{ body, name string }{
		"curl":             {"--b\nContent-Disposition: form-data; name=\"message\"\n\n{}\n--b\nContent-Disposition: form-data; name=\"f\"; filename=\"a\\\"b.txt\"\nContent-Type: text/plain\n\nhi\n--b--\n", `a"b.txt`},
		"browser":          {"--b\nContent-Disposition: form-data; name=\"message\"; filename=\"blob\"\nContent-Type: application/json\n\n{}\n--b\nContent-Disposition: form-data; name=\"f\"; filename=\"ü%22%.txt\"\nContent-Type: text/plain\n\nhi\n--b--\n", `ü"%.txt`},
		".NET":             {"--b\nContent-Type: application/json; charset=utf-8\nContent-Disposition: form-data; name=m\n\n{}\n--b\nContent-Type: text/plain\nContent-Disposition: form-data; name=f; filename=\"=?utf-8?B?w7wudHh0?=\"; filename*=utf-8''%C3%BC%25.txt\n\nhi\n--b--\n", "ü%.txt"},
		"without an end":   {"--b\nContent-Disposition: form-data; name=message\n\n{}\n--b\nContent-Disposition: form-data; name=f; filename=a\nContent-Type: text/plain\n\nhi\n--b--", "a"},
		"old path":         {"--b\nContent-Disposition: form-data; name=message\n\n{}\n--b\nContent-Disposition: form-data; name=f; filename=\"C:\\dir\\a.txt\"\nContent-Type: text/plain\n\nhi\n--b--\n", `C:\dir\a.txt`},
		"continued":        {"--b\nContent-Type: application/json\n\n{}\n--b\nContent-Disposition: attachment; filename*0*=UTF-8''%E2%82%AC;\n filename*1=\" b\"; filename*2=.txt\nContent-Type: text/plain\n\nhi\n--b--\n", "€ b.txt"},
		"empty line ahead": {"\n--b\nContent-Type: application/json\n\n{}\n--b\nContent-Disposition: attachment; filename=\"\"\nContent-Type: text/plain\n\nhi\n--b--\n", ""},
	}
	for name, tt := range bodies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			contents := keep{}
			m, err := wire.Multipart(t.Context(), strings.NewReader(lines(tt.body)), formType, contents)
			if err != nil {
				t.Fatal(err, places(err))
			}
			equal(t, m.Attachments, []mail.Attachment{{Name: tt.name, ContentType: "text/plain", HasContent: true}})
			equal(t, contents, keep{0: "hi"})
		})
	}
}

const jsonPart = "--b\nContent-Type: application/json\n\n{}\n"

func TestFaultsOfParts(t *testing.T) {
	t.Parallel()
	const (
		first = "The first part must be the message: application/json, or the form field with the name message."
		text  = "The header of the part is not UTF-8."
		alone = "Only a boundary may stand between two parts, alone in its line."
		pairs = "The header of the part is not made of lines with a name and a value."
	)
	file := func(header string) string { return jsonPart + "--b\n" + header + "\n\nhi\n--b--\n" }
	tests := map[string]struct {
		body, pointer, detail string
		at                    int
	}{
		"empty":                    {"", "", stoppedEarly, 0},
		"no boundary":              {"{}", "", stoppedEarly, 2},
		"other boundary":           {"--c\nContent-Type: application/json\n\n{}\n--c--\n", "", stoppedEarly, 50},
		"boundary within a line":   {"x--b\n", "", stoppedEarly, 6},
		"no parts":                 {"--b--\n", "", "The body has no parts.", 5},
		"message of no type":       {"--b\n\n{}\n--b--", "", first, 5},
		"message of another type":  {"--b\nContent-Type: text/json\n\n{}\n--b--", "", first, 5},
		"field of another name":    {"--b\nContent-Disposition: form-data; name=Message\n\n{}\n--b--", "", first, 5},
		"boundary ends with LF":    {lines(jsonPart) + "--b\n\r\nhi\r\n--b--", "/attachments/0", alone, 46},
		"end goes on":              {jsonPart + "--b--x\n", "/attachments/0", alone, 48},
		"no end":                   {jsonPart + "--b\n\nhi\n", "/attachments/0", stoppedEarly, 54},
		"half an end":              {jsonPart + "--b\n\nhi\n--b-", "/attachments/0", stoppedEarly, 58},
		"header is not UTF-8":      {file("X: \xff"), "/attachments/0", text, 48},
		"header with U+0000":       {file("X: \x00"), "/attachments/0", pairs, 48},
		"header with bare CR":      {file("X: a\rb"), "/attachments/0", pairs, 48},
		"header without colon":     {file("X"), "/attachments/0", pairs, 48},
		"header starts with space": {file(" X: a"), "/attachments/0", pairs, 48},
		"header too long":          {file("X: " + strings.Repeat("a", 9000)), "/attachments/0", "The header of the part is too long.", 48},
		"Base64":                   {file("Content-Transfer-Encoding: Base64"), "/attachments/0", "Content-Transfer-Encoding must be binary, 8bit or 7bit. Base64 belongs in the JSON.", 48},
		"type twice":               {file("Content-Type: a/b\nContent-Type: a/b"), "/attachments/0", "Content-Type is given twice.", 48},
		"Content-ID twice":         {file("Content-ID: a\ncontent-id: b"), "/attachments/0", "Content-Id is given twice.", 48},
		"disposition malformed":    {file(`Content-Disposition: attachment; filename="a`), "/attachments/0", "Content-Disposition is not well-formed.", 48},
		"file name twice":          {file(`Content-Disposition: attachment; filename=a; filename=b`), "/attachments/0", "Content-Disposition is not well-formed.", 48},
		"file name is not UTF-8":   {file(`Content-Disposition: attachment; filename*=utf-8''%ff`), "/attachments/0", "Content-Disposition is not well-formed.", 48},
	}
	for name, tt := range tests {
		for chunks, chunked := range chunkings() {
			t.Run(name+", "+chunks, func(t *testing.T) {
				t.Parallel()
				body := tt.body
				if !strings.Contains(body, "\r\n") {
					body = lines(body)
				}
				contents := keep{}
				_, err := wire.Multipart(t.Context(), chunked(strings.NewReader(body)), formType, contents)
				if !problem.Is(err, problem.InvalidMessage) {
					t.Fatal(err)
				}
				want := problem.Violation{Pointer: tt.pointer, Detail: tt.detail}
				if tt.detail == stoppedEarly {
					want.Offset = new(int64(tt.at))
				}
				equal(t, problem.Of(err).Violations, []problem.Violation{want})
				equal(t, contents, keep{})
			})
		}
	}
}

func TestFaultsOfPartsAndMembersAreListedTogether(t *testing.T) {
	t.Parallel()
	body := lines("--b\nContent-Type: application/json\n\n{\"x\":1,\"attachments\":[{\"contentInBase64\":\"QQ==\"}]}\n" +
		"--b\nContent-Disposition: attachment; filename*=utf-8''%00\n\nhi\n" +
		"--b\nContent-Disposition: attachment; filename=" + strings.Repeat("a", 1021) + "\nContent-ID: " + strings.Repeat("a", 1021) + "\n\nhi\n" +
		"--b\nContent-Transfer-Encoding: base64\n\naGk=\n--b--\n")
	contents := keep{}
	_, err := wire.Multipart(t.Context(), strings.NewReader(body), mixedType, contents)
	if !problem.Is(err, problem.InvalidMessage) {
		t.Fatal(err)
	}
	equal(t, places(err), []string{"/x: There is no such member.", "/attachments/1/name: It contains U+0000, which no message may have.",
		"/attachments/2/name: It is longer than 1020 bytes.", "/attachments/2/contentId: It is longer than 1020 bytes.",
		"/attachments/3: Content-Transfer-Encoding must be binary, 8bit or 7bit. Base64 belongs in the JSON."})
	equal(t, contents, keep{})
}

func TestOffsetOfAFaultIsThatInTheFirstPart(t *testing.T) {
	t.Parallel()
	for json, detail := range map[string]string{
		`{"senderAddress":?}`: "Expected a value.", "\ufeff{}": "The body starts with a byte order mark or is not UTF-8.", "": "The body is empty.",
	} {
		body := lines("--b\nContent-Type: application/json\n\n" + json + "\n--b--\n")
		_, err := wire.Multipart(t.Context(), strings.NewReader(body), mixedType, keep{})
		if !problem.Is(err, problem.MalformedJSON) {
			t.Fatal(err)
		}
		f := problem.Of(err).Violations[0]
		equal(t, f.Detail, detail)
		equal(t, *f.Offset, int64(max(0, strings.IndexByte(json, '?'))))
	}
}

func TestContentTypeOfMultipart(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("b", 70)
	tests := map[string]struct {
		contentType string
		kind        problem.Kind
	}{
		"none":                     {"", problem.UnsupportedMediaType},
		"JSON":                     {"application/json", problem.UnsupportedMediaType},
		"other multipart":          {"multipart/related; boundary=b", problem.UnsupportedMediaType},
		"no boundary":              {"multipart/mixed", problem.InvalidRequest},
		"empty boundary":           {`multipart/mixed; boundary=""`, problem.InvalidRequest},
		"malformed parameter":      {`multipart/mixed; boundary="b`, problem.InvalidRequest},
		"boundary too long":        {"multipart/mixed; boundary=b" + long, problem.InvalidRequest},
		"boundary ends in space":   {`multipart/mixed; boundary="b "`, problem.InvalidRequest},
		"boundary with line break": {"multipart/mixed; boundary*=utf-8''b%0d%0a", problem.InvalidRequest},
		"boundary not ASCII":       {`multipart/mixed; boundary="ü"`, problem.InvalidRequest},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := wire.Multipart(t.Context(), strings.NewReader(""), tt.contentType, nil)
			if !problem.Is(err, tt.kind) {
				t.Error(err)
			}
		})
	}
	for _, boundary := range []string{long, "b'()+_,-./:=? b"} {
		body := strings.ReplaceAll(lines(jsonPart+"--b\n\nhi\n--b--"), "--b", "--"+boundary)
		contents := keep{}
		_, err := wire.Multipart(t.Context(), strings.NewReader(body), `Multipart/Mixed; boundary="`+boundary+`"`, contents)
		if err != nil {
			t.Error(err)
		}
		equal(t, contents, keep{0: "hi"})
	}
}

func TestTooManyParts(t *testing.T) {
	t.Parallel()
	json := strings.Replace(jsonPart, "{}", `{"attachments":[{},{}]}`, 1)
	body := func(files int) io.Reader {
		return strings.NewReader(lines(json + strings.Repeat("--b\n\nhi\n", files) + "--b--"))
	}
	contents := keep{}
	if m, err := wire.Multipart(t.Context(), body(98), mixedType, contents); err != nil || len(m.Attachments) != 100 || len(contents) != 98 {
		t.Errorf("98 files beside 2 attachments: %v, %d contents", err, len(contents))
	}
	_, err := wire.Multipart(t.Context(), io.MultiReader(body(99), iotest.ErrReader(errors.New("read on"))), mixedType, keep{})
	equal(t, places(err), []string{"/attachments: There are more than 100 of them."})
}

func TestFaultsOfPartsAreCollectedUpToAPoint(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]string{
		"of headers":       "Content-Transfer-Encoding: base64",
		"of texts in them": "Content-Disposition: attachment; filename*=utf-8''%00",
	} {
		body := lines(jsonPart + strings.Repeat("--b\n"+header+"\n\n\n", 60))
		_, err := wire.Multipart(t.Context(), strings.NewReader(body), mixedType, keep{})
		if !problem.Is(err, problem.InvalidMessage) || len(places(err)) != 50 {
			t.Errorf("60 faults %s: %v, %d", name, err, len(places(err)))
		}
	}
}

func TestMultipartCutOffAnywhere(t *testing.T) {
	t.Parallel()
	end := strings.LastIndex(wholeParts, "--b--") + len("--b--")
	for cut := range end {
		for chunks, chunked := range chunkings() {
			contents := keep{}
			_, err := wire.Multipart(t.Context(), chunked(strings.NewReader(wholeParts[:cut])), mixedType, contents)
			if !problem.Is(err, problem.InvalidMessage) {
				t.Fatalf("cut off at %d, %s: %v", cut, chunks, err)
			}
			f := problem.Of(err).Violations[0]
			if f.Detail != stoppedEarly || *f.Offset != int64(cut) {
				t.Fatalf("cut off at %d, %s: %s, %d", cut, chunks, f.Detail, *f.Offset)
			}
			for i, content := range contents {
				if content != wholePartsContents[i] {
					t.Fatalf("cut off at %d, %s: attachment %d came to its end as %q", cut, chunks, i, content)
				}
			}
		}
	}
	for cut := end; cut <= len(wholeParts); cut++ {
		if _, err := wire.Multipart(t.Context(), strings.NewReader(wholeParts[:cut]), mixedType, keep{}); err != nil {
			t.Errorf("all there at %d: %v", cut, err)
		}
	}
}

func TestConnectionLostAnywhereInMultipart(t *testing.T) {
	t.Parallel()
	lost := errors.New("connection lost")
	for cut := range len(wholeParts) + 1 {
		body := io.MultiReader(strings.NewReader(wholeParts[:cut]), iotest.ErrReader(lost))
		_, err := wire.Multipart(t.Context(), body, mixedType, keep{})
		if !errors.Is(err, lost) || problem.Of(err).Kind != problem.Internal {
			t.Fatalf("lost at %d: %v", cut, err)
		}
	}
	large := http.MaxBytesReader(httptest.NewRecorder(), io.NopCloser(strings.NewReader(wholeParts)), 80)
	if _, err := wire.Multipart(t.Context(), large, mixedType, keep{}); !problem.Is(err, problem.TooLarge) {
		t.Error(err)
	}
	if _, err := wire.Multipart(t.Context(), stuck{}, mixedType, keep{}); !errors.Is(err, io.ErrNoProgress) {
		t.Error(err)
	}
}

func TestLargePartsAreReadByAnyRoom(t *testing.T) {
	t.Parallel()
	random := make([]byte, 1<<19)
	_, _ = rand.NewChaCha8([32]byte{8}).Read(random)
	contents := keep{0: string(random), 1: strings.Repeat("\r\n--B", 1<<16), 2: strings.Repeat("\r", 1<<17), 3: "end"}
	var parts strings.Builder
	for i := range len(contents) {
		parts.WriteString("--b\r\n\r\n" + contents[i] + "\r\n")
	}
	body := lines(jsonPart) + parts.String() + "--b--\r\n"
	for _, room := range []int{1, 3, 7, 1000, 64 << 10, 2 << 20} {
		t.Run(strconv.Itoa(room), func(t *testing.T) {
			t.Parallel()
			got := map[int]*bytes.Buffer{}
			sink := sinkFunc(func(i int, content io.Reader) error {
				got[i] = new(bytes.Buffer)
				_, err := io.CopyBuffer(struct{ io.Writer }{got[i]}, content, make([]byte, room))
				return err
			})
			if _, err := wire.Multipart(t.Context(), strings.NewReader(body), mixedType, sink); err != nil {
				t.Fatal(err)
			}
			for i, want := range contents {
				if got[i].String() != want {
					t.Errorf("content %d differs", i)
				}
			}
		})
	}
}

func TestPartIsAReader(t *testing.T) {
	t.Parallel()
	sink := sinkFunc(func(_ int, content io.Reader) error { return iotest.TestReader(content, []byte("ABC\r\n-DEFG")) })
	body := lines(jsonPart + "--b\n\nABC\n-DEFG\n--b--")
	if _, err := wire.Multipart(t.Context(), strings.NewReader(body), mixedType, sink); err != nil {
		t.Error(err)
	}
}

func TestSinkOfParts(t *testing.T) {
	t.Parallel()
	body := lines(jsonPart + "--b\n\nABC\nDEFG\n--b\n\nHI\n--b--")
	t.Run("that fails", func(t *testing.T) {
		t.Parallel()
		lost := fmt.Errorf("storage hung up: %w", io.EOF)
		sink := sinkFunc(func(_ int, content io.Reader) error {
			_, _ = io.Copy(io.Discard, content)
			return lost
		})
		if _, err := wire.Multipart(t.Context(), strings.NewReader(body), mixedType, sink); !errors.Is(err, lost) {
			t.Error(err)
		}
	})
	t.Run("that reads little", func(t *testing.T) {
		t.Parallel()
		var kept []io.Reader
		sink := sinkFunc(func(_ int, content io.Reader) error {
			kept = append(kept, content)
			_, err := content.Read(make([]byte, 1))
			return err
		})
		if _, err := wire.Multipart(t.Context(), strings.NewReader(body), mixedType, sink); err != nil || len(kept) != 2 {
			t.Fatal(err, len(kept))
		}
		if n, err := kept[0].Read(make([]byte, 9)); n != 0 || err != io.EOF {
			t.Errorf("what is kept reads %d bytes, %v", n, err)
		}
	})
}

// knowing is a sink that takes note of what it is told of attachments.
type knowing map[int]mail.Attachment

func (k knowing) Attachment(_ context.Context, i int, known mail.Attachment, _ io.Reader) error {
	k[i] = known
	return nil
}

func TestSinkKnowsWhatStandsBeforeTheContent(t *testing.T) {
	t.Parallel()
	want := knowing{
		0: {Placement: mail.PlacementLink, Name: "j", HasContent: true},
		1: wholePartsMessage.Attachments[1], 2: wholePartsMessage.Attachments[2],
		3: wholePartsMessage.Attachments[3], 4: wholePartsMessage.Attachments[4],
	}
	got := knowing{}
	if _, err := wire.Multipart(t.Context(), strings.NewReader(wholeParts), mixedType, got); err != nil {
		t.Fatal(err)
	}
	equal(t, got, want)
}

func TestWhatRFC2046AllowsBesideTheParts(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ body, content string }{
		"an epilogue":                        {jsonPart + "--b\n\nhi\n--b--\n\n \tx", "hi"},
		"space behind a boundary":            {jsonPart + "--b \t\n\nhi\n--b-- \n", "hi"},
		"a line that begins like a boundary": {jsonPart + "--b\n\nhi\n--bb\n--b--", "hi\r\n--bb"},
	} {
		for chunks, chunked := range chunkings() {
			t.Run(name+", "+chunks, func(t *testing.T) {
				t.Parallel()
				contents := keep{}
				if _, err := wire.Multipart(t.Context(), chunked(strings.NewReader(lines(tt.body))), formType, contents); err != nil {
					t.Fatal(err)
				}
				equal(t, contents, keep{0: tt.content})
			})
		}
	}
}

func TestWhatStandsBetweenPartsIsBounded(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]string{"a preamble": "", "a header": lines(jsonPart) + "--b\r\n"} {
		body := io.MultiReader(strings.NewReader(start+strings.Repeat("X: a\r\n", 8<<10)), iotest.ErrReader(errors.New("read on")))
		_, err := wire.Multipart(t.Context(), body, mixedType, keep{})
		if !problem.Is(err, problem.InvalidMessage) || !strings.Contains(problem.Of(err).Detail, "too long") {
			t.Error(name, err)
		}
	}
}

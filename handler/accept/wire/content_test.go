package wire_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// attached is a message whose only attachment has this JSON for its content.
func attached(content string) string {
	return `{"attachments":[{"contentInBase64":` + content + `,"name":"a"}]}`
}

const (
	short   = "The Base64 ends within a group of four characters."
	after   = "Something follows the padding of the Base64."
	foreign = "This character is not Base64. Write the bytes of the file in Base64."
	padding = "The Base64 is padded wrongly."
)

func TestBase64(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("QUJD", 100)
	tests := map[string]struct {
		base64, want, fault string
		at                  int64 // in base64
	}{
		"empty":                        {base64: ""},
		"one byte":                     {base64: "QQ==", want: "A"},
		"two bytes":                    {base64: "QUI=", want: "AB"},
		"three bytes":                  {base64: "QUJD", want: "ABC"},
		"all of the alphabet's end":    {base64: "+/+/", want: "\xfb\xff\xbf"},
		"slash escaped":                {base64: `+\/+\/`, want: "\xfb\xff\xbf"},
		"letters as code units":        {base64: `\u0051Q\u003D\u003d`, want: "A"},
		"wrapped":                      {base64: `QUJD\r\nREVG\nRw==\r\n`, want: "ABCDEFG"},
		"wrapped within a group":       {base64: `Q\r\nU\nJ\u000dDR\u000A\r\ng==`, want: "ABCF"},
		"line break within padding":    {base64: `QQ=\r\n=`, want: "A"},
		"nothing but line breaks":      {base64: `\r\n\r\n`},
		"long, wrapped":                {base64: long + `\r\n` + long, want: strings.Repeat("ABC", 200)},
		"group of one":                 {base64: "QUJDQ", fault: short, at: 5},
		"group of two":                 {base64: "QUJDQQ", want: "ABCA"},
		"group of three":               {base64: "QUI", want: "AB"},
		"group of three, stray bits":   {base64: "QUJ", want: "AB"}, // as in Microsoft's example of 2023-01-15-preview
		"group of two in a long one":   {base64: long + "QQ", want: strings.Repeat("ABC", 100) + "A"},
		"padding cut off":              {base64: "QQ=", fault: short, at: 3},
		"padding alone":                {base64: "====", fault: padding, at: 3},
		"three of padding":             {base64: "Q===", fault: padding, at: 3},
		"padding before a letter":      {base64: "QQ=Q", fault: padding, at: 3},
		"stray bits, one byte":         {base64: "QR==", want: "A"},
		"stray bits, two bytes":        {base64: "QUJ=", want: "AB"},
		"second text after padding":    {base64: "QQ==QQ==", fault: after, at: 4},
		"second text after a long one": {base64: long + "QQ==" + long, fault: after, at: 404},
		"padding after padding":        {base64: "QQ===", fault: after, at: 4},
		"URL alphabet":                 {base64: "QUJD-_==", fault: "This is the alphabet for URLs. Write + for - and / for _.", at: 4},
		"space":                        {base64: "QUJD REVG", want: "ABCDEF"},
		"spaces between long ones":     {base64: " " + long + "  " + long + " ", want: strings.Repeat("ABC", 200)},
		"escaped tab":                  {base64: `QUJD\tREVG`, want: "ABCDEF"},
		"white space after padding":    {base64: `QQ== \r\n`, want: "A"},
		"U+0000":                       {base64: `QUJD\u0000`, fault: foreign, at: 4},
		"escaped quote":                {base64: `QUJD\"`, fault: foreign, at: 4},
		"umlaut":                       {base64: "QUJDüQUJ", fault: foreign, at: 4},
		"umlaut of the right low byte": {base64: `\u0151Q==`, fault: foreign, at: 0},
		"beyond the alphabet's plane":  {base64: `QUJD\ud83d\ude00`, fault: foreign, at: 4},
		"data URL":                     {base64: "data:text/plain;base64,QQ==", fault: "A colon is not Base64. Of a data: URL, send what follows the comma.", at: 4},
		"far in a long one":            {base64: long + "QU.D" + long, fault: foreign, at: 402},
	}
	for name, tt := range tests {
		for _, chunked := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.DataErrReader} {
			for _, sink := range []wire.Sink{keep{}, byBytes{}} {
				t.Run(fmt.Sprintf("%s, %T", name, sink), func(t *testing.T) {
					t.Parallel()
					contents := keep{}
					switch sink.(type) {
					case keep:
						sink = contents
					case byBytes:
						sink = byBytes{contents}
					}
					_, err := wire.Message(t.Context(), chunked(strings.NewReader(attached(`"`+tt.base64+`"`))), sink)
					if tt.fault == "" {
						if err != nil {
							t.Fatal(err)
						}
						equal(t, contents, keep{0: tt.want})
						return
					}
					at := tt.at + int64(strings.Index(attached(""), ",")+1)
					if !problem.Is(err, problem.InvalidMessage) {
						t.Fatal(err)
					}
					equal(t, problem.Of(err).Violations, []problem.Violation{{Pointer: "/attachments/0/contentInBase64", Detail: tt.fault, Offset: &at}})
					equal(t, contents, keep{})
				})
			}
		}
	}
}

// byBytes is keep with room for one byte a read, to split every quantum.
type byBytes struct{ keep keep }

func (b byBytes) Attachment(ctx context.Context, i int, known mail.Attachment, content io.Reader) error {
	return b.keep.Attachment(ctx, i, known, iotest.OneByteReader(content))
}

func TestLargeContentIsReadByAnyRoom(t *testing.T) {
	t.Parallel()
	want := make([]byte, 1<<20+1)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(want)
	plain := base64.StdEncoding.EncodeToString(want)
	var wrapped strings.Builder
	for line := plain; line != ""; {
		n := min(76, len(line))
		wrapped.WriteString(strings.ReplaceAll(line[:n], "/", `\/`) + `\r\n`)
		line = line[n:]
	}
	for name, text := range map[string]string{"plain": plain, "wrapped and escaped": wrapped.String()} {
		for _, room := range []int{1, 2, 3, 4, 5, 1000, 64 << 10, 2 << 20} {
			t.Run(fmt.Sprint(name, ", ", room), func(t *testing.T) {
				t.Parallel()
				var got bytes.Buffer
				sink := sinkFunc(func(_ int, content io.Reader) error {
					_, err := io.CopyBuffer(struct{ io.Writer }{&got}, content, make([]byte, room))
					return err
				})
				for shift := range 4 { // of quanta against the buffer
					got.Reset()
					body := strings.Repeat(" ", shift) + attached(`"`+text+`"`)
					if _, err := wire.Message(t.Context(), strings.NewReader(body), sink); err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(got.Bytes(), want) {
						t.Errorf("the content differs, shifted by %d", shift)
					}
				}
			})
		}
	}
}

type sinkFunc func(i int, content io.Reader) error

func (f sinkFunc) Attachment(_ context.Context, i int, _ mail.Attachment, content io.Reader) error {
	return f(i, content)
}

func TestContentIsAReader(t *testing.T) {
	t.Parallel()
	sink := sinkFunc(func(_ int, content io.Reader) error { return iotest.TestReader(content, []byte("ABCDEFG")) })
	if _, err := wire.Message(t.Context(), strings.NewReader(attached(`"QUJDR\u0045VGRw=="`)), sink); err != nil {
		t.Error(err)
	}
}

func TestSinkThatFails(t *testing.T) {
	t.Parallel()
	full := errors.New("storage is full")
	bodies := map[string]string{
		"before the content":        `"QUJDREVG"`,
		"though the content is bad": `"QUJD!"`,
	}
	for name, content := range bodies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sink := sinkFunc(func(_ int, content io.Reader) error {
				_, _ = io.Copy(io.Discard, content)
				return full
			})
			if _, err := wire.Message(t.Context(), strings.NewReader(attached(content)), sink); !errors.Is(err, full) {
				t.Error(err)
			}
		})
	}
	t.Run("with io.EOF of its own", func(t *testing.T) {
		t.Parallel()
		lost := fmt.Errorf("storage hung up: %w", io.EOF)
		sink := sinkFunc(func(_ int, content io.Reader) error {
			_, _ = io.Copy(io.Discard, content)
			return lost
		})
		if _, err := wire.Message(t.Context(), strings.NewReader(attached(`"QUJD"`)), sink); !errors.Is(err, lost) {
			t.Error(err)
		}
	})
}

func TestSinkThatReadsLittle(t *testing.T) {
	t.Parallel()
	var kept io.Reader
	little := sinkFunc(func(_ int, content io.Reader) error {
		kept = content
		_, err := io.ReadFull(content, make([]byte, 2))
		return err
	})
	if _, err := wire.Message(t.Context(), strings.NewReader(attached(`"QUJDREVG\r\nRw=="`)), little); err != nil {
		t.Error(err)
	}
	if n, err := kept.Read(make([]byte, 9)); n != 0 || err != io.EOF {
		t.Errorf("what is kept reads %d bytes, %v", n, err)
	}
	_, err := wire.Message(t.Context(), strings.NewReader(attached(`"QUJDREVG!"`)), little)
	equal(t, places(err), []string{"/attachments/0/contentInBase64: " + foreign})
	_, err = wire.Message(t.Context(), strings.NewReader(`{"attachments":[{"contentInBase64":"QUJDRE`), little)
	if !problem.Is(err, problem.MalformedJSON) {
		t.Error(err)
	}
}

func TestNoContentIsOfferedAfterAFault(t *testing.T) {
	t.Parallel()
	body := `{"attachments":[{"contentInBase64":"QQ=="},{"contentInBase64":"!"},{"contentInBase64":"Qg=="},{"contentInBase64":"Q"}],"x":1}`
	contents := keep{}
	_, err := wire.Message(t.Context(), strings.NewReader(body), contents)
	equal(t, places(err), []string{"/attachments/1/contentInBase64: " + foreign, "/attachments/3/contentInBase64: " + short,
		"/x: There is no such member."})
	equal(t, contents, keep{0: "A"})
}

// It counts allocations, so nothing may run beside it.
func TestMemoryDoesNotGrowWithContent(t *testing.T) {
	room := make([]byte, 32<<10)
	sink := sinkFunc(func(_ int, content io.Reader) error {
		for {
			if _, err := content.Read(room); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
		}
	})
	tests := map[string]struct {
		body func(content string) string
		read func(body io.Reader) (*mail.Message, error)
	}{
		"JSON": {
			func(content string) string { return attached(`"` + content + `"`) },
			func(body io.Reader) (*mail.Message, error) { return wire.Message(t.Context(), body, sink) },
		},
		"multipart": {
			func(content string) string { return lines(jsonPart + "--b\n\n" + content + "\n--b--") },
			func(body io.Reader) (*mail.Message, error) {
				return wire.Multipart(t.Context(), body, mixedType, sink)
			},
		},
	}
	for name, tt := range tests {
		allocs := func(size int) float64 {
			body := tt.body(strings.Repeat("QUJD", size/4))
			return testing.AllocsPerRun(5, func() {
				if _, err := tt.read(strings.NewReader(body)); err != nil {
					t.Fatal(err)
				}
			})
		}
		// A pool of the library is emptied now and then.
		if small, large := allocs(1<<10), allocs(8<<20); large > small+2 {
			t.Errorf("%s: %v allocations for 1 KiB, %v for 8 MiB", name, small, large)
		}
	}
}

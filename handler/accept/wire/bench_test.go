package wire_test

import (
	"bytes"
	"encoding/base64"
	stdjson "encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/mail"
)

// attachmentBytes make a body of 100 MB.
const attachmentBytes = 75_000_000

// noise is n random bytes.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// discard is a sink that drops what it reads.
var discard = sinkFunc(func(_ int, content io.Reader) error {
	_, err := io.Copy(io.Discard, content)
	return err
})

// BenchmarkReader reads a body with one attachment, as clients write Base64, and
// says how many times as fast that is as two ways of the library, which have the
// same body in memory, and what memory a process has that does nothing else.
func BenchmarkReader(b *testing.B) {
	plain := base64.StdEncoding.EncodeToString(noise(attachmentBytes))
	wrapped := strings.Builder{}
	for line := range slicesOf(plain, 76) {
		wrapped.WriteString(line + `\r\n`)
	}
	texts := []struct{ name, base64 string }{
		{"plain", plain},
		{"slashes escaped", strings.ReplaceAll(plain, "/", `\/`)},
		{"wrapped", wrapped.String()},
	}
	for _, text := range texts {
		b.Run(text.name, func(b *testing.B) {
			body := []byte(attached(`"` + text.base64 + `"`))
			timed(b, body, func(body []byte) error {
				_, err := wire.Message(b.Context(), bytes.NewReader(body), discard)
				return err
			}, library)
			b.ReportMetric(peakMB(b, body), "peak-MB")
		})
	}
}

// slicesOf are the lines of s, n bytes each.
func slicesOf(s string, n int) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for s != "" && yield(s[:min(n, len(s))]) {
			s = s[min(n, len(s)):]
		}
	}
}

// library are the baselines: how the library reads such a body.
var library = map[string]func([]byte) error{
	"x-encoding-json": func(body []byte) error {
		var m baseline
		return stdjson.Unmarshal(body, &m)
	},
	"x-json-v2": func(body []byte) error {
		var m baseline
		return json.Unmarshal(body, &m)
	},
}

type baseline struct {
	mail.Message
	Attachments []struct {
		mail.Attachment
		ContentInBase64 []byte `json:"contentInBase64"`
	} `json:"attachments"`
}

// childBody is the variable that makes TestChild of the test's own binary read
// the file that it names.
const childBody = "POSTHORN_TEST_WIRE_BODY"

// TestChild is the process whose memory BenchmarkReader measures.
func TestChild(t *testing.T) {
	name := os.Getenv(childBody)
	if name == "" {
		t.Skip("This is for a process that BenchmarkReader starts.")
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := wire.Message(t.Context(), file, discard); err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("Only Linux says what memory a process had.")
	}
	fmt.Printf("%s\n", status)
}

var highWater = regexp.MustCompile(`VmHWM:\s*(\d+) kB`)

// peakMB returns the most memory that a process had which read body from a file.
func peakMB(b *testing.B, body []byte) float64 {
	b.Helper()
	name := filepath.Join(b.TempDir(), "body.json")
	if err := os.WriteFile(name, body, 0o600); err != nil {
		b.Fatal(err)
	}
	child := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^TestChild$", "-test.v")
	child.Env = append(os.Environ(), childBody+"="+name)
	out, err := child.Output()
	if err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	found := highWater.FindSubmatch(out)
	if found == nil {
		return 0
	}
	kB, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return kB * 1024 / 1e6
}

// timed runs read, and after it each baseline on the same body.
func timed(b *testing.B, body []byte, read func([]byte) error, baselines map[string]func([]byte) error) {
	b.Helper()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if err := read(body); err != nil {
			b.Fatal(err)
		}
	}
	each := b.Elapsed() / time.Duration(b.N)
	for name, baseline := range baselines {
		start := time.Now()
		if err := baseline(body); err != nil {
			continue // encoding/json/v2 refuses line breaks in Base64
		}
		b.ReportMetric(float64(time.Since(start))/float64(each), name)
	}
}

// BenchmarkText reads a body of HTML as encoding/json writes it, with < and > as
// six characters each, and as most others do.
func BenchmarkText(b *testing.B) {
	html := strings.Repeat("<p class=\"a\">Größe &amp; Gewicht</p>\n", 20000)
	escaped, err := stdjson.Marshal(mail.Message{Content: mail.Content{HTML: html}})
	if err != nil {
		b.Fatal(err)
	}
	unescaped, err := json.Marshal(mail.Message{Content: mail.Content{HTML: strings.ReplaceAll(html, `"`, "")}})
	if err != nil {
		b.Fatal(err)
	}
	for name, body := range map[string][]byte{"escaped": escaped, "unescaped": unescaped} {
		b.Run(name, func(b *testing.B) {
			timed(b, body, func(body []byte) error {
				_, err := wire.Message(b.Context(), bytes.NewReader(body), nil)
				return err
			}, library)
		})
	}
}

// BenchmarkMultipart reads the same file as a part.
func BenchmarkMultipart(b *testing.B) {
	body := slices.Concat([]byte(lines(jsonPart+"--b\n\n")), noise(attachmentBytes), []byte("\r\n--b--\r\n"))
	timed(b, body, func(body []byte) error {
		_, err := wire.Multipart(b.Context(), bytes.NewReader(body), mixedType, discard)
		return err
	}, map[string]func([]byte) error{
		"x-mime-multipart": func(body []byte) error {
			r := multipart.NewReader(bytes.NewReader(body), "b")
			for {
				part, err := r.NextRawPart()
				if err == io.EOF {
					return nil
				}
				if err != nil {
					return err
				}
				if _, err := io.Copy(io.Discard, part); err != nil {
					return err
				}
			}
		},
	})
}

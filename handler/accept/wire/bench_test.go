package wire_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/mail"
)

// withAttachment is a message with one attachment of n random bytes.
func withAttachment(n int) []byte {
	content := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
	return []byte(attached(`"` + base64.StdEncoding.EncodeToString(content) + `"`))
}

// BenchmarkMessage reads a body with one attachment, and says how many times
// faster than encoding/json that is on the same body, held in memory.
func BenchmarkMessage(b *testing.B) {
	body := withAttachment(24 << 20)
	sink := sinkFunc(func(_ int, content io.Reader) error {
		_, err := io.Copy(io.Discard, content)
		return err
	})
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := wire.Message(b.Context(), bytes.NewReader(body), sink); err != nil {
			b.Fatal(err)
		}
	}
	each := b.Elapsed() / time.Duration(b.N)

	const rounds = 3
	start := time.Now()
	for range rounds {
		var whole struct {
			mail.Message
			Attachments []struct {
				mail.Attachment
				ContentInBase64 []byte `json:"contentInBase64"`
			} `json:"attachments"`
		}
		if err := json.Unmarshal(body, &whole); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(time.Since(start)/rounds)/float64(each), "times-encoding/json")
}

// BenchmarkText reads a body of HTML full of escape sequences.
func BenchmarkText(b *testing.B) {
	html := bytes.Repeat([]byte("<p class=\"a\">Größe &amp; Gewicht</p>\n"), 20000)
	body, err := json.Marshal(mail.Message{Content: mail.Content{HTML: string(html)}})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := wire.Message(b.Context(), bytes.NewReader(body), nil); err != nil {
			b.Fatal(err)
		}
	}
}

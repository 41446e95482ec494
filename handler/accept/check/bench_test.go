package check

import (
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
)

// What a small message costs: one recipient, no file.
func BenchmarkMessage(b *testing.B) {
	c := New()
	for b.Loop() {
		m := mail.Message{
			SenderAddress: "donotreply@example.com",
			Recipients:    mail.Recipients{To: []mail.Address{{Address: "ann@example.com"}}},
			Content:       mail.Content{Subject: "Hello", PlainText: "It works."},
		}
		if _, err := c.Message(&m, time.Unix(0, 0)); err != nil {
			b.Fatal(err)
		}
	}
}

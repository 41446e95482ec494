package wiring

import (
	"testing"

	"github.com/posthorn/posthorn/handler/deliver/offload"
	"github.com/posthorn/posthorn/handler/mail"
)

// What each part has is no more than the process may use, and those with a key have what
// the profile promises.
func TestMemoryIsDivided(t *testing.T) {
	t.Parallel()
	large := offload.Memory(-1, mail.MaxACSRequestBytes)
	for _, c := range []struct {
		name              string
		megabytes, atOnce int
	}{
		{"the least", 128, 4},
		{"a small instance", 140, 4},
		{"the standard", 320, 16},
		{"without a setting", 490, 32},
	} {
		b := memory(c.megabytes)
		if b.Common+b.Unproven+b.Forms != int64(c.megabytes-baseMemoryMB)<<20 || b.Common < int64(c.atOnce)*large || b.Unproven < 4<<20 || b.Forms < 9<<20 {
			t.Errorf("%s: %+v, of which %d large requests need %d", c.name, b, c.atOnce, int64(c.atOnce)*large)
		}
		if limit := CollectorBytes(c.megabytes); limit < b.Common+b.Reserve {
			t.Errorf("%s: garbage is collected from %d bytes on", c.name, limit)
		}
	}
}

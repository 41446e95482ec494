package gateway_test

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/posthorn/posthorn/handler/deliver/offload"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// huge has an attachment that goes to storage in blocks while it is read.
func huge(letter string) string { return inBlocks(letter, 3) }

// inBlocks has an attachment of so many blocks.
func inBlocks(letter string, blocks int) string {
	content := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(letter, blocks*offload.BlockBytes)))
	return strings.TrimSuffix(gatewaytest.Small("huge"), "}") + `,"attachments":[{"name":"a.bin","contentType":"application/octet-stream","contentInBase64":"` + content + `"}]}`
}

// The hash of a signed body is known at its end, when blocks of its attachment are
// in storage already. They stay invisible unless it is right.
func TestBlocksOfAForgedBodyAreNeverCommitted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		blocks  int
		failing mem.Op
		want    problem.Kind
	}{
		{"forged", 3, "", problem.Unauthenticated},
		// What cannot be staged is told before the hash: so it was staged before. There are
		// more blocks than can be on their way when the end of the body is read.
		{"forged, and no block can be staged", 8, mem.Stage, problem.Unavailable},
		{"forged, and nothing could be committed", 3, mem.Commit, problem.Unauthenticated},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, plenty)
				if c.failing != "" {
					h.Failing(c.failing, mem.Refused)
				}
				sum := sha256.Sum256([]byte(huge("b")))
				req := signedRequest(inBlocks("a", c.blocks), sum[:])
				if _, err := h.Send(t.Context(), req); !problem.Is(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
				h.Working()
				if n := h.Visible(t); n != 0 || len(h.ACS.Arrivals) != 0 {
					t.Errorf("%d files were committed, ACS was called %d times", n, len(h.ACS.Arrivals))
				}
				if _, err := h.Find(t.Context(), req.Caller, req.OperationID); !problem.Is(err, problem.NotFound) {
					t.Errorf("a record is there: %v", err)
				}
				right := sha256.Sum256([]byte(huge("a")))
				if _, err := h.Send(t.Context(), signedRequest(huge("a"), right[:])); err != nil || h.Visible(t) != 1 {
					t.Errorf("the body that was signed: %v, %d files", err, h.Visible(t))
				}
			})
		})
	}
}

func signedRequest(body string, sum []byte) gateway.Request {
	return gateway.Request{
		Caller: gatewaytest.Shop, Body: strings.NewReader(body), BodyBytes: int64(len(body)), BodySHA256: sum,
		OperationID: "6f1c9a54-0b1e-4e55-9d53-c2f8e2c0a7d1",
	}
}

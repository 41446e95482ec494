package gateway_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway"
)

func TestAnOwnerLivesAsLongAsARequestMayTake(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                 string
		request, want, fence time.Duration
	}{
		{"the least patience", 5 * time.Second, 15 * time.Second, 25 * time.Second},
		{"the default", 100 * time.Second, record.OwnerLife, record.FenceLife},
		{"the most", 120 * time.Second, 160 * time.Second, 2 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got, fence := gateway.OwnerLife(c.request), gateway.FenceLife(c.request); got != c.want || fence != c.fence {
				t.Errorf("%s and %s, want %s and %s", got, fence, c.want, c.fence)
			}
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		request := time.Duration(rapid.Int64Range(int64(5*time.Second), int64(2*time.Minute)).Draw(t, "request"))
		// A minute is the longest call to ACS, and the clock of another process
		// may be two seconds off.
		if life := gateway.OwnerLife(request); life < request+4*time.Second {
			t.Fatalf("%s is not enough for %s", life, request)
		}
		if life := gateway.FenceLife(request); life < min(request, time.Minute)+4*time.Second {
			t.Fatalf("%s is not enough for a call to ACS", life)
		}
	})
}

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
		name          string
		request, want time.Duration
	}{
		{"the least patience", 5 * time.Second, 30 * time.Second},
		{"the default", 100 * time.Second, record.OwnerLife},
		{"the most", 120 * time.Second, 260 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := gateway.OwnerLife(c.request); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		request := time.Duration(rapid.Int64Range(int64(5*time.Second), int64(2*time.Minute)).Draw(t, "request"))
		// A minute is the longest call to ACS, and the clock of another process
		// may be two seconds off.
		if life := gateway.OwnerLife(request); life < request+min(request, time.Minute)+4*time.Second {
			t.Fatalf("%s is not enough for %s and a call to ACS", life, request)
		}
	})
}

package gateway_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/gateway/gatewaytest"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// What the way to storage costs before ACS is called: calls of storage that wait for each
// other, on a system that does nothing else.
func TestRoundTripsBeforeACS(t *testing.T) {
	t.Parallel()
	const way = 5 * time.Millisecond
	for _, c := range []struct {
		name    string
		limits  quota.Limits
		key     string
		silence time.Duration // before
		files   int           // that move
		trips   int
	}{
		// The reservation, with the note of what is at work beside it; then the fence.
		{"without a key", plenty, "", 0, 0, 2},
		{"with a key", plenty, "key", 0, 0, 2},
		{"with a key, after half a minute of silence", plenty, "key", 40 * time.Second, 0, 2},
		{"without a key, after an hour of silence", plenty, "", time.Hour, 0, 2},
		{"at limits whose tokens are prefetched", quota.Limits{PerMinute: 40_000, PerHour: 2_000_000}, "key", 0, 0, 2},
		// The claim is first.
		{"with a key, and few tokens", quota.Limits{PerMinute: 2, PerHour: 10}, "key", 0, 0, 3},
		// The blocks are staged before the reservation, and committed after it; the row of the
		// links is beside it.
		{"with two files that move", plenty, "", 0, 2, 4},
		{"with a key, and two files that move", plenty, "key", 0, 2, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := gatewaytest.New(t, c.limits)
				warm(t, h)
				time.Sleep(c.silence)
				h.Slow("", way)
				// The list of callers was read within CacheLife, and has told the time.
				h.Clock.Observe(time.Now().Truncate(time.Second), time.Now())
				req := request(moving(c.files))
				req.IdempotencyKey = c.key
				begun := time.Now()
				if _, err := h.Send(t.Context(), req); err != nil {
					t.Fatal(err)
				}
				if trips := h.ACS.Arrivals[1].Sub(begun).Seconds() / way.Seconds(); trips != float64(c.trips) {
					t.Errorf("%.1f round trips, want %d", trips, c.trips)
				}
			})
		})
	}
}

// The first message of a process makes no call only to learn the time.
func TestRoundTripsOfTheFirstMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := gatewaytest.New(t, plenty)
		h.Clock.Observe(time.Now().Truncate(time.Second), time.Now()) // the list of callers
		var calls []mem.Op
		h.See(func(op mem.Op, _ string) { calls = append(calls, op) })
		req := request(gatewaytest.Small("one"))
		req.IdempotencyKey = "key"
		if _, err := h.Send(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		reads := 0
		for _, op := range calls {
			if op == mem.Get {
				reads++
			}
		}
		if reads != 1 { // of the ledger
			t.Errorf("%d reads in %v", reads, calls)
		}
	})
}

// moving is a message with so many files that move.
func moving(files int) string {
	body := gatewaytest.Small("one")
	if files == 0 {
		return body
	}
	var all []string
	for n := range files {
		all = append(all, fmt.Sprintf(`{"name":"%d","contentType":"text/plain","contentInBase64":"QUJD","placement":"link"}`, n))
	}
	return strings.TrimSuffix(body, "}") + `,"attachments":[` + strings.Join(all, ",") + "]}"
}

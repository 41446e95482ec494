package gateway_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/gateway/sim"
	"github.com/posthorn/posthorn/handler/problem"
)

// A message that nobody can repeat is not claimed: its record begins with the fence
// or with the wait, and one that is refused for want of quota has none. Where tokens are
// plenty, the fence is the claim of one that can be repeated.
func TestWhatNobodyCanRepeatIsNotClaimed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, key, more string
		full            bool   // whether the quota has no room
		calls           int64  // of the records' table; one is the note of what is at work
		want            string // how it ends: a state, or a problem's slug
	}{
		{"unnamed", "", "", false, 3, "accepted"},
		{"named", "key", "", false, 4, "accepted"},
		{"named, with plenty of tokens", "key", "", false, 3, "accepted"},
		{"named, with plenty of tokens, and a file that moves", "key", attached(), false, 4, "accepted"},
		{"unnamed, with a file that moves", "", attached(), false, 3, "accepted"},
		{"unnamed, refused for want of quota", "", `"delivery":{"whenBusy":"refuse"}`, true, 0, "over-quota"},
		{"named, refused for want of quota", "key", `"delivery":{"whenBusy":"refuse"}`, true, 2, "over-quota"},
		{"unnamed, waiting", "", "", true, 2, "waiting"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				limits := quota.Limits{PerMinute: 2, PerHour: 10}
				if strings.Contains(c.name, "plenty") {
					limits.PerMinute = 5
				}
				w := newWorld(t, sim.Config{Instances: 1, Limits: limits})
				send := func(key, more string) string {
					answer, err := w.Any().Send(t.Context(), shop, key, sim.Message("m", more))
					if err != nil {
						return problem.Of(err).Kind.Slug()
					}
					return string(answer.Record.State)
				}
				send("", "") // the first reads the clock
				if c.full {
					send("", "")
				}
				before := w.Operations()["records"]
				got := send(c.key, c.more)
				if calls := w.Operations()["records"] - before; got != c.want || calls != c.calls {
					t.Errorf("%s after %d calls, want %s after %d", got, calls, c.want, c.calls)
				}
			})
		})
	}
}

// attached is a file that does not fit into a request to ACS.
func attached() string {
	return fmt.Sprintf(`"attachments":[{"name":"a","contentType":"text/plain","contentInBase64":"%s"}]`, strings.Repeat("QUJD", 40_000))
}

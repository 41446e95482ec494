package test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/test/world"
)

// A thousand messages at once, at a limit of 30 a minute and 100 an hour: 30 go in a minute,
// and ACS does not hear of the others. A busy machine may need longer than a minute.
func (p *product) testQuota(t *testing.T) {
	const offered, allowed = 1000, 30
	w := newDeployment(t, p, world.Options{Settings: []string{"POSTHORN_QUOTA=custom-domain"}, Emulator: []string{"-preset", "custom"}})
	other := w.Another(t)
	var mu sync.Mutex
	statuses := map[int]int{}
	var all sync.WaitGroup
	for range offered {
		all.Go(func() {
			a := w.Send(t, world.Message(world.Refusing))
			mu.Lock()
			defer mu.Unlock()
			statuses[a.StatusCode]++
			if a.StatusCode == http.StatusAccepted {
				return
			}
			a.Want(t, http.StatusTooManyRequests, "over-quota")
			wait, err := strconv.Atoi(a.Header.Get("Retry-After"))
			if err != nil || wait < 1 || wait > 3600 {
				t.Errorf("Retry-After is %q", a.Header.Get("Retry-After"))
			}
			if got := a.Header.Get("RateLimit-Policy"); got != `"minute";q=30;w=60, "hour";q=100;w=3600` {
				t.Errorf("RateLimit-Policy is %s", got)
			}
		})
	}
	all.Wait()
	went := statuses[http.StatusAccepted]
	if went < allowed || went+statuses[http.StatusTooManyRequests] != offered {
		t.Errorf("answers by status: %v", statuses)
	}
	calls := w.ACS.Arrivals(t)
	if len(calls) != went || len(w.ACS.Messages(t)) != went {
		t.Errorf("ACS saw %d calls, and %d messages were accepted", len(calls), went)
	}
	expectRoom(t, calls, allowed)

	// Another instance of the deployment knows what the first has spent.
	a := other.Send(t, world.Message(world.Refusing))
	a.Want(t, http.StatusTooManyRequests, "over-quota")
	if got := a.Header.Get("RateLimit"); !strings.HasPrefix(got, `"minute";r=0;t=`) {
		t.Errorf("RateLimit is %s", got)
	}
	if n := len(w.ACS.Arrivals(t)); n != went {
		t.Errorf("ACS saw %d calls, and %d messages were accepted", n, went)
	}
}

// expectRoom wants no more than so many calls to have come within a minute.
func expectRoom(t *testing.T, calls []world.Arrival, perMinute int) {
	t.Helper()
	slices.SortFunc(calls, func(a, b world.Arrival) int { return a.At.Compare(b.At) })
	for i := perMinute; i < len(calls); i++ {
		if span := calls[i].At.Sub(calls[i-perMinute].At); span < time.Minute {
			t.Errorf("%d calls came within %s", perMinute+1, span)
		}
	}
}

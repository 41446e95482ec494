package test

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/posthorn/posthorn/handler/test/world"
)

// A thousand messages at once, at a limit of 30 a minute and 100 an hour: 30 go,
// and ACS does not hear of the others.
func (p *product) testQuota(t *testing.T) {
	const offered, allowed = 1000, 30
	w := newDeployment(t, p, world.Options{Settings: []string{"POSTHORN_QUOTA=custom-domain"}, Emulator: []string{"-preset", "custom"}})
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
	if statuses[http.StatusAccepted] != allowed || statuses[http.StatusTooManyRequests] != offered-allowed {
		t.Errorf("answers by status: %v", statuses)
	}
	if calls := w.ACS.Arrivals(t); len(calls) != allowed || len(w.ACS.Messages(t)) != allowed {
		t.Errorf("ACS saw %d calls", len(calls))
	}

	// Another instance of the deployment knows what the first has spent.
	a := w.Another(t).Send(t, world.Message(world.Refusing))
	a.Want(t, http.StatusTooManyRequests, "over-quota")
	if got := a.Header.Get("RateLimit"); !strings.HasPrefix(got, `"minute";r=0;t=`) {
		t.Errorf("RateLimit is %s", got)
	}
	if calls := w.ACS.Arrivals(t); len(calls) != allowed {
		t.Errorf("ACS saw %d calls", len(calls))
	}
}

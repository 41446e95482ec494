package test

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A thousand messages at once, at a limit of 30 a minute and 100 an hour: 30 go,
// and ACS does not hear of the others.
func (p *product) testQuota(t *testing.T) {
	const offered, allowed = 1000, 30
	w := newWorld(t, p, worldOptions{settings: []string{"POSTHORN_QUOTA=custom-domain"}, emulator: []string{"-preset", "custom"}})
	var mu sync.Mutex
	statuses := map[int]int{}
	var all sync.WaitGroup
	for range offered {
		all.Go(func() {
			a := w.send(t, message())
			mu.Lock()
			defer mu.Unlock()
			statuses[a.StatusCode]++
			if a.StatusCode == http.StatusAccepted {
				return
			}
			a.want(t, http.StatusTooManyRequests, "over-quota")
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
	if calls := w.acs.arrivals(t); len(calls) != allowed || len(w.acs.messages(t)) != allowed {
		t.Errorf("ACS saw %d calls", len(calls))
	}

	// Another instance of the deployment knows what the first has spent.
	a := w.another(t).send(t, message())
	a.want(t, http.StatusTooManyRequests, "over-quota")
	if got := a.Header.Get("RateLimit"); !strings.HasPrefix(got, `"minute";r=0;t=`) {
		t.Errorf("RateLimit is %s", got)
	}
	if calls := w.acs.arrivals(t); len(calls) != allowed {
		t.Errorf("ACS saw %d calls", len(calls))
	}
}

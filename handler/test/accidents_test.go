package test

import (
	"context"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/test/world"
)

const (
	// messages are offered one every offerEvery, so that the limit of the minute is
	// reached and all have gone when it has passed once more.
	messages   = 110
	offerEvery = 300 * time.Millisecond
	perMinute  = 70
	perHour    = 280
	// Storage is away for 20 s.
	storageStops  = 40
	storageStarts = storageStops + int(20*time.Second/offerEvery)
	// accidentTime bounds a hang.
	accidentTime = 4 * time.Minute
)

// Three instances that are killed again and again, storage that goes away, an ACS
// that loses answers and fails: a caller with 202 has a message that ends, once,
// and the limit holds.
//
// POSTHORN_TEST_SEED repeats what a run has logged, as far as processes do.
func (p *product) testAccidents(t *testing.T) {
	if testing.Short() {
		t.Skip("this takes more than a minute")
	}
	seed := uint64(time.Now().UnixNano())
	if given, err := strconv.ParseUint(os.Getenv("POSTHORN_TEST_SEED"), 10, 64); err == nil {
		seed = given
	}
	t.Logf("POSTHORN_TEST_SEED=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	a := newAccidents(t, p)
	plan := a.plan(t, rng)

	ctx, cancel := context.WithTimeout(t.Context(), accidentTime)
	defer cancel()
	var all []*loadMessage
	var callers sync.WaitGroup
	began := time.Now()
	tick := time.NewTicker(offerEvery)
	defer tick.Stop()
	for n := range messages {
		<-tick.C
		for _, accident := range plan[n] {
			accident()
		}
		m := compose(n, rng, a.keys)
		all = append(all, m)
		callers.Go(func() { a.see(ctx, m) })
	}
	a.instances[0].ACS.Heal(t)
	for _, w := range a.instances {
		w.Restart(t)
	}
	t.Logf("offered after %s", time.Since(began))
	callers.Wait()
	a.awaitEnds(ctx, t, all)
	t.Logf("ended after %s", time.Since(began))
	a.count(t, all)
}

// accidents are a deployment of three instances, with storage of its own.
type accidents struct {
	load
	keys []string
}

func newAccidents(t *testing.T, p *product) *accidents {
	t.Helper()
	limit := strconv.Itoa
	w := world.New(t, p.Anew(t), world.Options{
		Emulator: []string{"-per-minute", limit(perMinute), "-per-hour", limit(perHour), "-visible-after", "300ms"},
		Settings: []string{
			"POSTHORN_QUOTA_PER_MINUTE=" + limit(perMinute), "POSTHORN_QUOTA_PER_HOUR=" + limit(perHour),
			"POSTHORN_REQUEST_TIMEOUT=5s", // an owner that dies is dead after half a minute
		},
	})
	a := &accidents{keys: []string{w.Key}}
	for _, name := range []string{"shop", "newsletter"} {
		a.keys = append(a.keys, w.Operate(t, "callers", "add", name, "--sender", world.Sender, "--recipient-domain", "*"))
	}
	a.instances = []*world.World{w, w.Another(t), w.Another(t)}
	for i, w := range a.instances {
		watchdog := time.Duration(0)
		if i == 0 {
			watchdog = 5 * time.Second
		}
		w.PlayHost(t, watchdog)
	}
	transport := &http.Transport{DisableKeepAlives: true} // no connection to an instance of the past
	a.client = &http.Client{Transport: transport}
	return a
}

// plan says what befalls whom before which message is offered.
func (a *accidents) plan(t *testing.T, rng *rand.Rand) map[int][]func() {
	w := a.instances[0]
	plan := map[int][]func(){
		8: {
			func() { w.ACS.Fault(t, `{"kind":"lost","count":8,"probability":0.1}`) },
			func() { w.ACS.Fault(t, `{"kind":"500","count":4,"probability":0.05}`) },
			func() { w.ACS.Fault(t, `{"kind":"timeout","count":4,"probability":0.05}`) },
		},
		storageStops:  {func() { w.StopStorage(t) }},
		storageStarts: {func() { w.StartStorage(t) }},
	}
	kills := 0
	for n := 16; n < messages-20; n += 4 + rng.IntN(10) {
		victim := a.instances[rng.IntN(len(a.instances))]
		back := n + 1 + rng.IntN(10)
		plan[n] = append(plan[n], func() { victim.Handler.Kill(t) })
		plan[back] = append(plan[back], func() { victim.Restart(t) })
		kills++
	}
	t.Logf("%d kills", kills)
	return plan
}

// awaitEnds wants each message to have ended, and then that nothing stands in line.
func (a *accidents) awaitEnds(ctx context.Context, t *testing.T, all []*loadMessage) {
	t.Helper()
	for _, m := range all {
		if m.state == "" {
			t.Errorf("message %d has not ended: %s", m.n, m.last)
		}
	}
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for a.instances[0].Rows(t, "posthornqueue") > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("there are places in line that nobody serves")
		}
	}
}

// count holds what callers were told against what ACS knows and what storage holds.
func (a *accidents) count(t *testing.T, all []*loadMessage) {
	t.Helper()
	w := a.instances[0]
	arrived := map[string][]world.Received{}
	for _, m := range w.ACS.Messages(t) {
		arrived[m.Subject] = append(arrived[m.Subject], m)
	}
	ends, dead := map[string]int{}, 0
	for _, m := range all {
		ends[m.state]++
		there := arrived[m.subject]
		switch n := len(there); {
		case n > 1:
			t.Errorf("message %d has arrived %d times", m.n, n)
		case m.state == "accepted" && n == 0:
			t.Errorf("message %d is lost: %s", m.n, m.last)
		case m.state != "accepted" && m.state != "unknown" && n == 1:
			t.Errorf("message %d is said to have %s, and has arrived", m.n, m.state)
		case m.state == "failed" && !m.dead:
			t.Errorf("message %d has failed: %s", m.n, m.last)
		case n == 1 && m.linked:
			link := strings.TrimPrefix(anyAddress.FindString(there[0].Text), w.URL)
			if got := w.Get(t, link); got.StatusCode != http.StatusFound {
				t.Errorf("the link of message %d: %s", m.n, got.Status)
			}
		}
		if m.state == "failed" && m.id != "" {
			dead++
		}
	}
	t.Logf("ends: %v, %d sends without a 202", ends, a.unanswered.Load())
	if ends["accepted"] == 0 || ends["cancelled"] == 0 || ends["failed"] == 0 {
		t.Error("nothing of a kind: the test tests nothing")
	}
	a.countLeft(t, dead, ends["unknown"])
	a.countCalls(t)
}

// countLeft wants nothing in storage but what could not be sent, and messages of
// sends that were cut off, which the clean-up takes when they are old.
func (a *accidents) countLeft(t *testing.T, failed, unknown int) {
	t.Helper()
	w := a.instances[0]
	dead := w.Rows(t, "posthorndeadletters")
	if dead < failed || dead > failed+unknown {
		t.Errorf("%d could not be sent, and %d ended unknown; %d are listed", failed, unknown, dead)
	}
	if list := w.Operate(t, "dead", "list"); strings.Count(list, "\n") != dead {
		t.Errorf("the list of %d is\n%s", dead, list)
	}
	if kept := w.Contents(t); kept < dead || kept > dead+int(a.unanswered.Load()) {
		t.Errorf("%d messages are kept, %d of them are listed, and %d sends had no 202", kept, dead, a.unanswered.Load())
	}
}

// countCalls holds the calls to ACS against the limit, by the time of their
// arrival, whatever became of them.
func (a *accidents) countCalls(t *testing.T) {
	t.Helper()
	calls := a.instances[0].ACS.Arrivals(t)
	expectRoom(t, calls, perMinute)
	if len(calls) <= perMinute || len(calls) > perHour {
		t.Errorf("%d calls in all", len(calls))
	}
	refused := 0
	for _, c := range calls {
		if c.Status == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused != 0 {
		t.Errorf("ACS has said 429 %d times", refused)
	}
	t.Logf("%d calls", len(calls))
}

package gateway_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/gateway/sim"
	"github.com/posthorn/posthorn/handler/problem"
)

const (
	accidentMessages = 110
	// accidentTime is when all messages must have ended: they are offered within 37 s, and
	// the last accident is soon after that.
	accidentTime = 4 * time.Minute
)

// Three processes are killed and started again at random, storage goes away, ACS loses
// answers, fails and stalls, and callers repeat what was not answered and ask what became
// of it. Every message has ended four minutes after the first was offered, and work goes
// on wherever nothing speaks against it.
func TestSimAccidents(t *testing.T) {
	t.Parallel()
	for seed := range seeds(sims(t, 20)) {
		synctest.Test(t, func(t *testing.T) {
			a := newAccident(t, seed)
			for _, f := range a.run() {
				t.Errorf("seed %d: %s", seed, f)
			}
		})
		if t.Failed() {
			return
		}
	}
}

// accident is one run.
type accident struct {
	*testing.T
	w      *sim.World
	random *rand.Rand
	acs    *faultyACS
	begun  time.Time

	mu        sync.Mutex
	instances [3]*sim.Instance
	ended     [accidentMessages]bool
	last      [accidentMessages]string // what its caller was told last
}

// faultyACS strikes while it is on, so often as it says.
type faultyACS struct {
	mu     sync.Mutex
	random *rand.Rand
	on     bool
	left   map[sim.Fault]int
}

func (f *faultyACS) plan(_ *sim.Instance, s sim.Site, _ string) sim.Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.Op != sim.Offer || !f.on {
		return sim.Pass
	}
	for _, odds := range []struct {
		fault sim.Fault
		part  float64
	}{{sim.Lose, .1}, {sim.Refuse, .05}, {sim.Stall, .05}} {
		if f.left[odds.fault] > 0 && f.random.Float64() < odds.part {
			f.left[odds.fault]--
			return odds.fault
		}
	}
	return sim.Pass
}

func (f *faultyACS) set(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.on = on
}

func newAccident(t *testing.T, seed uint64) *accident {
	t.Helper()
	a := &accident{
		T: t, begun: time.Now(), random: rand.New(rand.NewPCG(seed, 7)),
		acs: &faultyACS{random: rand.New(rand.NewPCG(seed, 8)), left: map[sim.Fault]int{sim.Lose: 8, sim.Refuse: 4, sim.Stall: 4}},
	}
	a.w = newWorld(t, sim.Config{
		Seed: seed, Instances: len(a.instances), Limits: quota.Limits{PerMinute: 70, PerHour: 280}, Upstream: sim.Open, Plan: a.acs.plan,
		Way: 50 * time.Millisecond, ACSTime: 100 * time.Millisecond, Shown: 300 * time.Millisecond, RequestTimeout: requests[0],
		Host: sim.Host{AfterFail: 10 * time.Second, WatchEvery: 5 * time.Second, Outlives: true},
	})
	for i := range a.instances {
		a.instances[i] = a.w.Instance(i)
	}
	return a
}

func (a *accident) instance(n int) *sim.Instance {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.instances[n%len(a.instances)]
}

func (a *accident) restart(n int) {
	i, err := a.w.Start()
	if err != nil {
		a.Error(err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.instances[n].Kill()
	a.instances[n] = i
}

// acts are what happens before which message is offered.
func (a *accident) acts() map[int][]func() {
	acts := map[int][]func(){
		8:  {func() { a.acs.set(true) }},
		40: {func() { a.w.Away(true) }}, 106: {func() { a.w.Away(false) }},
	}
	for n := 16; n < 90; n += 4 + a.random.IntN(10) {
		victim, back := a.random.IntN(len(a.instances)), n+1+a.random.IntN(10)
		acts[n] = append(acts[n], func() { a.instance(victim).Kill() })
		acts[back] = append(acts[back], func() { a.restart(victim) })
	}
	return acts
}

func (a *accident) run() (faults []string) {
	a.w.Play()
	watched := a.w.Watch()
	acts := a.acts()
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(a.Context())
	defer cancel()
	for n := range accidentMessages {
		time.Sleep(300 * time.Millisecond)
		for _, act := range acts[n] {
			act()
		}
		who, body := sim.Caller([]string{"a", "b", "c"}[a.random.IntN(3)], caller.Policy{}), a.body(n)
		all.Go(func() { a.follow(ctx, n, who, body) })
	}
	a.acs.set(false)
	for n := range a.instances {
		a.restart(n)
	}
	time.Sleep(accidentTime - time.Since(a.begun))
	a.mu.Lock()
	for n, ended := range a.ended {
		if !ended {
			faults = append(faults, fmt.Sprintf("message %d has not ended: %s", n, a.last[n]))
		}
	}
	a.mu.Unlock()
	cancel()
	all.Wait()
	a.w.Stop()
	if doubled, _ := a.w.Doubled(); len(doubled) > 0 {
		faults = append(faults, fmt.Sprintf("sent twice: %v", doubled))
	}
	return append(append(faults, watched.Faults()...), a.w.Over()...)
}

func (a *accident) body(n int) string {
	more := fmt.Sprintf(`"priority":"%s"`, []string{"high", "normal", "normal", "bulk"}[a.random.IntN(4)])
	if a.random.IntN(4) == 0 {
		more += fmt.Sprintf(`,"sendAt":%q`, time.Now().Add(time.Duration(2+a.random.IntN(6))*time.Second).UTC().Format(time.RFC3339))
	}
	return sim.Message(strconv.Itoa(n), `"delivery":{`+more+`}`)
}

// follow is a good caller: it repeats its message until it has an answer, at another
// instance each time, and then asks what has become of it. What reads unknown for good, it
// sends again under its key.
func (a *accident) follow(ctx context.Context, n int, who caller.Caller, body string) {
	id, key := "", fmt.Sprint("key ", n)
	for at := n; ctx.Err() == nil; at++ {
		i := a.instance(at)
		var rec *record.Record
		var err error
		if id == "" {
			rec, err = a.send(ctx, i, who, key, body)
		} else {
			var found gateway.Found
			found, err = i.Find(ctx, who, id)
			rec = found.Record
		}
		if !i.Alive() {
			time.Sleep(time.Second)
			continue // the connection broke
		}
		if err != nil {
			a.told(n, problem.Of(err).Error(), false)
			time.Sleep(time.Second)
			continue
		}
		ended := rec.Final() && rec.State != record.Unknown
		a.told(n, fmt.Sprintf("%s, resolving %v", rec.State, rec.Resolving), ended)
		if ended {
			return
		}
		if id = rec.ID; rec.Final() {
			id = "" // it repeats it
		}
		time.Sleep(time.Second)
	}
}

func (a *accident) send(ctx context.Context, i *sim.Instance, who caller.Caller, key, body string) (*record.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, 25*time.Second)
	defer cancel()
	answer, err := i.Send(ctx, who, key, body)
	return answer.Record, err
}

func (a *accident) told(n int, what string, ended bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last[n], a.ended[n] = what, ended
}

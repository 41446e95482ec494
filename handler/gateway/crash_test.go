package gateway_test

import (
	"context"
	"flag"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway/sim"
	"github.com/posthorn/posthorn/handler/store/mem"
)

var (
	simSeeds = flag.Int("sim.seeds", 0, "seeds of each simulation; 0: a few")
	simFirst = flag.Uint64("sim.first", 0, "the first of these seeds; a failure names its own")
)

// sims is how many seeds a simulation runs: few by default, -sim.seeds on request.
func sims(t *testing.T, few int) int {
	t.Helper()
	switch {
	case *simSeeds > 0:
		return *simSeeds
	case testing.Short():
		return max(1, few/50)
	}
	return few
}

// seeds are n, from -sim.first on.
func seeds(n int) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for seed := range uint64(n) {
			if !yield(*simFirst + seed) {
				return
			}
		}
	}
}

// crash is a point between two steps. What befalls the n-th call of its kind is
// the fault; n is drawn.
type crash struct {
	row  int
	name string
	site sim.Site
	most int // n is 1 to most
	own  sim.Fault
}

// requests are the time-outs of requests: the shortest that may be set, and the default.
var requests = [...]time.Duration{5 * time.Second, 100 * time.Second}

// crashes are all points at which something is left behind. The rows are those of
// the list in docs/crashes.md.
var crashes = []crash{
	{0, "read, nothing stored", sim.Site{Where: "records", Op: mem.Insert, State: record.Claimed}, 4, sim.KillBefore},
	{1, "checked, nothing stored", sim.Site{Where: "records", Op: mem.Get}, 3, sim.KillBefore},
	{2, "claimed, the answer lost", sim.Site{Where: "records", Op: mem.Insert, State: record.Claimed}, 4, sim.KillAfter},
	{3, "claimed, its owner dead", sim.Site{Where: "ledger", Op: mem.Get}, 4, sim.KillBefore},
	{4, "quota reserved", sim.Site{Where: "ledger", Op: mem.Replace}, 12, sim.KillAfter},
	{5, "reservation in doubt", sim.Site{Where: "ledger", Op: mem.Replace}, 12, sim.Lose},
	{6, "some of a file stored", sim.Site{Where: "files", Op: mem.Stage}, 2, sim.KillAfter},
	{7, "content stored, large", sim.Site{Where: "content", Op: mem.Put}, 4, sim.KillAfter},
	{8, "listed as at work, in a new row", sim.Site{Where: "records", Op: mem.Insert}, 2, sim.KillAfter},
	{8, "listed as at work", sim.Site{Where: "records", Op: mem.Replace}, 4, sim.KillAfter},
	{8, "fenced, nothing sent", sim.Site{Where: "records", Op: mem.Replace, State: record.Sending}, 8, sim.KillAfter},
	{8, "fenced without a claim", sim.Site{Where: "records", Op: mem.Insert, State: record.Sending}, 3, sim.KillAfter},
	{4, "reserved, not fenced, with plenty of tokens", sim.Site{Where: "records", Op: mem.Insert, State: record.Sending}, 4, sim.KillBefore},
	{8, "fenced and claimed, with plenty of tokens", sim.Site{Where: "records", Op: mem.Insert, State: record.Sending}, 4, sim.KillAfter},
	{8, "listed as at work, with plenty of tokens", sim.Site{Where: "records", Op: mem.Replace}, 4, sim.KillAfter},
	{10, "accepted, not recorded, with plenty of tokens", sim.Site{Where: "records", Op: mem.Replace, State: record.Accepted}, 4, sim.KillBefore},
	{9, "on the wire, no answer", sim.Site{Where: "acs", Op: sim.Offer}, 8, sim.Lose},
	{10, "accepted, not recorded", sim.Site{Where: "records", Op: mem.Replace, State: record.Accepted}, 8, sim.KillBefore},
	{11, "rejected, not recorded", sim.Site{Where: "acs", Op: sim.Offer}, 8, sim.Refuse},
	{12, "recording in doubt", sim.Site{Where: "records", Op: mem.Replace, State: record.Accepted}, 8, sim.Repeat},
	{13, "recorded, the answer lost", sim.Site{Where: "records", Op: mem.Replace, State: record.Accepted}, 8, sim.KillAfter},
	{14, "recorded as waiting, not queued", sim.Site{Where: "lines", Op: mem.Insert}, 5, sim.KillBefore},
	{14, "recorded as waiting, not queued, large", sim.Site{Where: "lines", Op: mem.Insert}, 5, sim.KillBefore},
	{15, "queued, its wake-up message in doubt", sim.Site{Where: "wake-ups", Op: mem.Send}, 5, sim.Lose},
	{16, "taken by a dispatcher, then dead", sim.Site{Where: "lines", Op: mem.Get}, 5, sim.KillBefore},
	{16, "taken by a dispatcher, then dead, large", sim.Site{Where: "content", Op: mem.Read}, 5, sim.KillBefore},
	{17, "sent and recorded, still queued", sim.Site{Where: "lines", Op: mem.Delete}, 5, sim.KillBefore},
	{18, "queued, the answer lost", sim.Site{Where: "lines", Op: mem.Insert}, 5, sim.KillAfter},
	{19, "content deleted, queue entry not, large", sim.Site{Where: "content", Op: mem.Delete}, 5, sim.KillAfter},
	{20, "fenced, then frozen", sim.Site{Where: "acs", Op: sim.Offer}, 8, sim.Freeze},
}

// plenty says that so many tokens are free that the fence of a message is its claim.
func (c crash) plenty() bool { return strings.HasSuffix(c.name, "plenty of tokens") }

// large says that the messages which wait have blobs.
func (c crash) large() bool { return strings.HasSuffix(c.name, "large") }

// unnamed says that the messages have no key, so that nobody repeats them: only
// then does a record begin with the fence where tokens are few.
func (c crash) unnamed() bool {
	return c.site.Op == mem.Insert && c.site.State == record.Sending && !c.plenty()
}

// befalls are the faults that each point meets: its own, and four that could be
// anywhere. In a short run it is its own alone.
func (c crash) befalls() map[string]sim.Fault {
	if testing.Short() {
		return map[string]sim.Fault{"as it says": c.own}
	}
	all := map[string]sim.Fault{"killed": sim.KillAfter, "answer lost": sim.Lose, "stalled": sim.Stall, "frozen": sim.Freeze}
	for _, f := range all {
		if f == c.own {
			return all
		}
	}
	all["as it says"] = c.own
	return all
}

// Whatever happens at whichever point: what was promised ends once, and nothing
// is sent twice by an ACS that refuses repeats.
func TestSimCrashPoints(t *testing.T) {
	t.Parallel()
	for _, c := range crashes {
		for what, fault := range c.befalls() {
			t.Run(fmt.Sprintf("%d %s, %s", c.row, c.name, what), func(t *testing.T) {
				t.Parallel()
				for seed := range seeds(sims(t, 4)) {
					if f := c.run(t, fault, seed, false); len(f) > 0 {
						t.Fatalf("seed %d:\n%s", seed, strings.Join(f, "\n"))
					}
				}
			})
		}
	}
}

// An ACS that sends repeats again gets one only where nobody can know better, and
// then the record has said so first.
func TestSimCrashPointsWithAForgetfulACS(t *testing.T) {
	t.Parallel()
	for _, c := range crashes {
		for what, fault := range c.befalls() {
			t.Run(fmt.Sprintf("%d %s, %s", c.row, c.name, what), func(t *testing.T) {
				t.Parallel()
				for seed := range seeds(sims(t, 2)) {
					if f := c.run(t, fault, seed, true); len(f) > 0 {
						t.Fatalf("seed %d:\n%s", seed, strings.Join(f, "\n"))
					}
				}
			})
		}
	}
}

// run is one message traffic of half an hour in which the fault strikes once. It
// returns the promises that were broken.
func (c crash) run(t *testing.T, fault sim.Fault, seed uint64, forgetful bool) (faults []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		strike := &strike{site: c.site, at: 1 + int(seed)%c.most, fault: fault}
		limits := quota.Limits{PerMinute: 3, PerHour: 60}
		if c.plenty() {
			limits = quota.Limits{PerMinute: 60, PerHour: 600}
		}
		w := newWorld(t, sim.Config{
			Seed: seed, Instances: 2, Limits: limits, Forgetful: forgetful, Plan: strike.plan,
			Way: 30 * time.Millisecond, ACSTime: 2 * time.Second, ClockError: time.Second, Upstream: sim.Open,
			RequestTimeout: requests[int(seed)/c.most%len(requests)],
		})
		if c.large() {
			w.UseBlobs()
		}
		w.Play()
		watched := w.Watch()
		callers := newCrowd(w)
		for n := range 8 {
			more := ""
			if n%4 == 1 {
				more = attached()
			}
			key := fmt.Sprintf("key %d", n)
			if c.unnamed() {
				key = ""
			}
			callers.offer(t, shop, key, sim.Message(strconv.Itoa(n), more))
			time.Sleep(w.UpTo(20 * time.Second))
			strike.replace(t, w)
		}
		for range 30 {
			time.Sleep(time.Minute)
			strike.replace(t, w)
		}
		callers.all.Wait()
		w.Stop()
		w.Plan = nil
		faults = append(verdict(t.Context(), w, callers, forgetful && strike.mayDouble(), strike.mayPass()), watched.Faults()...)
		if len(callers.promises) < 8 && !c.unnamed() {
			faults = append(faults, fmt.Sprintf("only %d of 8 callers with a key came to an end: refused %v", len(callers.promises), callers.refused))
		}
	})
	return faults
}

func verdict(ctx context.Context, w *sim.World, c *crowd, mayDouble, mayPass bool) []string {
	states, faults := w.Ends(ctx, c.promises)
	if !mayPass {
		faults = append(faults, w.Over()...)
	}
	doubled, unshown := w.Doubled()
	if len(doubled) > 0 && !mayDouble {
		faults = append(faults, fmt.Sprintf("sent twice: %v", doubled))
	}
	if len(unshown) > 0 {
		faults = append(faults, fmt.Sprintf("sent twice, and not said to be unknown before: %v", unshown))
	}
	if n := states[record.Failed] + states[record.Cancelled]; n > 0 {
		faults = append(faults, fmt.Sprintf("%d messages ended as failed", n))
	}
	if _, rows := w.Left(ctx); rows > 0 {
		faults = append(faults, fmt.Sprintf("%d rows are left in lines", rows))
	}
	if records, noted := w.Between(ctx); len(records) > 0 || noted > 0 {
		faults = append(faults, fmt.Sprintf("%d noted as at work, and left in between: %v", noted, records))
	}
	return faults
}

// strike lets one fault happen, once, at the n-th call of a kind.
type strike struct {
	site  sim.Site
	at    int
	fault sim.Fault

	mu    sync.Mutex
	seen  int
	fresh bool // an instance may have died and not been replaced
}

func (s *strike) plan(_ *sim.Instance, site sim.Site, _ string) sim.Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if site != s.site {
		return sim.Pass
	}
	if s.seen++; s.seen != s.at {
		return sim.Pass
	}
	s.fresh = true
	return s.fault
}

// replace starts an instance in place of one that died, as the host does.
func (s *strike) replace(t *testing.T, w *sim.World) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fresh {
		s.fresh = false
		if _, err := w.Start(); err != nil {
			t.Fatal(err)
		}
	}
}

// mayDouble says whether an ACS that forgets may be given a message twice: its
// answer is missing, or a process stood still with a call to it in its hands.
func (s *strike) mayDouble() bool { return s.site.Where == "acs" || s.fault == sim.Freeze }

// mayPass says whether a window may be passed: a process stood still between its
// last look at a token and the first byte, and ACS takes no token to check.
func (s *strike) mayPass() bool { return s.site.Where == "acs" && s.fault == sim.Freeze }

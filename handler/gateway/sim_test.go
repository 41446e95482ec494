package gateway_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/gateway/sim"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// crowd offers messages to a world and keeps what it was promised.
type crowd struct {
	w *sim.World

	mu       sync.Mutex
	promises []sim.Promise
	refused  map[string]int // by a problem's slug
	slowest  time.Duration  // of a refusal as Unavailable
	all      sync.WaitGroup
}

func newCrowd(w *sim.World) *crowd { return &crowd{w: w, refused: map[string]int{}} }

// persist is how long a caller with a key tries to get an answer.
const persist = 15 * time.Minute

// offer sends a message, and with a key repeats it as a good caller does: when no
// answer comes, or one that says so.
func (c *crowd) offer(t *testing.T, who caller.Caller, key, body string) {
	t.Helper()
	c.all.Go(func() {
		for begun := time.Now(); time.Since(begun) < persist; {
			i := c.w.Any()
			if i == nil {
				time.Sleep(time.Second)
				continue
			}
			asked := time.Now()
			answer, err := i.Send(t.Context(), who, key, body)
			if !i.Alive() { // the connection broke
				time.Sleep(2 * time.Second)
				if key == "" {
					return
				}
				continue
			}
			if err == nil && !(answer.Replayed && answer.Record.UnderWay()) {
				c.keep(who, answer)
				return
			}
			wait := 5 * time.Second
			if err != nil {
				p := problem.Of(err)
				c.note(p, time.Since(asked))
				if key == "" || p.Kind != problem.Unavailable {
					return
				}
				wait = max(p.RetryAfter, wait)
			}
			time.Sleep(wait)
		}
	})
}

func (c *crowd) keep(who caller.Caller, a gateway.Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := a.Record
	p := sim.Promise{Caller: who.Name, ID: r.ID, OperationID: r.OperationID, At: time.Now()}
	if r.State == record.Waiting {
		p.Expected = r.Expected
	}
	c.promises = append(c.promises, p)
}

func (c *crowd) note(p *problem.Problem, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused[p.Kind.Slug()]++
	if p.Kind == problem.Unavailable {
		c.slowest = max(c.slowest, took)
	}
}

// refusals is how often a problem was the answer, and how slow the slowest was.
func (c *crowd) refusals(slug string) (n int, slowest time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused[slug], c.slowest
}

// long skips a simulation that would take minutes under the race detector.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes many messages")
	}
}

func newWorld(t *testing.T, c sim.Config) *sim.World {
	t.Helper()
	w, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

var shop = sim.Caller("shop", caller.Policy{})

// A day at the quota of a new subscription: 10,000 messages in bursts over ten
// instances. Nothing goes over, hardly anything of the hour is left unused while
// messages wait, and who was told a time was told the right one.
func TestSimADayAtTheDefaultQuota(t *testing.T) {
	t.Parallel()
	long(t)
	for _, upstream := range []sim.Upstream{sim.Sliding, sim.Fixed} {
		for seed := range seeds(max(1, sims(t, 1)/50)) { // a day takes as long as fifty crashes
			t.Run(fmt.Sprintf("upstream %d seed %d", upstream, seed), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { day(t, upstream, seed) })
			})
		}
	}
}

func day(t *testing.T, upstream sim.Upstream, seed uint64) {
	t.Helper()
	const each = 400
	hours := 8 // and a whole day where simulations are asked for
	if *simSeeds > 0 {
		hours = 24
	}
	length, bursts := time.Duration(hours)*time.Hour, hours+1
	limits := quota.CustomDomainSend
	w := newWorld(t, sim.Config{
		Seed: seed, Instances: 10, Limits: limits, Upstream: upstream,
		Way: 20 * time.Millisecond, ACSTime: 500 * time.Millisecond, ClockError: 2 * time.Second,
	})
	w.Play()
	watched := w.Watch()
	c, random := newCrowd(w), rand.New(rand.NewPCG(seed, 2))
	begun := time.Now()
	for burst := range bursts {
		for n := range each {
			c.offer(t, shop, "", sim.Message(fmt.Sprintf("%d-%d", burst, n), ""))
		}
		time.Sleep(time.Duration(random.Int64N(int64(length) / int64(bursts))))
	}
	c.all.Wait()
	if len(c.promises) != bursts*each || len(c.refused) > 0 {
		t.Errorf("%d promises, refused %v", len(c.promises), c.refused)
	}
	time.Sleep(length - time.Since(begun))
	w.Stop()
	if over := w.Over(); len(over) > 0 || w.ACS.Busy() > 0 {
		t.Errorf("over: %v, 429s: %d", over, w.ACS.Busy())
	}
	arrivals := w.ACS.Arrivals()
	used := float64(len(arrivals)) / float64(limits.PerHour*hours)
	for _, f := range watched.Faults() {
		t.Error(f)
	}
	right, told := expectations(w, c.promises)
	t.Logf("%.1f %% of the hourly limit used, expected times right for %.1f %% of %d", 100*used, 100*float64(right)/float64(told), told)
	if used < 0.95 {
		t.Errorf("%.1f %% of the hourly limit used, want 95 %%", 100*used)
	}
	if float64(right) < 0.95*float64(told) {
		t.Errorf("%d of %d expected times were right", right, told)
	}
}

// expectations counts the messages that were told a time, and have gone: right is
// how many went within a tenth of the wait, or 60 s, of it.
func expectations(w *sim.World, promises []sim.Promise) (right, told int) {
	for _, p := range promises {
		at, times := w.ACS.Sent(p.OperationID)
		if p.Expected.IsZero() || times == 0 {
			continue
		}
		told++
		if off := at.Sub(p.Expected).Abs(); off <= max(time.Minute, p.Expected.Sub(p.At)/10) {
			right++
		}
	}
	return right, told
}

// ACS is away for six hours: everything waits, nothing is given up, and then all
// of it goes in order and as fast as the quota lets it.
func TestSimACSIsAwayForSixHours(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limits := quota.CustomDomainSend
		w := newWorld(t, sim.Config{Seed: 1, Instances: 3, Limits: limits, Way: 20 * time.Millisecond, ACSTime: time.Second, ClockError: time.Second})
		w.Play()
		c := newCrowd(w)
		time.Sleep(time.Minute)
		w.ACS.Down(true)
		for n := range 300 {
			c.offer(t, shop, "", sim.Message(strconv.Itoa(n), ""))
			time.Sleep(time.Minute)
		}
		time.Sleep(time.Hour)
		c.all.Wait()
		if len(c.promises) != 300 {
			t.Fatalf("%d promises, refused %v", len(c.promises), c.refused)
		}
		if n := len(w.ACS.Arrivals()); n != 0 {
			t.Fatalf("%d calls arrived at an ACS that was away", n)
		}
		w.ACS.Down(false)
		back := time.Now()
		time.Sleep(3*time.Hour + 10*time.Minute)
		w.Stop()
		states, faults := w.Ends(t.Context(), c.promises)
		if states[record.Accepted] != 300 || len(faults) > 0 {
			t.Errorf("ends %v, %v", states, faults)
		}
		arrivals := w.ACS.Arrivals()
		if first := arrivals[0].Sub(back); first > 2*time.Minute {
			t.Errorf("the first message went %v after ACS was back", first)
		}
		if n := within(arrivals, back, time.Hour+2*time.Minute); n < limits.PerHour*95/100 {
			t.Errorf("%d messages in the first hour, want %d", n, limits.PerHour)
		}
		if n := inversions(w, c.promises); n > 300/20 {
			t.Errorf("%d of 300 messages went before one that had waited for longer by more than 5 minutes", n)
		}
		if over := w.Over(); len(over) > 0 {
			t.Error(over)
		}
	})
}

func within(at []time.Time, from time.Time, d time.Duration) (n int) {
	for _, a := range at {
		if a.Sub(from) < d {
			n++
		}
	}
	return n
}

// inversions counts the messages that went before one promised clearly earlier.
func inversions(w *sim.World, promises []sim.Promise) (n int) {
	slices.SortFunc(promises, func(a, b sim.Promise) int { return a.At.Compare(b.At) })
	var latest time.Time
	for _, p := range promises {
		at, _ := w.ACS.Sent(p.OperationID)
		if at.Add(5 * time.Minute).Before(latest) {
			n++
		}
		if at.After(latest) {
			latest = at
		}
	}
	return n
}

// Storage is away for a quarter of an hour: nothing is sent, callers hear so at
// once, and a minute later all is as before.
func TestSimStorageIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sim.Config{
			Seed: 1, Instances: 3, Limits: quota.Limits{PerMinute: 10, PerHour: 1000},
			Way: 20 * time.Millisecond, ACSTime: 500 * time.Millisecond, ClockError: time.Second,
		})
		w.Play()
		c := newCrowd(w)
		for n := range 200 {
			c.offer(t, shop, "", sim.Message(strconv.Itoa(n), ""))
		}
		time.Sleep(2 * time.Minute)
		w.Away(true)
		gone := time.Now()
		time.Sleep(10 * time.Second) // what was booked before may still go
		before := len(w.ACS.Arrivals())
		for n := range 30 {
			c.offer(t, shop, "", sim.Message(fmt.Sprintf("away %d", n), ""))
			time.Sleep(28 * time.Second)
		}
		if n := len(w.ACS.Arrivals()); n != before {
			t.Errorf("%d messages were sent without storage", n-before)
		}
		if n, slowest := c.refusals("unavailable"); n != 30 || slowest > 2*time.Second {
			t.Errorf("%d refused, the slowest after %v", n, slowest)
		}
		time.Sleep(15*time.Minute - time.Since(gone))
		w.Away(false)
		back := time.Now()
		time.Sleep(time.Minute)
		if n := len(w.ACS.Arrivals()) - before; n < 10 {
			t.Errorf("%d messages went in the minute after storage was back, want 10", n)
		}
		if _, err := w.Any().Send(t.Context(), shop, "", sim.Message("after", "")); err != nil {
			t.Errorf("%v after storage was back: %v", time.Since(back), err)
		}
		time.Sleep(40 * time.Minute)
		w.Stop()
		c.all.Wait()
		states, faults := w.Ends(t.Context(), c.promises)
		if states[record.Accepted] != len(c.promises) || len(faults) > 0 {
			t.Errorf("ends %v of %d, %v", states, len(c.promises), faults)
		}
		if over := w.Over(); len(over) > 0 {
			t.Error(over)
		}
	})
}

// One of two callers offers ten times as much. The other gets its share.
func TestSimAFloodDoesNotStarveOthers(t *testing.T) {
	t.Parallel()
	long(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sim.Config{
			Seed: 1, Instances: 4, Limits: quota.CustomDomainSend, Way: 20 * time.Millisecond, ACSTime: 500 * time.Millisecond,
		})
		w.Play()
		flood, small := newCrowd(w), newCrowd(w)
		big, little := sim.Caller("flood", caller.Policy{}), sim.Caller("small", caller.Policy{})
		begun := time.Now()
		for n := range 12 * 60 {
			for k := range 10 {
				flood.offer(t, big, "", sim.Message(fmt.Sprintf("f%d-%d", n, k), ""))
			}
			small.offer(t, little, "", sim.Message(fmt.Sprintf("s%d", n), ""))
			time.Sleep(time.Minute)
		}
		flood.all.Wait()
		small.all.Wait()
		hours := time.Since(begun).Hours()
		w.Stop()
		// Both want more than half of the quota: half is the share of each.
		sent := 0
		for _, p := range small.promises {
			if _, times := w.ACS.Sent(p.OperationID); times > 0 {
				sent++
			}
		}
		if share := hours * float64(quota.CustomDomainSend.PerHour) / 2; float64(sent) < 0.95*share {
			t.Errorf("the small caller got %d, its share is %.0f", sent, share)
		}
	})
}

// A message of high priority does not wait behind ten thousand others.
func TestSimHighGoesBeforeBulk(t *testing.T) {
	t.Parallel()
	long(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sim.Config{Seed: 1, Instances: 3, Limits: quota.Limits{PerMinute: 30, PerHour: 1000}, Way: 10 * time.Millisecond, ACSTime: 200 * time.Millisecond})
		w.Play()
		bulk, urgent := newCrowd(w), newCrowd(w)
		for n := range 10_000 {
			bulk.offer(t, shop, "", sim.Message(strconv.Itoa(n), `"delivery":{"priority":"bulk"}`))
		}
		bulk.all.Wait()
		time.Sleep(3 * time.Minute)
		for range 20 {
			urgent.offer(t, shop, "", sim.Message("urgent", `"delivery":{"priority":"high"}`))
			time.Sleep(time.Minute)
		}
		time.Sleep(2 * time.Minute)
		urgent.all.Wait()
		w.Stop()
		for _, p := range urgent.promises {
			at, times := w.ACS.Sent(p.OperationID)
			if wait := at.Sub(p.At); times != 1 || wait > 90*time.Second {
				t.Errorf("an urgent message went %d times, after %v", times, wait)
			}
		}
	})
}

// Somebody else uses half of the subscription: after the first refusals of ACS
// the rest is left to them.
func TestSimForeignUseIsLearned(t *testing.T) {
	t.Parallel()
	long(t)
	synctest.Test(t, func(t *testing.T) {
		limits := quota.Limits{PerMinute: 100, PerHour: 6000}
		w := newWorld(t, sim.Config{Seed: 1, Instances: 3, Limits: limits, Way: 10 * time.Millisecond, ACSTime: 200 * time.Millisecond})
		w.ACS.Foreign(50)
		w.Play()
		c := newCrowd(w)
		for n := range 6000 {
			c.offer(t, shop, "", sim.Message(strconv.Itoa(n), ""))
		}
		time.Sleep(4 * time.Hour)
		c.all.Wait()
		w.Stop()
		arrivals, busy := len(w.ACS.Arrivals()), w.ACS.Busy()
		t.Logf("%d calls, %d of them refused", arrivals, busy)
		if busy*20 > arrivals {
			t.Errorf("%d of %d calls were refused by ACS, want less than 5 %%", busy, arrivals)
		}
		if arrivals-busy < 6000*9/10 {
			t.Errorf("%d of 6000 messages went in the time for 12000", arrivals-busy)
		}
	})
}

// When all is done nothing is left: no row, no stored message.
func TestSimNothingIsLeft(t *testing.T) {
	t.Parallel()
	for name, large := range map[string]bool{"small": false, "large": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { nothingIsLeft(t, large) })
		})
	}
}

func nothingIsLeft(t *testing.T, large bool) {
	t.Helper()
	w := newWorld(t, sim.Config{Seed: 1, Instances: 2, Limits: quota.Limits{PerMinute: 5, PerHour: 500}, Way: 10 * time.Millisecond, ACSTime: 200 * time.Millisecond})
	if large {
		w.UseBlobs()
	}
	w.Play()
	c := newCrowd(w)
	for n := range 40 {
		c.offer(t, shop, "", sim.Message(strconv.Itoa(n), ""))
	}
	c.all.Wait()
	time.Sleep(15 * time.Minute)
	w.Stop()
	if contents, rows := w.Left(t.Context()); contents > 0 || rows > 0 {
		t.Errorf("%d messages and %d rows are left", contents, rows)
	}
	if states, faults := w.Ends(t.Context(), c.promises); states[record.Accepted] != 40 || len(faults) > 0 {
		t.Errorf("ends %v, %v", states, faults)
	}
	if blobs := w.Counts()[sim.Site{Where: "content", Op: mem.Put}]; blobs > 0 != large {
		t.Errorf("%d blobs were written", blobs)
	}
}

// An ACS that takes calls and does not answer has counted them: the next
// reservation must have counted them, too.
func TestSimSilenceCostsTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		w := newWorld(t, sim.Config{
			Seed: 1, Instances: 1, Limits: quota.Limits{PerMinute: 10, PerHour: 1000}, Way: 10 * time.Millisecond, ACSTime: 200 * time.Millisecond,
			Plan: func(_ *sim.Instance, s sim.Site, _ string) sim.Fault {
				if s.Op != sim.Offer {
					return sim.Pass
				}
				if calls.Add(1)%2 == 0 {
					return sim.Lose
				}
				return sim.Pass
			},
		})
		w.Play()
		c := newCrowd(w)
		for n := range 100 {
			c.offer(t, shop, "", sim.Message(strconv.Itoa(n), ""))
		}
		time.Sleep(3 * time.Hour)
		c.all.Wait()
		w.Stop()
		if over := w.Over(); len(over) > 0 {
			t.Error(over)
		}
		if states, faults := w.Ends(t.Context(), c.promises); states[record.Accepted] != 100 || len(faults) > 0 {
			t.Errorf("ends %v, %v", states, faults)
		}
	})
}

// No call waits for a connection while its token ages: it waits for its turn first,
// and then for another token if that was too long.
func TestSimASlowACSHasNoMoreCallsThanConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sim.Config{
			Seed: 1, Instances: 1, Limits: quota.Limits{PerMinute: 100, PerHour: 1000}, MaxCalls: 4, Upstream: sim.Sliding,
			Way: 10 * time.Millisecond, ACSTime: 40 * time.Second,
		})
		w.Play()
		c := newCrowd(w)
		for n := range 60 {
			c.offer(t, shop, "", sim.Message(strconv.Itoa(n), ""))
		}
		time.Sleep(3 * time.Hour)
		c.all.Wait()
		w.Stop()
		if n := w.ACS.Most(); n != 4 {
			t.Errorf("%d calls at one time, want 4", n)
		}
		if over := w.Over(); len(over) > 0 || w.ACS.Busy() > 0 {
			t.Errorf("over: %v, 429s: %d", over, w.ACS.Busy())
		}
		if states, faults := w.Ends(t.Context(), c.promises); states[record.Accepted] != 60 || len(faults) > 0 {
			t.Errorf("ends %v, refused %v, %v", states, c.refused, faults)
		}
	})
}

package gateway_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"text/tabwriter"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway/sim"
	"github.com/posthorn/posthorn/handler/store/mem"
)

var simTable = flag.Bool("sim.table", false, "print how costs grow with instances and limits; takes a quarter of an hour")

// scale is one row of the table: so many instances at such limits.
type scale struct {
	instances int
	limits    quota.Limits
	most      goals
}

// goals are what a row may cost.
type goals struct {
	direct, waiting float64 // operations of storage a message, with those that remove it later
}

var (
	hundred         = quota.CustomDomainSend
	tenThousand     = quota.Limits{PerMinute: 300, PerHour: 10_000}
	hundredThousand = quota.Limits{PerMinute: 2500, PerHour: 100_000}
	twoMillion      = quota.Limits{PerMinute: 40_000, PerHour: 2_000_000}
)

// scales are all rows. Where few messages come, they have nobody to share the ledger's writes
// with, nor the list of what is at work, and the timers' part is large.
var scales = []scale{
	{1, hundred, goals{8.8, 26.5}},
	{10, hundred, goals{11.7, 30.9}},
	{100, hundred, goals{12, 34}},
	{200, hundred, goals{12, 35}},
	{1, tenThousand, goals{4.5, 14}},
	{10, tenThousand, goals{6.2, 15.5}},
	{100, tenThousand, goals{6.6, 15.5}},
	{200, tenThousand, goals{6.6, 15.5}},
	{1, hundredThousand, goals{3.8, 14.5}},
	{10, hundredThousand, goals{4.9, 14.5}},
	{100, hundredThousand, goals{6.6, 14.5}},
	{200, hundredThousand, goals{6.6, 14.5}},
	{1, twoMillion, goals{3.2, 12.5}},
	{10, twoMillion, goals{3.9, 12.5}},
	{100, twoMillion, goals{4.8, 12.5}},
	{200, twoMillion, goals{5.4, 12.5}},
}

// short says whether a row is judged in a run that prints no table. There no more messages
// come than may go, where very many do.
func (s scale) short() bool {
	switch s.limits {
	case hundred:
		return false
	case tenThousand:
		return s.instances <= 10
	}
	return s.instances == 10 || s.instances == 100
}

// overload is for how long more messages come than may go.
func (s scale) overload() time.Duration {
	switch s.limits {
	case hundred:
		return time.Hour
	case tenThousand:
		return 10 * time.Minute
	case hundredThousand:
		return 3 * time.Minute
	}
	return time.Minute
}

// measured is what a row costs.
type measured struct {
	scale
	direct  float64          // operations of storage a message that is sent at once
	waiting float64          // operations of storage a message that waits
	removal float64          // of both, those that remove a message later
	apart   [2]float64       // operations a message of what has a line of its own: direct, waiting
	hottest float64          // conditional writes a second on one row of the ledger, in the busiest minute
	used    float64          // part of what the limits allow, while messages wait
	sites   map[sim.Site]int // operations of messages that are sent at once, of 1,000 messages
	faults  []string
}

// hasItsOwnLine says of a table that it is not part of what a message costs: the history, and
// the slots of connections, which cost by the minute.
func hasItsOwnLine(where string) bool { return where == "history" || where == "slots" }

// Costs do not grow with the number of instances or the size of the limits.
func TestSimScale(t *testing.T) {
	t.Parallel()
	long(t)
	var all []measured
	for _, s := range scales {
		if !*simTable && !s.short() {
			continue
		}
		t.Run(fmt.Sprintf("%d an hour, %d instances", s.limits.PerHour, s.instances), func(t *testing.T) {
			var m measured
			synctest.Test(t, func(t *testing.T) { m = s.run(t) })
			m.judge(t)
			all = append(all, m)
			if *simTable {
				printTable(all[len(all)-1:])
			}
		})
	}
	printTable(all)
}

func (m *measured) judge(t *testing.T) {
	t.Helper()
	for _, f := range m.faults {
		t.Error(f)
	}
	for _, goal := range []struct {
		what        string
		value, most float64
	}{
		{"operations a direct message", m.direct, m.most.direct}, {"operations a message that waits", m.waiting, m.most.waiting},
		{"conditional writes a second on one row", m.hottest, 20}, {"unused part of the limit", 1 - m.used, 0.05},
	} {
		if goal.value > goal.most {
			t.Errorf("%s: %.2f, at most %.2f; of 1,000 direct ones: %v", goal.what, goal.value, goal.most, m.sites)
		}
	}
}

func printTable(all []measured) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "limit an hour\tinstances\tops direct\tat most\tops waiting\tat most\tof them removal\tapart\tCAS/s hottest row\tused\t")
	for _, m := range all {
		fmt.Fprintf(w, "%d\t%d\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f %.2f\t%.1f\t%.1f %%\t\n", m.limits.PerHour, m.instances, m.direct, m.most.direct,
			m.waiting, m.most.waiting, m.removal, m.apart[0], m.apart[1], m.hottest, 100*m.used)
	}
	_ = w.Flush() // to a terminal
}

func (s scale) run(t *testing.T) measured {
	t.Helper()
	m := measured{scale: s, used: 1, sites: map[sim.Site]int{}}
	w := newWorld(t, sim.Config{
		Seed: 1, Instances: s.instances, Limits: s.limits, Upstream: sim.Open, MaxCalls: 256, Indexed: true,
		Way: 15 * time.Millisecond, ACSTime: 300 * time.Millisecond, ClockError: time.Second,
	})
	w.Play()
	c := newCrowd(w)
	minute := float64(s.limits.PerMinute) / 70
	m.quiet(t, w, c, 0.8*min(float64(s.limits.PerHour)/3600, minute))
	w.Quick = s.limits.PerHour > tenThousand.PerHour
	if *simTable || !w.Quick {
		m.flood(t, w, c, 1.3*minute)
	} else {
		time.Sleep(10 * time.Minute) // the watchdog deletes the lists of what was at work
		w.Stop()
	}
	m.look(t, w, c)
	m.remove(t, w, len(c.promises))
	return m
}

// counted are the calls of storage since some were counted: what a message costs, and what
// has a line of its own.
func counted(w *sim.World, before map[sim.Site]int64) (ops, apart int64) {
	for site, n := range w.Counts() {
		switch n -= before[site]; {
		case site.Where == "acs":
		case hasItsOwnLine(site.Where):
			apart += n
		default:
			ops += n
		}
	}
	return ops, apart
}

// quiet sends what may go at once: for half a minute, or ten messages an instance, or 3,000.
func (m *measured) quiet(t *testing.T, w *sim.World, c *crowd, rate float64) {
	t.Helper()
	for n := range m.instances { // the first look at the clock and the ledger is not counted
		c.offer(t, shop, fmt.Sprintf("first %d", n), sim.Message("first", ""))
	}
	c.all.Wait()
	for w.Waiting() > 0 {
		time.Sleep(time.Minute)
	}
	time.Sleep(2 * time.Minute)
	if m.instances > m.limits.PerHour/4 { // what they have used would make others wait
		time.Sleep(time.Hour)
	}
	before, sent := w.Counts(), len(c.promises)
	length := max(30, min(rate*30, 3000), float64(min(10*m.instances, m.limits.PerHour/4))) / rate
	every(rate, time.Duration(length*float64(time.Second)), func(n int) {
		c.offer(t, shop, fmt.Sprintf("quiet %d", n), sim.Message(strconv.Itoa(n), ""))
	})
	c.all.Wait()
	messages := len(c.promises) - sent
	if waited := waitedOf(c.promises[sent:]); waited > 0 {
		t.Logf("%d of %d messages of the quiet time waited", waited, messages)
	}
	ops, apart := counted(w, before)
	m.direct, m.apart[0] = float64(ops)/float64(messages), float64(apart)/float64(messages)
	for site, n := range w.Counts() {
		if n = (n - before[site]) * 1000 / int64(messages); n > 0 {
			m.sites[site] = int(n)
		}
	}
}

// waitedOf is how many were told that they wait.
func waitedOf(promises []sim.Promise) (waited int) {
	for _, p := range promises {
		if !p.Expected.IsZero() {
			waited++
		}
	}
	return waited
}

// every calls f so often a second, in groups a tenth of a second apart.
func every(rate float64, length time.Duration, f func(n int)) {
	begun, n := time.Now(), 0
	for time.Since(begun) < length {
		for ; float64(n) < time.Since(begun).Seconds()*rate; n++ {
			f(n)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// flood offers more than may go, so that nearly all of it waits.
func (m *measured) flood(t *testing.T, w *sim.World, c *crowd, rate float64) {
	t.Helper()
	var hottest atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for last := w.Hottest(); ; {
			time.Sleep(time.Minute)
			now := w.Hottest()
			for row, n := range now {
				hottest.Store(max(hottest.Load(), n-last[row]))
			}
			if last = now; w.Stopped() {
				return
			}
		}
	}()
	before, promised, arrived := w.Counts(), len(c.promises), len(w.ACS.Arrivals())
	begun := time.Now()
	every(rate, m.overload(), func(n int) { c.offer(t, shop, fmt.Sprintf("flood %d", n), sim.Message(fmt.Sprintf("w%d", n), "")) })
	arrivals := len(w.ACS.Arrivals()) - arrived
	m.used = float64(arrivals) / m.allowed(time.Since(begun))
	c.all.Wait()
	drained := time.Now()
	for w.Waiting() > 0 && time.Since(drained) < 30*time.Hour {
		time.Sleep(time.Minute)
	}
	time.Sleep(10 * time.Minute)
	w.Stop()
	<-done
	ops, apart := counted(w, before)
	all, waited := len(c.promises)-promised, waitedOf(c.promises[promised:])
	if waited > 0 { // those that went at once cost what they cost in the quiet time
		m.waiting = (float64(ops) - m.direct*float64(all-waited)) / float64(waited)
	}
	m.apart[1] = float64(apart) / float64(all)
	m.hottest = float64(hottest.Load()) / 60
}

// look lists what is wrong.
func (m *measured) look(t *testing.T, w *sim.World, c *crowd) {
	t.Helper()
	states, faults := w.Ends(t.Context(), c.promises)
	m.faults = slices.Concat(faults, w.Over())
	if states[record.Accepted] != len(c.promises) {
		m.faults = append(m.faults, fmt.Sprintf("ends %v of %d", states, len(c.promises)))
	}
	if doubled, _ := w.Doubled(); len(doubled) > 0 {
		m.faults = append(m.faults, fmt.Sprintf("sent twice: %d", len(doubled)))
	}
	if len(c.refused) > 0 {
		m.faults = append(m.faults, fmt.Sprintf("refused: %v", c.refused))
	}
}

// remove lets the clean-up remove all messages when their time is over, and counts that: what
// it deletes, and what it lists. It lists each record eight times, in pages of a thousand.
func (m *measured) remove(t *testing.T, w *sim.World, messages int) {
	t.Helper()
	time.Sleep(record.DefaultHistory)
	before := w.Counts()
	for hour := 0; w.Records() > 0 && hour < 200; hour++ {
		if err := w.Any().CleanUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
	}
	var ops int64
	for site, n := range w.Counts() {
		if site.Op == mem.Delete || site.Op == mem.Transact {
			ops += n - before[site]
		}
	}
	if left := w.Records(); left > 0 {
		m.faults = append(m.faults, fmt.Sprintf("%d records are left", left))
	}
	const listed = 8. / 1000
	m.removal = float64(ops)/float64(messages) + listed
	m.direct += m.removal
	if m.waiting > 0 {
		m.waiting += m.removal
	}
}

// allowed is how many calls the limits allow in a time that begins with some of
// them used by the quiet time.
func (m *measured) allowed(length time.Duration) float64 {
	widened := func(w time.Duration) float64 { return (w + quota.MaxAge + 2*quota.ClockError).Seconds() }
	minute := float64(m.limits.PerMinute) * length.Seconds() / widened(time.Minute)
	return min(minute, float64(m.limits.PerHour)*max(1, length.Hours()))
}

package gateway_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"text/tabwriter"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/gateway/sim"
)

var simTable = flag.Bool("sim.table", false, "print how costs grow with instances and limits; takes a quarter of an hour")

// scale is one row of the table: so many instances at such limits.
type scale struct {
	instances int
	limits    quota.Limits
	length    time.Duration // of the overload
}

var (
	hundred         = quota.CustomDomainSend
	tenThousand     = quota.Limits{PerMinute: 300, PerHour: 10_000}
	hundredThousand = quota.Limits{PerMinute: 2500, PerHour: 100_000}
	twoMillion      = quota.Limits{PerMinute: 40_000, PerHour: 2_000_000}
)

// measured is what a row costs.
type measured struct {
	scale
	direct  float64 // table operations a message that is sent at once
	waiting float64 // storage operations a message that waits
	hottest float64 // conditional writes a second on one row of the ledger, in the busiest minute
	used    float64 // part of what the limits allow, while messages wait
	faults  []string
}

// Costs do not grow with the number of instances or the size of the limits.
func TestSimScale(t *testing.T) {
	t.Parallel()
	long(t)
	rows := []scale{
		{1, tenThousand, 10 * time.Minute}, {10, tenThousand, 10 * time.Minute}, {100, hundredThousand, 3 * time.Minute},
		{100, twoMillion, time.Minute},
	}
	if *simTable {
		rows = nil
		for _, limits := range []quota.Limits{hundred, tenThousand, hundredThousand, twoMillion} {
			for _, instances := range []int{1, 10, 100, 200} {
				length := time.Hour
				if limits == twoMillion && instances != 100 {
					length = 5 * time.Minute
				}
				rows = append(rows, scale{instances, limits, length})
			}
		}
	}
	var all []measured
	for _, s := range rows {
		t.Run(fmt.Sprintf("%d an hour, %d instances", s.limits.PerHour, s.instances), func(t *testing.T) {
			var m measured
			synctest.Test(t, func(t *testing.T) { m = s.run(t) })
			m.judge(t)
			all = append(all, m)
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
		{"table operations a direct message", m.direct, 3.5}, {"storage operations a message that waits", m.waiting, 10},
		{"conditional writes a second on one row", m.hottest, 20}, {"unused part of the limit", 1 - m.used, 0.05},
	} {
		// Where messages are few, they have nobody to share the ledger's writes with.
		if few := m.limits != twoMillion || m.instances > 100; few && strings.Contains(goal.what, "operations") {
			continue
		}
		if goal.value > goal.most {
			t.Errorf("%s: %.2f, at most %.2f", goal.what, goal.value, goal.most)
		}
	}
}

func printTable(all []measured) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "limit an hour\tinstances\tops direct\tops waiting\tCAS/s hottest row\tused\t")
	for _, m := range all {
		fmt.Fprintf(w, "%d\t%d\t%.2f\t%.2f\t%.1f\t%.1f %%\t\n", m.limits.PerHour, m.instances, m.direct, m.waiting, m.hottest, 100*m.used)
	}
	_ = w.Flush() // to a terminal
}

func (s scale) run(t *testing.T) measured {
	t.Helper()
	m := measured{scale: s}
	w := newWorld(t, sim.Config{
		Seed: 1, Instances: s.instances, Limits: s.limits, Upstream: sim.Open, Quick: s.limits.PerHour > tenThousand.PerHour,
		Way: 15 * time.Millisecond, ACSTime: 300 * time.Millisecond, ClockError: time.Second,
	})
	w.Play()
	c := newCrowd(w)
	minute := float64(s.limits.PerMinute) / 70
	rate := 0.8 * min(float64(s.limits.PerHour)/3600, minute)
	quiet := time.Duration(max(30, rate*30) / rate * float64(time.Second))
	m.direct = s.quiet(t, w, c, rate, quiet)
	m.flood(t, w, c, 1.3*minute)
	return m
}

// quiet sends what may go at once, and returns the table operations of a message.
func (s scale) quiet(t *testing.T, w *sim.World, c *crowd, rate float64, length time.Duration) float64 {
	t.Helper()
	for range s.instances { // the first look at the clock and the ledger is not counted
		c.offer(t, shop, "", sim.Message("first", ""))
	}
	c.all.Wait()
	for w.Waiting() > 0 {
		time.Sleep(time.Minute)
	}
	time.Sleep(2 * time.Minute)
	if s.instances > s.limits.PerHour/4 { // what they have used would make others wait
		time.Sleep(time.Hour)
	}
	before, sent := w.Operations(), len(c.promises)
	every(rate, length, func(n int) { c.offer(t, shop, "", sim.Message(strconv.Itoa(n), "")) })
	c.all.Wait()
	waited := 0
	for _, p := range c.promises[sent:] {
		if !p.Expected.IsZero() {
			waited++
		}
	}
	if waited > 0 {
		t.Logf("%d of %d messages of the quiet time waited", waited, len(c.promises)-sent)
	}
	after := w.Operations()
	ops := after["records"] - before["records"] + after["ledger"] - before["ledger"]
	return float64(ops) / float64(len(c.promises)-sent)
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
	before, promised, arrived := w.Operations(), len(c.promises), len(w.ACS.Arrivals())
	begun := time.Now()
	every(rate, m.length, func(n int) { c.offer(t, shop, "", sim.Message(fmt.Sprintf("w%d", n), "")) })
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
	after := w.Operations()
	var ops int64
	for where, n := range after {
		if where != "acs" && where != "links" && where != "files" {
			ops += n - before[where]
		}
	}
	waited := 0
	for _, p := range c.promises[promised:] {
		if !p.Expected.IsZero() {
			waited++
		}
	}
	all := len(c.promises) - promised
	if waited > 0 { // those that went at once cost what they cost in the quiet time
		m.waiting = (float64(ops) - m.direct*float64(all-waited)) / float64(waited)
	}
	m.hottest = float64(hottest.Load()) / 60
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

// allowed is how many calls the limits allow in a time that begins with some of
// them used by the quiet time.
func (m *measured) allowed(length time.Duration) float64 {
	widened := func(w time.Duration) float64 { return (w + quota.MaxAge + 2*quota.ClockError).Seconds() }
	minute := float64(m.limits.PerMinute) * length.Seconds() / widened(time.Minute)
	return min(minute, float64(m.limits.PerHour)*max(1, length.Hours()))
}

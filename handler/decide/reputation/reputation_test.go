package reputation_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/posthorn/posthorn/handler/decide/reputation"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// list is a Pauser that keeps whom it was told of, and the reason.
type list struct {
	sync.Mutex
	paused map[string]string
	err    error
}

func (l *list) Suspend(_ context.Context, name, reason string) error {
	l.Lock()
	defer l.Unlock()
	if l.err != nil {
		return l.err
	}
	if l.paused == nil {
		l.paused = map[string]string{}
	}
	l.paused[name] = reason
	return nil
}

// town is a deployment of some processes over one table.
type town struct {
	callers, hooks list
	clock          time.Time
	counts         mem.Counts
	fault          mem.Fault
	log            bytes.Buffer
	processes      []*reputation.Watch
}

func newTown(processes, percent int) *town {
	o := &town{clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	table := mem.NewTable(func() time.Time { return o.clock }, o.counts.Plan(func(mem.Op, string) mem.Fault { return o.fault }))
	for range processes {
		o.processes = append(o.processes, reputation.New(reputation.Config{
			Table: table, Callers: &o.callers, Hooks: &o.hooks, Percent: percent,
			Now: func() time.Time { return o.clock }, Log: slog.New(slog.NewTextHandler(&o.log, nil)),
		}))
	}
	return o
}

// note lets n messages end, the i-th at process i, as far apart as pause.
func (o *town) note(n int, outcome reputation.Outcome, pause time.Duration, hook string) {
	for i := range n {
		o.processes[i%len(o.processes)].CountOutcome(context.Background(), "shop", hook, outcome)
		o.clock = o.clock.Add(pause)
	}
}

func TestWhoIsPaused(t *testing.T) {
	t.Parallel()
	const s = time.Second
	for _, c := range []struct {
		name      string
		percent   int
		processes int
		hook      string
		play      func(o *town)
		callers   bool
		hooks     bool
	}{
		{"nobody, when all is taken", 5, 1, "", func(o *town) { o.note(1000, reputation.Taken, s, "") }, false, false},
		{"nobody, for too few to say", 5, 1, "", func(o *town) { o.note(19, reputation.Refused, s, "") }, false, false},
		{"who is refused", 5, 1, "", func(o *town) { o.note(20, reputation.Refused, s, "") }, true, false},
		{"whose messages are dropped", 5, 1, "", func(o *town) { o.note(30, reputation.Taken, s, ""); o.note(20, reputation.Dropped, s, "") }, true, false},
		{"who is just below the part", 5, 1, "", func(o *town) { o.note(400, reputation.Taken, s, ""); o.note(21, reputation.Refused, s, "") }, false, false},
		{"who is just above it", 5, 1, "", func(o *town) { o.note(390, reputation.Taken, s, ""); o.note(21, reputation.Refused, s, "") }, true, false},
		{"nobody, where the setting is off", 0, 1, "", func(o *town) { o.note(500, reputation.Refused, s, "") }, false, false},
		{"the hook and not its caller", 5, 1, "", func(o *town) { o.note(20, reputation.Refused, s, "contact") }, false, true},
		{"whom four processes have seen a part of", 5, 4, "", func(o *town) { o.note(40, reputation.Refused, s, "") }, true, false},
		{"nobody, when it was on other days", 5, 1, "", func(o *town) { o.note(200, reputation.Refused, 3*time.Hour, "") }, false, false},
		{"who is refused more in a second than is written", 5, 1, "", func(o *town) { o.note(50, reputation.Refused, s/10, "") }, true, false},
		{"who was refused all in one moment, with the next message", 5, 1, "", func(o *town) {
			o.note(50, reputation.Refused, 0, "")
			o.clock = o.clock.Add(s)
			o.note(1, reputation.Taken, 0, "")
		}, true, false},
		{"nobody, when the clock was set back by a year", 5, 1, "", func(o *town) {
			o.note(15, reputation.Refused, s, "")
			o.clock = o.clock.AddDate(-1, 0, 0)
			o.note(15, reputation.Refused, s, "")
		}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := newTown(c.processes, c.percent)
			c.play(o)
			if got := len(o.callers.paused) > 0; got != c.callers {
				t.Errorf("callers %v", o.callers.paused)
			}
			if got := len(o.hooks.paused) > 0; got != c.hooks {
				t.Errorf("hooks %v", o.hooks.paused)
			}
			if (c.callers || c.hooks) != strings.Contains(o.log.String(), "ACS refuses or drops too many") {
				t.Error(o.log.String())
			}
		})
	}
}

// Who goes on after a pause is judged by what follows it, not once more by what went before.
func TestTheCountBeginsAnewWithAPause(t *testing.T) {
	t.Parallel()
	o := newTown(1, 5)
	o.note(20, reputation.Refused, time.Second, "")
	if want := "ACS refused or dropped 20 of its last 20 messages, more than 5 percent."; o.callers.paused["shop"] != want {
		t.Fatalf("%q", o.callers.paused["shop"])
	}
	o.callers.paused = nil
	o.note(19, reputation.Refused, time.Second, "")
	if o.callers.paused != nil {
		t.Error("it was paused for what it was paused for before")
	}
	o.note(1, reputation.Refused, time.Second, "")
	if o.callers.paused == nil {
		t.Error("it was not paused again")
	}
}

// What is taken costs nothing, and a flood of refusals is written once a second.
func TestWhatCountingCosts(t *testing.T) {
	t.Parallel()
	o := newTown(1, 5)
	o.note(10_000, reputation.Taken, time.Millisecond, "")
	if n := o.counts.Total(mem.Get, mem.Insert, mem.Replace); n != 0 {
		t.Errorf("what was taken cost %d operations", n)
	}
	o.note(3000, reputation.Refused, time.Millisecond, "")
	// One write a second, each after a read; the pauses add a second pair.
	if n := o.counts.Total(mem.Get, mem.Insert, mem.Replace); n > 4*4 {
		t.Errorf("3 s of refusals cost %d operations", n)
	}
}

// Storage that fails, and lists that cannot be written, stop nobody, and are logged; the
// next refusal tries again.
func TestAFailureStopsNobody(t *testing.T) {
	t.Parallel()
	o := newTown(1, 5)
	o.fault = mem.Fault{Outcome: mem.Refused}
	o.note(20, reputation.Refused, time.Second, "")
	if o.callers.paused != nil || !strings.Contains(o.log.String(), "could not be counted") {
		t.Errorf("%v, %s", o.callers.paused, &o.log)
	}
	o.fault = mem.Fault{}
	o.callers.err = errors.New("the list is away")
	o.note(1, reputation.Refused, time.Second, "") // with what could not be written before
	o.callers.err = nil
	o.note(1, reputation.Refused, time.Second, "")
	if o.callers.paused == nil {
		t.Error("it was never paused")
	}
}

// A caller that is paused has earned it, and a caller that has earned it is paused: with one process
// that has time to write, the count is exact.
func TestTheCountIsExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		percent := rapid.IntRange(1, 100).Draw(t, "percent")
		o := newTown(1, percent)
		sent, bad, earned := 0, 0, false
		for range rapid.IntRange(1, 120).Draw(t, "messages") {
			outcome := rapid.SampledFrom([]reputation.Outcome{reputation.Taken, reputation.Refused, reputation.Dropped}).Draw(t, "outcome")
			if outcome != reputation.Dropped {
				sent++
			}
			if outcome != reputation.Taken {
				bad++
				earned = bad >= reputation.Least && bad*100 > percent*sent
			}
			o.note(1, outcome, time.Second, "")
			if paused := o.callers.paused != nil; paused != earned {
				t.Fatalf("%d of %d, %d percent: paused %v", bad, sent, percent, paused)
			}
			if earned {
				return
			}
		}
	})
}

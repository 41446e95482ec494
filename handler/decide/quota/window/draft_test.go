package window

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
)

// draft is one of a ledger of 100 an hour, at a time.
func draft(s State, at Instant) *Draft {
	local := at.Time()
	return New(s, 0, Terms{Limits: Limits{PerMinute: 30, PerHour: 100}, CallTime: time.Minute}, Reading{Date: at, Sent: local, Heard: local}, local)
}

var shop = Call{Caller: "shop", Class: Normal, Cost: 1}

func joined(t *testing.T, d *Draft, c Call, due Instant) Position {
	t.Helper()
	p, err := d.Join(c, 0, due.Time(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A line that waits for a time is looked at when the first of its messages is due, in
// whatever order they joined.
func TestALaterLineIsLookedAtWhenItsFirstIsDue(t *testing.T) {
	t.Parallel()
	for name, minutes := range map[string][]int{"the first first": {5, 9}, "the first last": {9, 5}, "one alone": {5}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := draft(State{}, begin)
			for _, m := range minutes {
				joined(t, d, shop, begin+Instant(m)*60*second)
			}
			if next := d.nextDue(d.queue(0)); next != begin+300*second {
				t.Errorf("it is looked at at %d", next-begin)
			}
			if o := draft(d.State, begin+300*second).Open(0, "a", false); !o.OK || len(o.Lines) != 1 {
				t.Errorf("when it is due: %+v", o)
			}
		})
	}
}

// What a dispatcher has looked for in vain is waited for: it is on its way into the table.
func TestALaterMessageThatIsNotThereYetIsWaitedFor(t *testing.T) {
	t.Parallel()
	d := draft(State{}, begin)
	joined(t, d, shop, begin+5*second)
	d = draft(d.State, begin+2*second)
	d.queue(0).Dispatcher = "a"
	w := Want{Line: Line{Normal, "shop", true}, Complete: true, Scheduled: 1, NextDue: (begin + 60*second).Time()}
	if _, next, err := d.Take(0, "a", []Want{w}); err != nil || !next.Equal((begin + 5*second).Time()) {
		t.Errorf("next %v, %v", next, err)
	}
}

func TestWhatIsPromisedToACappedCaller(t *testing.T) {
	t.Parallel()
	capped := shop
	capped.Cap = 3 // of 100
	part := capped
	part.Caller, part.Cap, part.WholeCap = "shop/contact", 0, 3
	for name, c := range map[string]struct {
		call  Call
		used  int
		joins int
		want  time.Duration // from the beginning, a step's
	}{
		"under its cap":             {capped, 2, 1, 0},
		"at its cap":                {capped, 3, 1, 65 * time.Minute},
		"as many as leave":          {capped, 3, 3, 65 * time.Minute},
		"a round later":             {capped, 3, 4, 130 * time.Minute},
		"two rounds later":          {capped, 3, 7, 195 * time.Minute},
		"none used, and a full cap": {capped, 0, 4, 65 * time.Minute},
		"a part of a capped caller": {part, 3, 4, 130 * time.Minute},
		"no cap":                    {shop, 3, 7, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := draft(State{}, begin)
			for range c.used {
				if _, err := d.Reserve(c.call); err != nil {
					t.Fatal(err)
				}
			}
			var last Position
			for range c.joins {
				last = joined(t, d, c.call, 0)
			}
			if got := last.Expected.Sub(begin.Time()); got != c.want {
				t.Errorf("expected after %v, want %v", got, c.want)
			}
		})
	}
}

// Callers without a share divide what the shares leave.
func TestHowCallersDivideALimit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		shares map[string]int
		other  float64
	}{
		"all alike":                    {map[string]int{"a": 0, "b": 0}, 50},
		"one has a share":              {map[string]int{"a": 40, "b": 0, "c": 0}, 30},
		"nobody without":               {map[string]int{"a": 40}, 60},
		"the shares leave nothing":     {map[string]int{"a": 60, "b": 40, "c": 0}, 1},
		"more is shared than there is": {map[string]int{"a": 90, "b": 90, "c": 0, "d": 0}, 0.5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if w := split(c.shares); w.of(Call{}) != c.other || w.of(Call{Share: 40}) != 40 {
				t.Errorf("without a share %v, want %v", w.of(Call{}), c.other)
			}
		})
	}
}

func TestWhatRowsSayTogether(t *testing.T) {
	t.Parallel()
	at := begin + 7200*second
	late, early := CallerUsage{}, CallerUsage{}
	late.add("shop", at, 2)
	early.add("shop", begin, 3)
	early.add("office", at, 4)
	q := func(shard, waiting int) Queue {
		return Queue{Shard: shard, Dispatcher: "a", LastTicket: 7, Lines: []lineState{{Line: Line{Normal, "shop", false}, Waiting: waiting}}}
	}
	all := Merge([]State{
		{Callers: late, Queues: []Queue{q(2, 1), q(1, 0)}, Health: Health{RampFrom: at, RampUsed: 2, Lost: 10, LostAt: begin}},
		{
			Callers: early, Queues: []Queue{q(0, 5)}, Pause: &problem.Pause{Reason: "holiday"},
			Health: Health{BackoffUntil: at, Probing: true, ProbeAt: at, Ramp: true, RampFrom: begin, RampUsed: 3, Repeats: 2, Fails: 1, Lost: 250, LostAt: at},
		},
	})
	if want := (Health{
		BackoffUntil: at, Probing: true, Ramp: true, RampFrom: at, RampUsed: 5, Repeats: 2, Fails: 1, Lost: 250, LostAt: at,
	}); !reflect.DeepEqual(all.Health, want) {
		t.Errorf("health %+v", all.Health)
	}
	if all.Callers.used("shop", at) != 2 || all.Callers.used("shop", begin) != 5 || all.Callers.used("office", at) != 4 {
		t.Errorf("callers %+v", all.Callers)
	}
	if len(all.Queues) != 2 || all.Queues[0].Shard != 0 || all.Queues[1].Shard != 2 || all.Queues[0].Dispatcher != "" || all.Queues[0].LastTicket != 7 {
		t.Errorf("queues %+v", all.Queues)
	}
	if p := all.Part(0, 2); len(p.Queues) != 2 || p.Pause == nil {
		t.Errorf("the first of two rows: %+v", p)
	}
	if p := all.Part(1, 2); len(p.Queues) != 0 || p.Pause == nil {
		t.Errorf("the second of two rows: %+v", p)
	}
	if p, o := all.Part(0, 2), all.Part(1, 2); p.Callers.used("shop", begin)+o.Callers.used("shop", begin) != 5 {
		t.Errorf("of the parts %v and %v", p.Callers, o.Callers)
	}
}

// A ramp that one row is in goes on when limits change.
func TestARampOutlivesAMove(t *testing.T) {
	t.Parallel()
	s := Merge([]State{{Health: Health{RampFrom: begin, RampUsed: 30}}, {}}).Part(0, 1)
	d := draft(s, begin+10*second)
	if _, err := d.Reserve(shop); !problem.Is(err, problem.OverQuota) {
		t.Errorf("in a ramp that is used up: %v", err)
	}
	if _, err := draft(s, begin+60*second).Reserve(shop); err != nil {
		t.Errorf("after the ramp: %v", err)
	}
}

func TestADraftLeavesItsStateAlone(t *testing.T) {
	t.Parallel()
	d := draft(State{}, begin)
	if _, err := d.Reserve(shop); err != nil {
		t.Fatal(err)
	}
	joined(t, d, shop, begin+5*second)
	d.Health.backOffSender(1, begin, time.Second)
	before := d.Clone()
	e := draft(d.State, begin+6*second)
	_, err := e.Reserve(Call{Caller: "shop", Class: High, Cost: 1, Sender: 1})
	joined(t, e, shop, 0)
	e.Leave(0, Line{Normal, "shop", true}, 0)
	e.Open(0, "a", false)
	if err = errors.Join(err, e.Rest(0, "a", time.Time{})); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(before, d.State) {
		t.Errorf("it was\n%+v\nand is\n%+v", before, d.State)
	}
	if !e.Changed || reflect.DeepEqual(before, e.State) {
		t.Error("the draft has not changed")
	}
}

package record_test

import (
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// stores are two processes' stores of records over one table; fault is what befalls the next
// calls of the kind that it names, so many times.
type stores struct {
	ours, theirs *record.Store
	lasting      *mem.Table
	days         *mem.Series
	every        time.Duration // how long a call takes that nothing befalls
	op           mem.Op
	fault        mem.Fault
	times, calls atomic.Int64
	then         func() // is called once such a call has its fault; may be nil
}

func newStores() *stores {
	b := &stores{}
	b.times.Store(always)
	plan := func(op mem.Op, _ string) mem.Fault {
		b.calls.Add(1)
		if op != b.op || b.times.Add(-1) < 0 {
			return mem.Fault{Before: b.every}
		}
		f := b.fault
		if b.then != nil {
			b.then()
		}
		return f
	}
	b.lasting, b.days = mem.NewTable(time.Now, plan), mem.NewSeries(time.Now, plan)
	tables := record.Tables{Lasting: b.lasting, Days: b.days, Day: func(date string) record.Table { return b.days.Table(date) }}
	var ids atomic.Int64
	newID := func() string { return strconv.FormatInt(ids.Add(1), 10) }
	b.ours = record.New(tables, time.Now, newID)
	// The clock of the other process is wrong by hours: only its pace is used.
	b.theirs = record.New(tables, func() time.Time { return time.Now().Add(-7 * time.Hour) }, newID)
	return b
}

func (b *stores) failing(op mem.Op, o mem.Outcome) {
	b.op, b.fault = op, mem.Fault{Outcome: o}
	b.times.Store(always)
}

const always = 1 << 40

func claim(id, fingerprint string) record.Record {
	return record.Record{ID: id, Caller: "shop", Fingerprint: fingerprint}
}

func mustClaim(t *testing.T, b *record.Store, r record.Record) *record.Record {
	t.Helper()
	rec, replay, err := b.Claim(t.Context(), r)
	if err != nil || replay {
		t.Fatalf("claim: replay %t, %v", replay, err)
	}
	return rec
}

func state(t *testing.T, b *record.Store, id string) record.State {
	t.Helper()
	r, err := b.Find(t.Context(), "shop", id)
	if problem.Is(err, problem.NotFound) {
		return "none"
	}
	if err != nil {
		t.Fatal(err)
	}
	return r.State
}

func TestAMessageGoesItsWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStores()
		c := claim("1", "f")
		c.Tags = []mail.Tag{{Name: "order", Value: "4711"}}
		c.Moved = []mail.Link{{Index: 2, Name: "a.pdf", Size: 7, URL: "https://secret", Expires: time.Now().UTC()}}
		r := mustClaim(t, b.ours, c)
		if got := state(t, b.theirs, "1"); got != record.Claimed {
			t.Errorf("state is %s", got)
		}
		if err := b.ours.MarkSending(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if err := b.ours.Finish(t.Context(), r, record.Accepted, nil); err != nil {
			t.Fatal(err)
		}
		found, err := b.theirs.Find(t.Context(), "shop", "1")
		if err != nil {
			t.Fatal(err)
		}
		if found.State != record.Accepted || found.OperationID != record.OperationID("shop", "1") || len(found.Tags) != 1 || found.Tags[0].Value != "4711" {
			t.Errorf("found %+v", found)
		}
		if len(found.Moved) != 1 || found.Moved[0].Name != "a.pdf" || found.Moved[0].URL != "" {
			t.Errorf("moved is %+v, and must hold no address", found.Moved)
		}
	})
}

// HTTP's Date is cut to the second; the times of a record still go forward.
func TestTimesGoForward(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStores()
		mustClaim(t, b.ours, claim("0", "f"))
		time.Sleep(700 * time.Millisecond)
		r := mustClaim(t, b.ours, claim("1", "f"))
		time.Sleep(10 * time.Millisecond)
		must(t, b.ours.Finish(t.Context(), r, record.Accepted, nil))
		if r.Updated.Before(r.Created) {
			t.Errorf("updated %s, created %s", r.Updated, r.Created)
		}
	})
}

func TestASecondRequestWithTheSameID(t *testing.T) {
	t.Parallel()
	type step func(*testing.T, *stores, *record.Record)
	sending := func(t *testing.T, b *stores, r *record.Record) { must(t, b.ours.MarkSending(t.Context(), r)) }
	waits := func(t *testing.T, b *stores, r *record.Record) {
		r.Spooled = store.Key{Partition: "line", Row: "place"}
		must(t, b.ours.MarkWaiting(t.Context(), r))
	}
	doubt := func(t *testing.T, b *stores, r *record.Record) { must(t, b.ours.MarkResolving(t.Context(), r)) }
	finish := func(s record.State) step {
		return func(t *testing.T, b *stores, r *record.Record) {
			must(t, b.ours.Finish(t.Context(), r, s, &record.Failure{Kind: "k", Detail: "d", Upstream: "u"}))
		}
	}
	refuse := func(t *testing.T, b *stores, r *record.Record) {
		must(t, b.ours.Refuse(t.Context(), r, &record.Failure{Kind: "k", Detail: "d"}))
		if there, err := b.theirs.Find(t.Context(), r.Caller, r.ID); err != nil || there.State != record.Failed || there.Failure == nil || there.Failure.Detail != "d" {
			t.Errorf("whoever asks reads %+v, %v", there, err)
		}
	}
	wait := func(d time.Duration) step { return func(*testing.T, *stores, *record.Record) { time.Sleep(d) } }
	const replay, claimed = "replay", "claimed"
	for _, c := range []struct {
		name        string
		steps       []step
		fingerprint string
		want        string // a problem's slug, or replay, or claimed
		left        record.State
	}{
		{"while the first is claimed", nil, "f", replay, record.Claimed},
		{"while the first is sending", []step{sending}, "f", replay, record.Sending},
		{"just before the first's time is over", []step{wait(record.OwnerLife - 3*time.Second)}, "f", replay, record.Claimed},
		{"after a claimed owner's time", []step{wait(record.OwnerLife + 2*time.Second)}, "f", claimed, record.Claimed},
		{"just before a sending owner's time is over", []step{wait(time.Minute), sending, wait(record.FenceLife - 3*time.Second)}, "f", replay, record.Sending},
		{"after a sending owner's time", []step{wait(time.Minute), sending, wait(record.FenceLife + 2*time.Second)}, "f", claimed, record.Unknown},
		{"while it waits", []step{waits}, "f", replay, record.Waiting},
		{"while it waits, after days", []step{waits, wait(100 * time.Hour)}, "f", replay, record.Waiting},
		{"while what waited is sent", []step{waits, sending}, "f", replay, record.Sending},
		{"while what waited is in doubt", []step{waits, sending, doubt}, "f", replay, record.Unknown},
		{"after what waited was cancelled", []step{waits, finish(record.Cancelled)}, "f", replay, record.Cancelled},
		{"for another message, waiting", []step{waits}, "g", "key-reused", record.Waiting},
		{"after acceptance", []step{sending, finish(record.Accepted)}, "f", replay, record.Accepted},
		{"after failure", []step{sending, finish(record.Failed)}, "f", replay, record.Failed},
		{"after an unknown end", []step{sending, finish(record.Unknown)}, "f", replay, record.Unknown},
		{"for another message, in progress", nil, "g", "key-reused", record.Claimed},
		{"for another message, ended", []step{finish(record.Accepted)}, "g", "key-reused", record.Accepted},
		{"after a refusal", []step{refuse}, "f", claimed, record.Claimed},
		{"for another message, after a refusal", []step{refuse}, "g", claimed, record.Claimed},
		{"after a refusal of what waited", []step{waits, refuse}, "f", claimed, record.Claimed},
		{"after a release", []step{func(t *testing.T, b *stores, r *record.Record) { must(t, b.ours.Release(t.Context(), r)) }}, "g", claimed, record.Claimed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newStores()
				r := mustClaim(t, b.ours, claim("1", "f"))
				for _, s := range c.steps {
					s(t, b, r)
				}
				rec, replayed, err := b.theirs.Claim(t.Context(), claim("1", c.fingerprint))
				got := claimed
				switch {
				case err != nil:
					got = problem.Of(err).Kind.Slug()
				case replayed:
					got = replay
				}
				if got != c.want {
					t.Errorf("got %s (%v), want %s", got, err, c.want)
				}
				if got == replay && rec.State != c.left {
					t.Errorf("replayed state is %s, want %s", rec.State, c.left)
				}
				if s := state(t, b.ours, "1"); s != c.left {
					t.Errorf("state left is %s, want %s", s, c.left)
				}
			})
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestALostAnswerIsKnownAsOurs(t *testing.T) {
	t.Parallel()
	for _, outcome := range []mem.Outcome{mem.Lost, mem.Repeated} {
		t.Run("insert "+strconv.Itoa(int(outcome)), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newStores()
				b.failing(mem.Insert, outcome)
				r := mustClaim(t, b.ours, claim("1", "f"))
				must(t, b.ours.MarkSending(t.Context(), r))
				if s := state(t, b.theirs, "1"); s != record.Sending {
					t.Errorf("state is %s", s)
				}
			})
		})
		t.Run("replace "+strconv.Itoa(int(outcome)), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newStores()
				r := mustClaim(t, b.ours, claim("1", "f"))
				b.failing(mem.Replace, outcome)
				must(t, b.ours.MarkSending(t.Context(), r))
				must(t, b.ours.Finish(t.Context(), r, record.Accepted, nil))
				if s := state(t, b.theirs, "1"); s != record.Accepted {
					t.Errorf("state is %s", s)
				}
			})
		})
	}
}

// A record that begins with the fence is known as ours by the claim that follows, if neither
// its write nor the reading back was answered.
func TestAFenceWithoutAnAnswerIsKnownByTheClaim(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStores()
		mustClaim(t, b.ours, claim("0", "f")) // the clock is known
		r := claim("1", "f")
		b.failing(mem.Insert, mem.Lost)
		b.then = func() { b.failing(mem.Get, mem.Refused) }
		if err := b.ours.MarkSending(t.Context(), &r); !problem.Is(err, problem.Unavailable) {
			t.Fatalf("got %v", err)
		}
		b.then, b.op = nil, ""
		ours := mustClaim(t, b.ours, r)
		if ours.State != record.Sending {
			t.Errorf("state is %s", ours.State)
		}
		must(t, b.ours.Finish(t.Context(), ours, record.Accepted, nil))
		if rec, replay, err := b.theirs.Claim(t.Context(), claim("1", "f")); err != nil || !replay || rec.State != record.Accepted {
			t.Errorf("another got %+v, %t, %v", rec, replay, err)
		}
	})
}

func TestAnOwnerWhoWakesTooLateCannotSend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStores()
		late := mustClaim(t, b.ours, claim("1", "f"))
		time.Sleep(record.OwnerLife + 2*time.Second)
		r := mustClaim(t, b.theirs, claim("1", "f"))
		if err := b.ours.MarkSending(t.Context(), late); !problem.Is(err, problem.Unavailable) {
			t.Errorf("the late owner got %v", err)
		}
		must(t, b.ours.Release(t.Context(), late))
		must(t, b.ours.Refuse(t.Context(), late, &record.Failure{Kind: "k"}))
		must(t, b.theirs.MarkSending(t.Context(), r))
		if s := state(t, b.ours, "1"); s != record.Sending {
			t.Errorf("state is %s", s)
		}
	})
}

// Every owner says itself until when it lives, so one with less patience is taken
// over sooner, by anyone.
func TestAnOwnerWithLittlePatienceIsTakenOverSooner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStores()
		const life = 30 * time.Second
		b.ours.Holding(life, life)
		r := mustClaim(t, b.ours, claim("1", "f"))
		time.Sleep(life - 3*time.Second)
		must(t, b.ours.MarkSending(t.Context(), r)) // which renews it
		time.Sleep(life - 3*time.Second)
		if there, replay, err := b.theirs.Claim(t.Context(), claim("1", "f")); err != nil || !replay || there.State != record.Sending {
			t.Errorf("before the owner's time was over: %+v, %v", there, err)
		}
		time.Sleep(5 * time.Second)
		if taken := mustClaim(t, b.theirs, claim("1", "f")); taken.State != record.Unknown || !taken.Resolving {
			t.Errorf("taken over as %s", taken.State)
		}
	})
}

func TestStorageOutOfReach(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		op   mem.Op
		call func(*testing.T, *stores, *record.Record) error
	}{
		{"claim", mem.Get, func(t *testing.T, b *stores, _ *record.Record) error {
			_, _, err := b.theirs.Claim(t.Context(), claim("2", "f"))
			return err
		}},
		{"claim with a refused insert", mem.Insert, func(t *testing.T, b *stores, _ *record.Record) error {
			_, _, err := b.ours.Claim(t.Context(), claim("2", "f"))
			return err
		}},
		{"fence", mem.Replace, func(t *testing.T, b *stores, r *record.Record) error { return b.ours.MarkSending(t.Context(), r) }},
		{"release", mem.Delete, func(t *testing.T, b *stores, r *record.Record) error { return b.ours.Release(t.Context(), r) }},
		{"find", mem.Get, func(t *testing.T, b *stores, _ *record.Record) error {
			_, err := b.ours.Find(t.Context(), "shop", "1")
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newStores()
				r := mustClaim(t, b.ours, claim("1", "f"))
				b.failing(c.op, mem.Refused)
				if err := c.call(t, b, r); !problem.Is(err, problem.Unavailable) {
					t.Errorf("got %v", err)
				}
				b.failing("", mem.Done)
				if s := state(t, b.ours, "1"); s != record.Claimed {
					t.Errorf("state left is %s", s)
				}
				if s := state(t, b.ours, "2"); s != "none" {
					t.Errorf("a second record is %s", s)
				}
			})
		})
	}
}

func TestACallerFindsOnlyItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStores()
		mustClaim(t, b.ours, claim("1", "f"))
		if _, err := b.ours.Find(t.Context(), "other", "1"); !problem.Is(err, problem.NotFound) {
			t.Errorf("got %v", err)
		}
		theirs := claim("1", "g")
		theirs.Caller = "other"
		mustClaim(t, b.ours, theirs)
	})
}

func TestDeadlineIsKept(t *testing.T) {
	t.Parallel()
	for name, deadline := range map[string]time.Time{
		"none":       {},
		"in seconds": time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC),
		"in a zone":  time.Date(2026, 11, 30, 12, 0, 0, 123_456_789, time.FixedZone("", 5*3600+1800)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newStores()
			c := claim("1", "f")
			c.Deadline = deadline
			mustClaim(t, b.ours, c)
			found, err := b.theirs.Find(t.Context(), "shop", "1")
			if err != nil || !found.Deadline.Equal(deadline) {
				t.Errorf("deadline is %s, %v", found.Deadline, err)
			}
		})
	}
}

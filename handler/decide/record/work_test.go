package record_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// begin claims messages, and notes that a process works on them.
func begin(t *testing.T, b *record.Store, ids ...string) (all []*record.Work) {
	t.Helper()
	for _, id := range ids {
		w := b.BeginWork(t.Context(), mustClaim(t, b, claim(id, "f")))
		must(t, w.AwaitNote(t.Context()))
		all = append(all, w)
	}
	return all
}

// left are the messages that another process is asked to look at. It says of none that
// it is over.
func (b *stores) left(t *testing.T) (ids []string) {
	t.Helper()
	must(t, b.theirs.VisitAbandoned(t.Context(), func(_ context.Context, r *record.Record) (bool, error) {
		ids = append(ids, r.ID)
		return false, nil
	}))
	slices.Sort(ids)
	return ids
}

// What a process works on is found after it has rested for a minute: all that it has
// begun, but for what has ended.
func TestLeftFindsWhatAProcessWasAt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		work func(*testing.T, *stores)
		rest time.Duration
		want []string
	}{
		{"it died", func(t *testing.T, b *stores) { begin(t, b.ours, "1", "2") }, time.Minute, []string{"1", "2"}},
		{"it rests for too short a time", func(t *testing.T, b *stores) { begin(t, b.ours, "1") }, 50 * time.Second, nil},
		{"two died", func(t *testing.T, b *stores) { begin(t, b.ours, "1"); begin(t, b.theirs, "2") }, time.Minute, []string{"1", "2"}},
		{"what has ended is not noted again", func(t *testing.T, b *stores) {
			begin(t, b.ours, "1")[0].End(false)
			begin(t, b.ours, "2")
		}, time.Minute, []string{"2"}},
		{"what was left stays noted while the process goes on", func(t *testing.T, b *stores) {
			begin(t, b.ours, "1")[0].End(true)
			time.Sleep(30 * time.Second)
			begin(t, b.ours, "2")
			time.Sleep(30 * time.Second)
		}, 0, []string{"1"}},
		{"one is released", func(t *testing.T, b *stores) {
			begin(t, b.ours, "1")
			r := mustClaim(t, b.ours, claim("2", "f"))
			must(t, b.ours.BeginWork(t.Context(), r).AwaitNote(t.Context()))
			must(t, b.ours.Release(t.Context(), r))
		}, time.Minute, []string{"1"}},
		{"one is accepted", func(t *testing.T, b *stores) {
			begin(t, b.ours, "1")
			r := mustClaim(t, b.ours, claim("2", "f"))
			must(t, b.ours.BeginWork(t.Context(), r).AwaitNote(t.Context()))
			must(t, b.ours.Finish(t.Context(), r, record.Accepted, nil))
		}, time.Minute, []string{"1"}},
		{"its row was taken away meanwhile", func(t *testing.T, b *stores) {
			r := mustClaim(t, b.ours, claim("1", "f"))
			must(t, b.ours.BeginWork(t.Context(), r).AwaitNote(t.Context()))
			must(t, b.ours.Finish(t.Context(), r, record.Accepted, nil))
			time.Sleep(time.Minute)
			if ids := b.left(t); ids != nil {
				t.Errorf("found %v", ids)
			}
			begin(t, b.ours, "2")
		}, time.Minute, []string{"2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newStores()
				c.work(t, b)
				time.Sleep(c.rest + 2*time.Second) // clocks are a second apart
				for round := range 2 {
					if got := b.left(t); !slices.Equal(got, c.want) {
						t.Errorf("round %d: found %v, want %v", round+1, got, c.want)
					}
				}
				must(t, b.theirs.VisitAbandoned(t.Context(), func(context.Context, *record.Record) (bool, error) { return true, nil }))
				if got := b.left(t); got != nil {
					t.Errorf("%v are found again", got)
				}
			})
		})
	}
}

// What befalls one write of the row is mended by another; what befalls all is told, and
// what could not be looked at is looked at again.
func TestNotesWhenStorageFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		op      mem.Op
		first   bool // of the process's notes; otherwise the second
		outcome mem.Outcome
		times   int
		refused bool
	}{
		{"the first is refused", mem.Insert, true, mem.Refused, 1, false},
		{"the first gets no answer", mem.Insert, true, mem.Lost, 1, false},
		{"the first is refused twice", mem.Insert, true, mem.Refused, 2, true},
		{"the second is refused", mem.Replace, false, mem.Refused, 1, false},
		{"the second gets no answer", mem.Replace, false, mem.Lost, 1, false},
		{"the second is repeated below", mem.Replace, false, mem.Repeated, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newStores()
				r := mustClaim(t, b.ours, claim("1", "f"))
				if !c.first {
					begin(t, b.ours, "2")
				}
				b.failing(c.op, c.outcome)
				b.times.Store(int64(c.times))
				err := b.ours.BeginWork(t.Context(), r).AwaitNote(t.Context())
				b.failing("", mem.Done)
				if problem.Is(err, problem.Unavailable) != c.refused || err != nil && !c.refused {
					t.Fatalf("got %v", err)
				}
				time.Sleep(time.Minute + 2*time.Second)
				b.failing(mem.Get, mem.Refused)
				b.times.Store(1)
				if err := b.theirs.VisitAbandoned(t.Context(), over); !c.refused && !problem.Is(err, problem.Unavailable) {
					t.Errorf("while records cannot be read: %v", err)
				}
				b.failing("", mem.Done)
				if found := slices.Contains(b.left(t), "1"); found == c.refused {
					t.Errorf("found: %t", found)
				}
			})
		})
	}
}

func over(context.Context, *record.Record) (bool, error) { return true, nil }

// Who comes while the row is being written shares the next write.
func TestManyShareANote(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStores()
		var all []*record.Record
		for n := range 100 {
			all = append(all, mustClaim(t, b.ours, claim(strconv.Itoa(n), "f")))
		}
		b.op, b.fault = mem.Replace, mem.Fault{Before: 10 * time.Millisecond}
		begin(t, b.ours, "first")
		before := b.calls.Load()
		var noted sync.WaitGroup
		for _, r := range all {
			noted.Go(func() {
				if err := b.ours.BeginWork(t.Context(), r).AwaitNote(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		noted.Wait()
		if n := b.calls.Load() - before; n > 2 {
			t.Errorf("%d writes for 100", n)
		}
	})
}

// A write that hangs keeps nobody for long.
func TestANoteThatHangsIsWrittenElsewhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStores()
		begin(t, b.ours, "1")
		r := mustClaim(t, b.ours, claim("2", "f"))
		b.op, b.fault = mem.Replace, mem.Fault{Before: time.Hour}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		must(t, b.ours.BeginWork(ctx, r).AwaitNote(ctx))
		time.Sleep(2 * time.Minute)
		if got := b.left(t); !slices.Equal(got, []string{"1", "1", "2"}) {
			t.Errorf("found %v", got)
		}
	})
}

var errEnd = errors.New("end")

// If a look at one left message fails, the error is told, and the rest is looked at.
func TestLeftGoesOnAfterAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStores()
		begin(t, b.ours, "1", "2")
		begin(t, b.theirs, "3")
		time.Sleep(time.Minute + 2*time.Second)
		var seen atomic.Int64
		err := b.theirs.VisitAbandoned(t.Context(), func(_ context.Context, r *record.Record) (bool, error) {
			seen.Add(1)
			if r.ID == "1" {
				return false, errEnd
			}
			return true, nil
		})
		if !errors.Is(err, errEnd) || seen.Load() != 3 {
			t.Errorf("looked at %d: %v", seen.Load(), err)
		}
		if got := b.left(t); !slices.Equal(got, []string{"1"}) {
			t.Errorf("then %v", got)
		}
	})
}

package spool_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// page is how many messages, or rows, one listing of Strays has.
const page = 5000

// place is what stands under one key.
type place struct{ message, row, dead bool }

var (
	nothing = place{}
	whole   = place{message: true, row: true}
	stray   = place{message: true}
	rowOnly = place{row: true} // of a message that was being taken away
	dead    = place{message: true, dead: true}
)

// fill puts down what stands in each of n places, in the order of their keys over
// three lines, and says where the strays are.
func (h *fixture) fill(t *testing.T, n int, at func(i int) place) (strays []store.Key) {
	t.Helper()
	h.InTable(0)
	small := spool.Message{Message: &mail.Message{}}
	for i := range n {
		shard := 0
		if i >= n/3 {
			shard = 1
		}
		if i >= page {
			shard = 2
		}
		s := entry(spool.Line{Shard: shard, Caller: "shop"}, start.Add(time.Duration(i)*time.Millisecond), fmt.Sprintf("%05d", i))
		p := at(i)
		if p.message {
			must(t, h.PutMessage(t.Context(), s, small))
		}
		if p.row || p.dead {
			must(t, h.InsertEntry(t.Context(), s))
		}
		if p.dead {
			must(t, h.MoveToDeadLetters(t.Context(), spool.DeadLetter{Entry: *s, At: start, Reason: "r"}))
		}
		if p == stray {
			strays = append(strays, s.Key)
		}
	}
	return strays
}

// orphans finds all orphans, and sees that nothing is left to do.
func orphans(t *testing.T, h *fixture, before time.Time, found func(context.Context, store.Key) error) error {
	t.Helper()
	next, err := h.FindOrphans(t.Context(), before, "", found)
	if next != "" {
		t.Errorf("it would go on at %q", next)
	}
	return err
}

// only gives one place something else than all the others.
func only(at int, this, others place) func(int) place {
	return func(i int) place {
		if i == at {
			return this
		}
		return others
	}
}

// A walk over rows beside a walk over messages, each a page at a time, finds every
// message without a row, and takes no message for one that has its row.
func TestStraysWhereverTheyStand(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 7))
	mixed := make([]place, 2*page+1000)
	for i := range mixed {
		mixed[i] = []place{nothing, whole, whole, whole, stray, rowOnly, rowOnly, dead}[random.IntN(8)]
	}
	for _, c := range []struct {
		name string
		n    int
		at   func(i int) place
	}{
		{"nothing at all", 0, nil},
		{"one message, no row", 1, only(0, stray, nothing)},
		{"one row, no message", 1, only(0, rowOnly, nothing)},
		{"one message and its row", 1, only(0, whole, nothing)},
		{"one that is dead", 1, only(0, dead, nothing)},
		{"a stray before the only row", 2, only(0, stray, whole)},
		{"a stray after the only row", 2, only(1, stray, whole)},
		{"a stray after a row without a message", 2, only(1, stray, rowOnly)},
		{"a message after a row without one", 2, only(1, whole, rowOnly)},
		{"a stray after a dead one", 2, only(1, stray, dead)},
		{"strays alone, a full page", page, only(-1, nothing, stray)},
		{"strays alone, one more than a page", page + 1, only(-1, nothing, stray)},
		{"no stray in a full page", page, only(-1, nothing, whole)},
		{"no stray in one more than a page", page + 1, only(-1, nothing, whole)},
		{"no stray in two full pages", 2 * page, only(-1, nothing, whole)},
		{"the last of a page is a stray", page + 1, only(page-1, stray, whole)},
		{"the first of a page is a stray", page + 2, only(page, stray, whole)},
		{"the second of a page is a stray", page + 2, only(page+1, stray, whole)},
		{"the very last is a stray, behind a full page", page + 1, only(page, stray, whole)},
		{"the last of a page has no message", page + 2, only(page-1, rowOnly, whole)},
		{"the first of a page has no message", page + 2, only(page, rowOnly, whole)},
		{"a page of rows before the only stray", page + 1, only(page, stray, rowOnly)},
		{"a page of rows before the only message", page + 1, only(page, whole, rowOnly)},
		{"two pages of rows before the only stray", 2*page + 1, only(2*page, stray, rowOnly)},
		{"two pages of rows before the only message", 2*page + 1, only(2*page, whole, rowOnly)},
		{"two pages of rows behind the only stray", 2*page + 1, only(0, stray, rowOnly)},
		{"a page of the dead, and one more, before the only stray", page + 2, only(page+1, stray, dead)},
		{"all kinds mixed", len(mixed), func(i int) place { return mixed[i] }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newFixture()
			want := h.fill(t, c.n, c.at)
			var got []store.Key
			must(t, orphans(t, h, start.Add(time.Hour), func(_ context.Context, k store.Key) error {
				got = append(got, k)
				return nil
			}))
			if !slices.Equal(got, want) {
				t.Errorf("%d strays, want %d: %.3v", len(got), len(want), got)
			}
		})
	}
}

// Only what was put down before a moment can be a stray: what is younger may be on
// the way to its row.
func TestAYoungMessageIsNoStray(t *testing.T) {
	t.Parallel()
	h := newFixture()
	strays := h.fill(t, 3, only(-1, nothing, stray))
	for i, want := range [][]store.Key{nil, strays[:1], strays[:2], strays} {
		var got []store.Key
		before := start.Add(time.Duration(i) * time.Millisecond)
		must(t, orphans(t, h, before, func(_ context.Context, k store.Key) error {
			got = append(got, k)
			return nil
		}))
		if !slices.Equal(got, want) {
			t.Errorf("before the order of message %d: %v, want %v", i, got, want)
		}
	}
}

// Whichever listing fails, no message that has its row is called a stray, and the
// failure is told.
func TestStraysWithoutStorage(t *testing.T) {
	t.Parallel()
	// The listings are those of the dead, of two pages of messages, and of seven pages of rows
	// in three lines.
	for failing := 1; ; failing++ {
		h := newFixture()
		var strays []store.Key
		lists := 0
		h.before = func(op mem.Op) mem.Outcome {
			if op == mem.List {
				if lists++; lists == failing {
					return mem.Refused
				}
			}
			return mem.Done
		}
		want := h.fill(t, page+2, func(i int) place {
			if i == 0 || i == page+1 {
				return stray
			}
			return whole
		})
		err := orphans(t, h, start.Add(time.Hour), func(_ context.Context, k store.Key) error {
			strays = append(strays, k)
			return nil
		})
		if len(strays) > len(want) || !slices.Equal(strays, want[:len(strays)]) {
			t.Errorf("with listing %d failing, strays are %v", failing, strays)
		}
		if lists < failing {
			if err != nil || len(strays) != len(want) || failing != 11 {
				t.Errorf("all of %d listings done: %v, %v", lists, strays, err)
			}
			return
		}
		if !problem.Is(err, problem.Unavailable) {
			t.Errorf("with listing %d failing: %v", failing, err)
		}
	}
}

// A stray that cannot be removed does not keep the others, and the first error is
// told, however many there are.
func TestTheFirstErrorOfAStrayIsTold(t *testing.T) {
	t.Parallel()
	first, second := errors.New("first"), errors.New("second")
	for _, c := range []struct {
		name  string
		fails []error // of three strays
		want  error
	}{
		{"none", []error{nil, nil, nil}, nil},
		{"the first", []error{first, nil, nil}, first},
		{"the last", []error{nil, nil, second}, second},
		{"two", []error{first, second, nil}, first},
		{"two with one between", []error{first, nil, second}, first},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newFixture()
			h.fill(t, 3, only(-1, nothing, stray))
			calls := 0
			err := orphans(t, h, start.Add(time.Hour), func(context.Context, store.Key) error {
				calls++
				return c.fails[calls-1]
			})
			if !errors.Is(err, c.want) || calls != 3 {
				t.Errorf("told %v after %d strays, want %v", err, calls, c.want)
			}
		})
	}
}

// A blob that no key can name is nobody's message.
func TestABlobWithAnotherNameIsNoStray(t *testing.T) {
	t.Parallel()
	h := newFixture()
	key := entry(spool.Line{}, start, "x").Key
	for _, name := range []string{"x", key.Row, key.Partition + "/", key.Partition + "/x", key.Partition + "/-x", key.Partition + "/0001", key.Partition + "/1x-x"} {
		must(t, h.blobs.Put(t.Context(), name, []byte("x")))
	}
	must(t, orphans(t, h, start.Add(time.Hour), func(_ context.Context, k store.Key) error {
		t.Errorf("a stray is %v", k)
		return nil
	}))
}

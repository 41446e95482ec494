package record_test

import (
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// A record keeps no member that says nothing. Each of the others, alone, must be
// read as it was.
func TestEachDetailAloneIsKept(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.November, 30, 12, 0, 0, 123_000_000, time.UTC)
	for _, c := range []struct {
		name string
		set  func(*record.Record)
	}{
		{"none", func(*record.Record) {}},
		{"tags", func(r *record.Record) { r.Tags = []mail.Tag{{Name: "order", Value: "7"}} }},
		{"moved attachments", func(r *record.Record) { r.Moved = []mail.Link{{Index: 1, Name: "a.pdf", Size: 7, Expires: at}} }},
		{"the row of links", func(r *record.Record) { r.Links = store.Key{Partition: "p", Row: "r"} }},
		{"links that others share", func(r *record.Record) { r.Shared = true }},
		{"the hook by which it came", func(r *record.Record) { r.Hook = "grafana" }},
		{"a failure", func(r *record.Record) { r.Failure = &record.Failure{Kind: "k", Detail: "d", Upstream: "u"} }},
		{"a place in line", func(r *record.Record) { r.Spooled = store.Key{Partition: "p", Row: "r"} }},
		{"an expected time", func(r *record.Record) { r.Expected = at }},
		{"a deadline", func(r *record.Record) { r.Deadline = at }},
		{"a doubt", func(r *record.Record) { r.State, r.Resolving = record.Unknown, true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newStores()
				r := mustClaim(t, b.ours, claim("1", "f"))
				c.set(r)
				if r.State == record.Unknown {
					must(t, b.ours.MarkResolving(t.Context(), r))
				} else {
					must(t, b.ours.MarkSending(t.Context(), r))
				}
				found, err := b.theirs.Read(t.Context(), "shop", "1")
				must(t, err)
				back, err := record.Restore(r.Snapshot(), r.Version())
				must(t, err)
				found, err = record.Restore(found.Snapshot(), found.Version())
				must(t, err)
				if !reflect.DeepEqual(found, back) {
					t.Errorf("read as %+v, want %+v", found, back)
				}
			})
		})
	}
}

// A request that meets another under way is told when to ask again.
func TestARequestUnderWayTellsWhenToComeAgain(t *testing.T) {
	t.Parallel()
	if err := record.InProgress(); !problem.Is(err, problem.InProgress) || problem.Of(err).RetryAfter != time.Second {
		t.Errorf("RetryAfter is %v: %v", problem.Of(err).RetryAfter, err)
	}
}

// A clean-up that storage interrupts says so, removes what it can, and finds the rest
// again.
func TestCleanUpWithoutStorage(t *testing.T) {
	t.Parallel()
	const n = 12
	for _, c := range []struct {
		name    string
		op      mem.Op
		outcome mem.Outcome
		fresh   bool // the sweeper has not read anything before
		slices  int  // of the clean-up that fail, -1 for those with a record in them
	}{
		{"the time cannot be had", mem.Get, mem.Refused, true, record.CleanUpSlices},
		{"the rows cannot be listed", mem.List, mem.Refused, false, record.CleanUpSlices},
		{"no row can be deleted", mem.Delete, mem.Refused, false, -1},
		{"the answers to deleting are lost", mem.Delete, mem.Lost, false, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newStores()
				for i := range n {
					id := string(rune('a' + i))
					must(t, b.ours.Finish(t.Context(), mustClaim(t, b.ours, claim(id, "f")), record.Accepted, nil))
				}
				time.Sleep(record.Life + time.Minute)
				if !c.fresh {
					_, err := b.theirs.Time(t.Context())
					must(t, err)
				}
				b.failing(c.op, c.outcome)
				failed := 0
				for slice := range record.CleanUpSlices {
					removed, err := b.theirs.CleanUp(t.Context(), slice)
					if err != nil {
						failed++
						if !problem.Is(err, problem.Unavailable) {
							t.Errorf("slice %d: %v", slice, err)
						}
					}
					if removed != 0 {
						t.Errorf("slice %d: %d removed", slice, removed)
					}
				}
				if c.slices >= 0 && failed != c.slices || c.slices < 0 && (failed == 0 || failed > n) {
					t.Errorf("%d slices failed", failed)
				}
				b.failing("", mem.Done)
				left := 0
				for slice := range record.CleanUpSlices {
					removed, err := b.theirs.CleanUp(t.Context(), slice)
					must(t, err)
					left += removed
				}
				want := n
				if c.outcome == mem.Lost {
					want = 0
				}
				if left != want {
					t.Errorf("%d were left, want %d", left, want)
				}
			})
		})
	}
}

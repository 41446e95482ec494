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

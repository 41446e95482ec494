package record_test

import (
	"context"
	"reflect"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/mem"
)

var place = store.Key{Partition: "line", Row: "place"}

func mustWait(t *testing.T, b *record.Store, r *record.Record) {
	t.Helper()
	r.Spooled = place
	must(t, b.MarkWaiting(t.Context(), r))
}

func TestOnlyWhatWaitsCanBeCancelled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		step func(*testing.T, *record.Store, *record.Record)
		want string // a problem's slug, or nothing
		left record.State
	}{
		{"waiting", mustWait, "", record.Cancelled},
		{"claimed", func(*testing.T, *record.Store, *record.Record) {}, "too-late", record.Claimed},
		{"sending", func(t *testing.T, b *record.Store, r *record.Record) {
			mustWait(t, b, r)
			must(t, b.MarkSending(t.Context(), r))
		}, "too-late", record.Sending},
		{"in doubt", func(t *testing.T, b *record.Store, r *record.Record) { must(t, b.MarkResolving(t.Context(), r)) }, "too-late", record.Unknown},
		{"accepted", func(t *testing.T, b *record.Store, r *record.Record) {
			must(t, b.Finish(t.Context(), r, record.Accepted, nil))
		}, "too-late", record.Accepted},
		{"cancelled before", func(t *testing.T, b *record.Store, r *record.Record) {
			mustWait(t, b, r)
			_, err := b.Cancel(t.Context(), "shop", "1")
			must(t, err)
		}, "", record.Cancelled},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newStores()
				r := mustClaim(t, b.ours, claim("1", "f"))
				c.step(t, b.ours, r)
				_, err := b.theirs.Cancel(t.Context(), "shop", "1")
				got := ""
				if err != nil {
					got = problem.Of(err).Kind.Slug()
				}
				if s := state(t, b.ours, "1"); got != c.want || s != c.left {
					t.Errorf("got %q (%v), state %s; want %q, %s", got, err, s, c.want, c.left)
				}
				if err := b.ours.MarkSending(t.Context(), r); c.left == record.Cancelled && err == nil {
					t.Error("a cancelled message was sent")
				}
			})
		})
	}
}

func TestCancellingWithALostAnswerIsKnownAsOurs(t *testing.T) {
	t.Parallel()
	for _, outcome := range []mem.Outcome{mem.Lost, mem.Repeated} {
		t.Run(strconv.Itoa(int(outcome)), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newStores()
				mustWait(t, b.ours, mustClaim(t, b.ours, claim("1", "f")))
				b.failing(mem.Replace, outcome)
				if r, err := b.theirs.Cancel(t.Context(), "shop", "1"); err != nil || r.State != record.Cancelled {
					t.Errorf("got %+v, %v", r, err)
				}
			})
		})
	}
}

// What the spool keeps of a record is the record, at the version of its row.
func TestARestoredRecordGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStores()
		c := claim("1", "f")
		c.Spooled, c.Deadline = place, time.Now().UTC().Add(time.Hour)
		c.Tags = []mail.Tag{{Name: "order", Value: "4711"}}
		c.Moved = []mail.Link{{Index: 2, Name: "a.pdf", URL: "https://secret"}}
		r := mustClaim(t, b.ours, c)
		must(t, b.ours.MarkWaiting(t.Context(), r))
		kept, version := r.Snapshot(), r.Version()
		back, err := record.Restore(kept, version)
		must(t, err)
		if back.Moved[0].URL != "" {
			t.Error("the snapshot holds the address of a link")
		}
		must(t, b.theirs.MarkSending(t.Context(), back))
		found, err := b.ours.Read(t.Context(), "shop", "1")
		must(t, err)
		back.Moved, found.Moved = nil, nil
		if !reflect.DeepEqual(found, back) {
			t.Errorf("found %+v, want %+v", found, back)
		}
		if err := b.ours.MarkSending(t.Context(), r); err == nil {
			t.Error("the version before was sent too")
		}
	})
}

// A message that nobody can repeat has no claim: its first step makes the record,
// whatever becomes of the answer.
func TestTheFirstStepMakesARecordThatNobodyClaimed(t *testing.T) {
	t.Parallel()
	steps := map[record.State]func(*record.Store, context.Context, *record.Record) error{
		record.Sending: (*record.Store).MarkSending, record.Waiting: (*record.Store).MarkWaiting,
	}
	for want, step := range steps {
		for what, outcome := range map[string]mem.Outcome{"answered": mem.Done, "lost": mem.Lost, "repeated": mem.Repeated} {
			t.Run(string(want)+" "+what, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					b := newStores()
					b.failing(mem.Insert, outcome)
					r := claim("1", "f")
					must(t, step(b.ours, t.Context(), &r))
					found, err := b.theirs.Read(t.Context(), "shop", "1")
					must(t, err)
					if found.State != want || found.Created.IsZero() || !found.OwnerUntil.After(found.Created) || found.Version() != r.Version() {
						t.Errorf("the record is %+v, the writer's %+v", found, r)
					}
					must(t, b.ours.Finish(t.Context(), &r, record.Accepted, nil))
				})
			})
		}
	}
}

func TestARecordThatWasNeverWrittenTakesNothingWithIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStores()
		mustClaim(t, b.theirs, claim("1", "f"))
		r := claim("1", "g")
		if err := b.ours.MarkSending(t.Context(), &r); err == nil {
			t.Error("one id was two messages'")
		}
		must(t, b.ours.Release(t.Context(), &r))
		if got := state(t, b.ours, "1"); got != record.Claimed {
			t.Errorf("the other's record is %s", got)
		}
	})
}

package record_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/expire"
	"github.com/posthorn/posthorn/handler/store/mem"
	"github.com/posthorn/posthorn/handler/store/storetest"
)

const day = 24 * time.Hour

// cleanUpAll cleans up in as many hours as see each record, and counts the calls that failed.
func (b *stores) cleanUpAll(t *testing.T, history time.Duration) (removed, failed int) {
	t.Helper()
	for range max(1, int(history/time.Hour)/8) {
		result, err := b.theirs.CleanUp(t.Context(), "", 4)
		removed += result.Removed
		if err != nil {
			failed++
			if !problem.Is(err, problem.Unavailable) {
				t.Errorf("got %v", err)
			}
		}
		time.Sleep(time.Hour)
	}
	return removed, failed
}

func TestCleanUpRemovesWhatHasOutlivedItsHistory(t *testing.T) {
	t.Parallel()
	for _, history := range []time.Duration{day, 3 * day, 30 * day, 365 * day} {
		t.Run(history.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newStores()
				b.theirs.Keeping(history)
				const n = 200
				begun := time.Now()
				for i := range n {
					r := mustClaim(t, b.ours, claim(strconv.Itoa(i), "f"))
					switch i % 4 {
					case 0:
						must(t, b.ours.Finish(t.Context(), r, record.Accepted, nil))
					case 1:
						r.Deadline = time.Now().Add(history)
						mustWait(t, b.ours, r)
					case 2:
						r.Deadline = time.Now().Add(history)
						mustWait(t, b.ours, r)
						must(t, b.ours.Finish(t.Context(), r, record.Accepted, nil))
					}
				}
				for _, step := range []struct {
					at   time.Duration // when all records have been seen
					want int
				}{
					{history, 0},
					{history + history/8 + time.Hour, n * 3 / 4}, // what ended, or was never sent
					{2 * history, 0}, // what may wait until now lives on
					{2*history + history/8 + time.Hour, n / 4},
				} {
					time.Sleep(time.Until(begun.Add(step.at).Add(-history / 8)))
					if got, failed := b.cleanUpAll(t, history); got != step.want || failed != 0 {
						t.Errorf("%d records removed until %v, %d calls failed, want %d", got, step.at, failed, step.want)
					}
				}
				if n := b.lasting.Rows(); n != 0 {
					t.Errorf("%d rows are left", n)
				}
			})
		})
	}
}

// A clean-up that storage interrupts says so, removes what it can, and finds the rest
// again.
func TestCleanUpWithoutStorage(t *testing.T) {
	t.Parallel()
	const n, hours = 12, 3
	for _, c := range []struct {
		name    string
		op      mem.Op
		outcome mem.Outcome
		fresh   bool // it has not read anything before
		failed  int  // calls, -1 for those with a record to remove
	}{
		{"the time cannot be had", mem.Get, mem.Refused, true, hours},
		{"the rows cannot be listed", mem.List, mem.Refused, false, hours},
		{"no row can be deleted", mem.Delete, mem.Refused, false, -1},
		{"the answers to deleting are lost", mem.Delete, mem.Lost, false, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newStores()
				b.theirs.Keeping(day)
				for i := range n {
					id := string(rune('a' + i))
					must(t, b.ours.Finish(t.Context(), mustClaim(t, b.ours, claim(id, "f")), record.Accepted, nil))
				}
				time.Sleep(day + time.Minute)
				if !c.fresh {
					_, err := b.theirs.Time(t.Context())
					must(t, err)
				}
				b.failing(c.op, c.outcome)
				removed, failed := b.cleanUpAll(t, day)
				if removed != 0 || c.failed >= 0 && failed != c.failed || failed == 0 {
					t.Errorf("%d removed, %d calls failed", removed, failed)
				}
				b.failing("", mem.Done)
				want := n
				if c.outcome == mem.Lost {
					want = 0
				}
				if left, _ := b.cleanUpAll(t, day); left != want {
					t.Errorf("%d were left, want %d", left, want)
				}
			})
		})
	}
}

// What a partition has beside the record goes with it, and not before it.
func TestAPartitionGoesWhole(t *testing.T) {
	t.Parallel()
	for _, recipients := range []int{0, 1, 50, 99, 100, 250} {
		t.Run(strconv.Itoa(recipients), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newStores()
				b.theirs.Keeping(day)
				var changed *record.Record
				for _, id := range []string{"old", "changed"} {
					r := mustClaim(t, b.ours, claim(id, "f"))
					must(t, b.ours.Finish(t.Context(), r, record.Accepted, nil))
					for i := range recipients {
						_, err := b.lasting.Insert(t.Context(), store.Entity{Partition: r.OperationID, Row: fmt.Sprintf("r-%03d", i)})
						must(t, err)
					}
					changed = r
				}
				time.Sleep(day + time.Minute)
				must(t, b.ours.Finish(t.Context(), changed, record.Accepted, nil))
				if removed, failed := b.cleanUpAll(t, day); removed != 1 || failed != 0 {
					t.Errorf("%d removed, %d calls failed", removed, failed)
				}
				if n := b.lasting.Rows(); n != 1+recipients {
					t.Errorf("%d rows are left", n)
				}
			})
		})
	}
}

// The record of a message that nobody named stands in the table of its day, which goes whole,
// when the day is over and not before.
func TestTheTableOfADayGoesWhole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStores()
		b.ours.Keeping(day)
		b.theirs.Keeping(day)
		r := record.Record{ID: b.ours.MakeID("1", time.Now()), Caller: "shop", Fingerprint: "f"}
		must(t, b.ours.MarkSending(t.Context(), &r))
		must(t, b.ours.Finish(t.Context(), &r, record.Accepted, nil))
		if dates, err := b.days.List(t.Context()); err != nil || !slices.Equal(dates, []string{"20000102"}) || b.lasting.Rows() != 0 {
			t.Fatalf("tables %q, %d rows in the lasting one: %v", dates, b.lasting.Rows(), err)
		}
		until, sure := r.Until()
		if want := time.Date(2000, 1, 3, 0, 0, 0, 0, time.UTC); !sure || !until.Equal(want) {
			t.Errorf("it lives until %v, %t", until, sure)
		}
		time.Sleep(time.Until(until.Add(-3 * time.Second)))
		result, err := b.theirs.CleanUpDays(t.Context())
		if err != nil || result.Removed != 0 || state(t, b.theirs, r.ID) != record.Accepted {
			t.Errorf("before its end: %+v, %v", result, err)
		}
		time.Sleep(time.Hour)
		result, err = b.theirs.CleanUpDays(t.Context())
		if err != nil || result.Removed != 1 || !result.Oldest.Equal(until) || state(t, b.theirs, r.ID) != "none" {
			t.Errorf("after its end: %+v, %v", result, err)
		}
		if err := b.ours.Finish(t.Context(), &r, record.Failed, nil); err == nil {
			t.Error("a record came back")
		}
		must(t, b.ours.Release(t.Context(), &r))
		if b.days.Rows() != 0 {
			t.Errorf("%d rows are left", b.days.Rows())
		}
	})
}

// The first message of a day finds its table.
func TestTheTableOfADayIsMadeADayAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStores()
		for range 3 {
			_, err := b.ours.CleanUpDays(t.Context())
			must(t, err)
		}
		dates, err := b.days.List(t.Context())
		if want := []string{"20000201", "20000208"}; err != nil || !slices.Equal(dates, want) {
			t.Errorf("made %q, want %q: %v", dates, want, err)
		}
		calls := b.calls.Load()
		_, err = b.ours.CleanUpDays(t.Context())
		if n := b.calls.Load() - calls; err != nil || n != 1 {
			t.Errorf("with all of them there it takes %d calls: %v", n, err)
		}
		b.failing(mem.List, mem.Refused)
		if _, err := b.ours.CleanUpDays(t.Context()); !problem.Is(err, problem.Unavailable) {
			t.Errorf("without storage: %v", err)
		}
	})
}

// A clean-up whose time is over goes on where it stopped, and reads nothing twice.
func TestCleanUpGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStores()
		b.theirs.Keeping(8 * time.Hour) // all in one part
		const n = 3000
		for i := range n {
			must(t, b.ours.Finish(t.Context(), mustClaim(t, b.ours, claim(strconv.Itoa(i), "f")), record.Accepted, nil))
		}
		time.Sleep(9 * time.Hour)
		b.op, b.fault = mem.Delete, mem.Fault{Before: 100 * time.Millisecond}
		calls, removed, marker := 0, 0, ""
		before := b.calls.Load()
		for {
			calls++
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			result, err := b.theirs.CleanUp(ctx, marker, 10)
			cancel()
			must(t, err)
			removed += result.Removed
			if marker = result.Next; marker == "" {
				break
			}
		}
		if removed != n || b.lasting.Rows() != 0 || calls < 3 {
			t.Errorf("%d removed in %d calls, %d left", removed, calls, b.lasting.Rows())
		}
		if lists := int(b.calls.Load()-before) - n; lists > n/1000+1+calls {
			t.Errorf("%d listings", lists)
		}
	})
}

// One hour's clean-up removes twice what an hour of two million messages brings, where each
// call takes 5 ms and all of them are named.
func TestCleanUpKeepsUpWithTwoMillionAnHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStores()
		b.theirs.Keeping(8 * time.Hour) // all in one part
		const n = 8_000
		for i := range n {
			r := claim(strconv.Itoa(i), "f")
			must(t, b.ours.Finish(t.Context(), &r, record.Accepted, nil))
		}
		time.Sleep(9 * time.Hour)
		_, err := b.theirs.Time(t.Context())
		must(t, err)
		b.every = 5 * time.Millisecond
		begun := time.Now()
		result, err := b.theirs.CleanUp(t.Context(), "", expire.Beside)
		must(t, err)
		hourly := float64(result.Removed) / time.Since(begun).Hours()
		if result.Removed != n || hourly < 2*2_000_000 {
			t.Errorf("%d removed, %.0f an hour", result.Removed, hourly)
		}
		t.Logf("%.1f M an hour", hourly/1e6)
	})
}

// The row of a record, as it is stored and read.
func TestTheRowInStorageIsRead(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"named", "made"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newStores()
				at := time.Now().UTC()
				want := record.Record{
					ID: "11111111-1111-4111-8111-111111111111", Caller: "shop", Hook: "contact", Fingerprint: "f",
					Tags:  []mail.Tag{{Name: "order", Value: "4711"}},
					Moved: []mail.Link{{Index: 2, Name: "ü.pdf", Size: 7, Expires: at.Add(time.Hour)}},
					Links: store.Key{Partition: "20000102", Row: "r"}, Shared: true, Spooled: place,
					Expected: at.Add(time.Minute), Deadline: at.Add(2 * time.Minute), Redirected: true,
				}
				table := b.lasting
				if file == "made" {
					want = record.Record{ID: b.ours.MakeID("random", at), Caller: "shop", Fingerprint: "f", Deadline: at.Add(day)}
					table = b.days.Table("20000131")
				}
				must(t, b.ours.Finish(t.Context(), &want, record.Failed, &record.Failure{Kind: "k", Detail: "d", Upstream: "u"}))
				written, _, err := table.Get(t.Context(), want.OperationID, "m")
				must(t, err)
				e := storetest.GoldenRow(t, "testdata/"+file+".json", written)
				other := newStores()
				e.ETag = ""
				copied := other.lasting
				if file == "made" {
					copied = other.days.Table("20000131")
				}
				_, err = copied.Insert(t.Context(), e)
				must(t, err)
				got, err := other.theirs.Read(t.Context(), want.Caller, want.ID)
				must(t, err)
				if string(got.Snapshot()) != string(want.Snapshot()) {
					t.Errorf("read as %s, want %s", got.Snapshot(), want.Snapshot())
				}
			})
		})
	}
}

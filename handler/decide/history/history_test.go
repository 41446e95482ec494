package history_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/history"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// days are tables in memory, and what befalls them.
type days struct {
	*mem.Series
	mu   sync.Mutex
	ops  map[mem.Op]int
	plan func(op mem.Op) mem.Outcome
}

const life = 37 * 24 * time.Hour

func newIndex(t *testing.T) (*history.Index, *days) {
	t.Helper()
	d := &days{ops: map[mem.Op]int{}}
	d.Series = mem.NewSeries(time.Now, func(op mem.Op, _ string) mem.Fault {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.ops[op]++
		if d.plan == nil {
			return mem.Fault{}
		}
		return mem.Fault{Outcome: d.plan(op)}
	})
	tables := history.Tables{Days: d, Day: func(date string) history.Table { return d.Table(date) }}
	return history.New(tables, life, slog.New(slog.DiscardHandler)), d
}

func (d *days) befall(plan func(op mem.Op) mem.Outcome) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.plan = plan
}

func (d *days) count(op mem.Op) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops[op]
}

func message(caller string, n int, at time.Time) history.Message {
	return history.Message{OperationID: fmt.Sprintf("00000000-0000-8000-8000-%012d", n), ID: fmt.Sprint("id", n), Caller: caller, At: at}
}

func ids(messages []history.Message, err error) []string {
	if err != nil {
		return []string{err.Error()}
	}
	var all []string
	for _, m := range messages {
		all = append(all, m.ID)
	}
	return all
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestMessagesAreListedByCallerAndByRecipient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x, _ := newIndex(t)
		day := time.Now().UTC().Truncate(24 * time.Hour)
		first := message("shop", 1, day.Add(9*time.Hour))
		x.Note(t.Context(), first, []string{"Ann@example.com", "bob@example.com"})
		x.Note(t.Context(), message("shop", 2, day.Add(10*time.Hour)), []string{"ann@example.com", "ann@example.COM"})
		x.Note(t.Context(), message("desk", 3, day.Add(11*time.Hour)), []string{"ann@example.com"})
		x.Note(t.Context(), message("shop", 4, day.Add(24*time.Hour)), []string{"ann@example.com"})
		time.Sleep(2 * history.GatherTime)

		same(t, "shop", ids(x.OfCaller(t.Context(), "shop", day, nil, 10)), "id2", "id1")
		same(t, "shop on the next day", ids(x.OfCaller(t.Context(), "shop", day.Add(25*time.Hour), nil, 10)), "id4")
		same(t, "a caller without messages", ids(x.OfCaller(t.Context(), "sho", day, nil, 10)))
		same(t, "ann", ids(x.OfRecipient(t.Context(), "ANN@example.com", day, nil, 10)), "id3", "id2", "id1")
		same(t, "bob", ids(x.OfRecipient(t.Context(), "bob@example.com", day, nil, 10)), "id1")
		same(t, "an address without messages", ids(x.OfRecipient(t.Context(), "eve@example.com", day, nil, 10)))

		last, err := x.OfRecipient(t.Context(), "ann@example.com", day, nil, 2)
		if err != nil || len(last) != 2 {
			t.Fatal(last, err)
		}
		same(t, "ann, behind two", ids(x.OfRecipient(t.Context(), "ann@example.com", day, &last[1], 10)), "id1")
		last, err = x.OfCaller(t.Context(), "shop", day, nil, 1)
		if err != nil || len(last) != 1 {
			t.Fatal(last, err)
		}
		behind, err := x.OfCaller(t.Context(), "shop", day, &last[0], 1)
		if err != nil || len(behind) != 1 || !behind[0].At.Equal(first.At) || behind[0].OperationID != first.OperationID || behind[0].Caller != "shop" {
			t.Errorf("behind the last stands %+v, %v, want %+v", behind, err, first)
		}
	})
}

// Rows that are noted within the same second share a transaction for each partition.
func TestRowsShareTransactions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x, d := newIndex(t)
		day := time.Now().UTC().Truncate(24 * time.Hour)
		for n := range 550 {
			x.Note(t.Context(), message("shop", n, day.Add(time.Duration(n)*time.Millisecond)), []string{fmt.Sprintf("a%d@example.com", n)})
		}
		time.Sleep(2 * history.GatherTime)
		if n := d.count(mem.Transact) + d.count(mem.Insert); n > 6+16 {
			t.Errorf("550 messages cost %d operations", n)
		}
		messages, err := x.OfCaller(t.Context(), "shop", day, nil, 1000)
		if err != nil || len(messages) != 550 {
			t.Errorf("%d are listed, %v", len(messages), err)
		}
	})
}

func TestRowsOutliveWhatBefallsStorage(t *testing.T) {
	t.Parallel()
	for name, outcome := range map[string]mem.Outcome{"refuses": mem.Refused, "loses its answers": mem.Lost, "repeats": mem.Repeated} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				x, d := newIndex(t)
				day := time.Now().UTC().Truncate(24 * time.Hour)
				d.befall(func(mem.Op) mem.Outcome { return outcome })
				for n := range 3 {
					x.Note(t.Context(), message("shop", n, day), []string{"ann@example.com"})
					x.Note(t.Context(), message("shop", n, day), []string{"ann@example.com"})
					time.Sleep(time.Minute)
				}
				if n := d.count(mem.Transact) + d.count(mem.Insert); n > 60 {
					t.Errorf("%d tries in three minutes", n)
				}
				d.befall(nil)
				time.Sleep(time.Minute)
				same(t, "shop", ids(x.OfCaller(t.Context(), "shop", day, nil, 10)), "id0", "id1", "id2")
				same(t, "ann", ids(x.OfRecipient(t.Context(), "ann@example.com", day, nil, 10)), "id0", "id1", "id2")
			})
		})
	}
}

// While storage is away a process holds a bounded number of rows, and drops the newer ones.
func TestRowsThatWaitAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x, d := newIndex(t)
		day := time.Now().UTC().Truncate(24 * time.Hour)
		d.befall(func(mem.Op) mem.Outcome { return mem.Refused })
		for n := range history.MaxHeld {
			x.Note(t.Context(), message("shop", n, day), []string{"ann@example.com"})
		}
		time.Sleep(time.Minute)
		d.befall(nil)
		time.Sleep(time.Minute)
		count := 0
		for after := (*history.Message)(nil); ; {
			page, err := x.OfCaller(t.Context(), "shop", day, after, 1000)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			count, after = count+len(page), &page[len(page)-1]
		}
		if count != history.MaxHeld/2 {
			t.Errorf("%d messages are listed, want %d", count, history.MaxHeld/2)
		}
		x.Note(t.Context(), message("desk", 1, day), nil)
		time.Sleep(time.Minute)
		same(t, "what came later", ids(x.OfCaller(t.Context(), "desk", day, nil, 10)), "id1")
	})
}

// An index that cannot be read says so, and that it may be asked again.
func TestAnIndexOutOfReachIsUnavailable(t *testing.T) {
	t.Parallel()
	x, d := newIndex(t)
	d.befall(func(mem.Op) mem.Outcome { return mem.Refused })
	_, err := x.OfRecipient(context.Background(), "ann@example.com", time.Now().UTC().Truncate(24*time.Hour), nil, 1)
	if !problem.Is(err, problem.Unavailable) {
		t.Errorf("%v", err)
	}
}

// A day's table goes with the last records of its messages, and not before.
func TestTablesOfDaysAreDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x, d := newIndex(t)
		day := time.Now().UTC().Truncate(24 * time.Hour)
		for n := range 3 {
			x.Note(t.Context(), message("shop", n, day.Add(time.Duration(n)*24*time.Hour)), nil)
		}
		time.Sleep(time.Minute)
		for _, c := range []struct {
			now  time.Time
			want []string
		}{
			{day.Add(24*time.Hour + life - time.Second), []string{"id0"}},
			{day.Add(24*time.Hour + life), nil},
		} {
			if _, err := x.CleanUp(t.Context(), c.now); err != nil {
				t.Error(err)
			}
			same(t, "the first day", ids(x.OfCaller(t.Context(), "shop", day, nil, 9)), c.want...)
			same(t, "the second day", ids(x.OfCaller(t.Context(), "shop", day.Add(24*time.Hour), nil, 9)), "id1")
			dates, err := d.List(t.Context())
			if next := c.now.Add(24 * time.Hour).Format("20060102"); err != nil || !slices.Contains(dates, next) {
				t.Errorf("tables %v, %v: none of %s", dates, err, next)
			}
		}
	})
}

package keyring

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/store/mem"
)

var noted = KeyID{Name: "shop", Generation: 2}

// A thousand uses of a day are one note of each instance, and none of them waits for it.
func TestAUseIsNotedOnceADay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var writes atomic.Int64
		table := mem.NewTable(time.Now, func(op mem.Op, _ string) mem.Fault {
			if op == mem.Insert || op == mem.Replace {
				writes.Add(1)
			}
			return mem.Fault{Before: time.Second}
		})
		one, other := newDays(table, time.Now, slog.New(slog.DiscardHandler)), newDays(table, time.Now, slog.New(slog.DiscardHandler))
		for day := 1; day <= 3; day++ {
			began := time.Now()
			for range 1000 {
				one.note(t.Context(), noted)
				other.note(t.Context(), noted)
			}
			if waited := time.Since(began); waited != 0 {
				t.Errorf("they waited for %s", waited)
			}
			time.Sleep(time.Minute)
			last, err := one.last(t.Context())
			if want := time.Now().UTC().Truncate(24 * time.Hour); err != nil || len(last) != 1 || !last[noted].Equal(want) {
				t.Errorf("day %d: %v, %v", day, last, err)
			}
			if n := int(writes.Load()); n > 2*day {
				t.Errorf("day %d: %d writes", day, n)
			}
			time.Sleep(24 * time.Hour)
		}
	})
}

// A note that fails is a line in the log, and is tried again an hour later.
func TestANoteThatFails(t *testing.T) {
	t.Parallel()
	for _, op := range []mem.Op{mem.Get, mem.Insert} {
		t.Run(string(op), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				down := true
				table := mem.NewTable(time.Now, func(got mem.Op, _ string) mem.Fault {
					if down && got == op {
						return mem.Fault{Outcome: mem.Refused}
					}
					return mem.Fault{}
				})
				var log bytes.Buffer
				d := newDays(table, time.Now, slog.New(slog.NewTextHandler(&log, nil)))
				for range 100 {
					d.note(t.Context(), noted)
					synctest.Wait()
				}
				if n := strings.Count(log.String(), "last use of a key not noted"); n != 1 || !strings.Contains(log.String(), "name=shop generation=2") {
					t.Errorf("%d lines: %s", n, &log)
				}
				down = false
				time.Sleep(time.Hour)
				d.note(t.Context(), noted)
				synctest.Wait()
				if last, err := d.last(t.Context()); err != nil || len(last) != 1 {
					t.Errorf("%v, %v", last, err)
				}
			})
		})
	}
}

// What another instance has noted meanwhile, or on a later day, stays.
func TestNotesOfOthersStay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := mem.NewTable(time.Now, func(op mem.Op, _ string) mem.Fault {
			if op == mem.Insert {
				return mem.Fault{Before: time.Second, Outcome: mem.Repeated}
			}
			return mem.Fault{}
		})
		var log bytes.Buffer
		for i := range 3 {
			clock := func() time.Time { return time.Now().AddDate(0, 0, -i) }
			newDays(table, clock, slog.New(slog.NewTextHandler(&log, nil))).note(t.Context(), noted)
		}
		time.Sleep(time.Minute)
		newDays(table, func() time.Time { return time.Now().AddDate(0, 0, -9) }, slog.New(slog.NewTextHandler(&log, nil))).note(t.Context(), noted)
		synctest.Wait()
		if last, err := newDays(table, time.Now, nil).last(t.Context()); err != nil || len(last) != 1 || time.Since(last[noted]) > 72*time.Hour || log.Len() > 0 {
			t.Errorf("%v, %v; %s", last, err, fmt.Sprint(&log))
		}
	})
}

func TestNothingIsNotedNowhere(t *testing.T) {
	t.Parallel()
	var d *lastUses
	d.note(t.Context(), noted)
	if last, err := d.last(t.Context()); err != nil || last != nil {
		t.Errorf("%v, %v", last, err)
	}
}

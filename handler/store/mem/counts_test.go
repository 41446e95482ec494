package mem_test

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/mem"
)

func TestCallsAreCountedWhateverBecomesOfThem(t *testing.T) {
	t.Parallel()
	var calls mem.Counts
	table := mem.NewTable(time.Now, calls.Plan(on(mem.Get, mem.Fault{Outcome: mem.Refused})))
	queue := mem.NewQueue(time.Now, calls.Plan(nil))
	e := store.Entity{Partition: "p", Row: "r"}
	for _, want := range []error{nil, store.ErrExists} {
		if _, err := table.Insert(t.Context(), e); !errors.Is(err, want) {
			t.Errorf("insert: error %v, want %v", err, want)
		}
	}
	if _, _, err := table.Get(t.Context(), "p", "r"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("get: error %v, want %v", err, store.ErrUnavailable)
	}
	if err := queue.Send(t.Context(), "a", 0); err != nil {
		t.Error(err)
	}
	if all, some := calls.Total(), calls.Total(mem.Insert, mem.Send, mem.Seal); all != 4 || some != 3 {
		t.Errorf("%d calls, %d of three kinds; want 4 and 3", all, some)
	}
	if got, want := calls.Take(), map[mem.Op]int{mem.Insert: 2, mem.Get: 1, mem.Send: 1}; !maps.Equal(got, want) {
		t.Errorf("calls %v, want %v", got, want)
	}
	if n := calls.Total(); n != 0 {
		t.Errorf("%d calls after all were taken", n)
	}
}

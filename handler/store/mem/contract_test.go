package mem_test

import (
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/mem"
	"github.com/posthorn/posthorn/handler/store/storetest"
)

func TestTableKeepsTheContract(t *testing.T) {
	t.Parallel()
	storetest.Table(t, func(*testing.T) storetest.Rows { return mem.NewTable(time.Now, nil) })
}

func TestSeriesKeepsTheContract(t *testing.T) {
	t.Parallel()
	storetest.Series(t, func(*testing.T) (storetest.Tables, func(string) storetest.Rows) {
		s := mem.NewSeries(time.Now, nil)
		return s, func(suffix string) storetest.Rows { return s.Table(suffix) }
	})
}

// Azure keeps the name of a dropped table for a while, and Azurite does not.
func TestTheNameOfADroppedTableIsTakenForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := mem.NewSeries(time.Now, nil)
		e := store.Entity{Partition: "p", Row: "r"}
		if _, err := s.Table("1").Insert(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if err := s.Drop(t.Context(), "1"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(39 * time.Second)
		if _, err := s.Table("1").Insert(t.Context(), e); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("an insert just after: %v", err)
		}
		if err := s.Create(t.Context(), "1"); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("made just after: %v", err)
		}
		time.Sleep(time.Second)
		if _, err := s.Table("1").Insert(t.Context(), e); err != nil || s.Rows() != 1 {
			t.Errorf("an insert later: %v, %d rows", err, s.Rows())
		}
	})
}

func TestContainerKeepsTheContract(t *testing.T) {
	t.Parallel()
	storetest.Blobs(t, func(*testing.T) (storetest.Container, *http.Client) {
		c := mem.NewContainer(time.Now, nil)
		return c, &http.Client{Transport: c}
	})
}

func TestQueueKeepsTheContract(t *testing.T) {
	t.Parallel()
	storetest.Queue(t, func(*testing.T) (storetest.Messages, func(time.Duration)) {
		c := &clock{time: time.Date(2026, time.November, 23, 14, 0, 0, 0, time.UTC)}
		return mem.NewQueue(c.now, nil), c.pass
	})
}

// clock goes only when it is told to.
type clock struct {
	mu   sync.Mutex
	time time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.time
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = c.time.Add(d)
}

package mem_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/store/mem"
	"github.com/posthorn/posthorn/handler/store/storetest"
)

func TestTableKeepsTheContract(t *testing.T) {
	t.Parallel()
	storetest.Table(t, func(*testing.T) storetest.Rows { return mem.NewTable(time.Now, nil) })
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

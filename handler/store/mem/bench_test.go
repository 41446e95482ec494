package mem_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// A line that is served: its head is listed, sent and deleted, and others join at
// its end. What it costs must not grow with the length of the line, for which the
// line of 100 is the baseline.
func BenchmarkServingALine(b *testing.B) {
	for _, length := range []int{100, 100_000, 2_000_000} {
		b.Run(fmt.Sprintf("of %d", length), func(b *testing.B) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			table := mem.NewTable(time.Now, nil)
			for n := range length {
				join(b, table, n)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			next := length
			for b.Loop() {
				head, err := table.ListBefore(b.Context(), store.Key{Partition: "line"}, "line-", 32)
				if err != nil || len(head) != 32 {
					b.Fatal(len(head), err)
				}
				for _, e := range head {
					if err := table.Delete(b.Context(), e.Partition, e.Row, e.ETag); err != nil {
						b.Fatal(err)
					}
					join(b, table, next)
					next++
				}
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(length), "heap-B/row")
		})
	}
}

var address = strings.Repeat("x", 100)

// join adds a row such as a message that waits has.
func join(b *testing.B, table *mem.Table, n int) {
	b.Helper()
	_, err := table.Insert(b.Context(), store.Entity{Partition: "line", Row: fmt.Sprintf("%09d", n), Values: map[string]any{
		"blob": address, "cost": int64(1), "due": time.Unix(int64(n), 0), "later": false,
	}})
	if err != nil {
		b.Fatal(err)
	}
}

package bench

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/local/emulator"
	"github.com/posthorn/posthorn/handler/store/mem"
)

const (
	// farAway is how long each call of a table takes.
	farAway = 5 * time.Millisecond
	// farMessages go one after the other.
	farMessages = 100
)

// BenchmarkFarStorage sends small messages with keys, one after the other, over storage that is
// far away, and measures the time until ACS is called. The baseline is one call of storage.
func BenchmarkFarStorage(b *testing.B) {
	var called atomic.Int64 // Unix ns
	acs, err := emulator.New(emulator.Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(acs.Close)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		called.Store(time.Now().UnixNano())
		acs.ServeHTTP(w, r)
	}))
	b.Cleanup(server.Close)
	far := func(mem.Op, string) mem.Fault { return mem.Fault{Before: farAway} }
	address, key := newGateway(b, server.URL, far)
	c := newClient(b, address, http.Header{"Authorization": {"Bearer " + key}})
	alone := mem.NewTable(time.Now, far)
	var sends, calls []time.Duration
	for b.Loop() {
		for n := range farMessages {
			begun := time.Now()
			if _, _, err := alone.Get(b.Context(), "p", "r"); err == nil {
				b.Fatal("there is a row")
			}
			calls = append(calls, time.Since(begun))
			c.header.Set("Idempotency-Key", strconv.Itoa(n)+"-"+strconv.Itoa(len(sends)))
			begun = time.Now()
			if err := c.sendOne(b.Context()); err != nil {
				b.Fatal(err)
			}
			sends = append(sends, time.Unix(0, called.Load()).Sub(begun))
		}
	}
	report(b, figure{
		name: "until ACS is called, storage 5 ms away", unit: "ms", value: milliseconds(median(sends)),
		baseline: milliseconds(median(calls)), of: "one call of storage", goal: goal{atMost: 2.5},
	})
}

func median(all []time.Duration) time.Duration { return slices.Sorted(slices.Values(all))[len(all)/2] }

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

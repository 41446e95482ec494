package bench

import (
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	// strangers hold a connection each.
	strangers = 500
	// again is after what time one that was ended begins anew: some 80 of them a second do.
	again = 5 * time.Second
	// pairs of runs of pairMessages, without strangers and with them, so that both see the
	// same machine.
	pairs        = 5
	pairMessages = 4000
)

// BenchmarkStrangers sends small messages with a key while 500 strangers hold connections to
// a signed hook, each with a little of a megabyte, and begin anew when they are ended.
func BenchmarkStrangers(b *testing.B) {
	var ratios []float64
	var quiet, attacked time.Duration
	for b.Loop() {
		address, key := newGateway(b, newEmulator(b).URL, nil)
		c := newClient(b, address, http.Header{"Authorization": {"Bearer " + key}})
		for range pairs {
			before := c.send(b, pairMessages)
			end := attack(b, strings.TrimPrefix(address, "http://"))
			under := c.send(b, pairMessages)
			end()
			quiet, attacked = before.median(), under.median()
			ratios = append(ratios, float64(attacked)/float64(quiet))
			b.Logf("p50 %s without strangers, %s with them: %.2f; by processor time %.2f", quiet, attacked, ratios[len(ratios)-1],
				float64(under.processor)/float64(before.processor))
		}
	}
	slices.Sort(ratios)
	report(b, figure{
		name: "a small message's p50 beside 500 strangers", unit: "times", value: ratios[len(ratios)/2],
		baseline: 1, of: "without them, median of the pairs", goal: goal{atMost: 1.5},
	})
}

// attack begins an attack, and returns when all strangers hold a connection. end ends it.
func attack(b *testing.B, address string) (end func()) {
	b.Helper()
	head := "POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n" +
		"X-Hub-Signature-256: sha256=" + strings.Repeat("0", 64) + "\r\n\r\n" + strings.Repeat("{", 3000) // more than needs no piece of the pool
	var all, begun sync.WaitGroup
	var over atomic.Bool
	done := make(chan struct{})
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	dial := func() (net.Conn, error) {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		if open[c] = true; over.Load() {
			c.Close()
		}
		_, err = io.WriteString(c, head)
		return c, err
	}
	begun.Add(strangers)
	for range strangers {
		all.Go(func() {
			for first := true; !over.Load(); first = false {
				c, err := dial()
				if first {
					begun.Done()
				}
				if err == nil {
					_, _ = io.Copy(io.Discard, c) // until it is ended
				}
				if c != nil {
					c.Close()
					mu.Lock()
					delete(open, c)
					mu.Unlock()
				}
				select {
				case <-done:
				case <-time.After(again):
				}
			}
		})
	}
	begun.Wait()
	time.Sleep(time.Second) // all have been read
	return func() {
		mu.Lock()
		over.Store(true)
		close(done)
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	}
}

package bench

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/test/world"
)

const (
	slowClients   = 1000
	healthyTurns  = 3
	healthyInTurn = 400
	// shortBody and longBody are what slow clients say that they will send: one
	// takes next to no memory, a few of the others all there is for bodies.
	shortBody = 1000
	longBody  = 100 * mb
)

// BenchmarkSlowClients sends small messages, in turns with nobody else there and
// with a thousand clients whose bodies come by a byte a second.
func BenchmarkSlowClients(b *testing.B) {
	p := world.NewProduct(b)
	p.OpenStorage(b)
	w := world.New(b, p, world.Options{})
	healthy := newClient(b, w.URL, http.Header{"Authorization": {"Bearer " + w.Key}})
	var without, with usage
	for b.Loop() {
		for range healthyTurns {
			without.add(healthy.send(b, healthyInTurn))
			leave := enterSlowClients(b, w, shortBody)
			with.add(healthy.send(b, healthyInTurn))
			leave()
		}
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	report(b, figure{
		name: "p99 of healthy requests among 1,000 slow ones", unit: "ms", value: ms(with.p99()),
		baseline: ms(without.p99()), of: "nobody else there", goal: goal{atMost: 2},
	})
}

// BenchmarkGreedySlowClients counts the small messages that are taken while a
// thousand slow clients say that their bodies will have 100 MB.
func BenchmarkGreedySlowClients(b *testing.B) {
	p := world.NewProduct(b)
	p.OpenStorage(b)
	w := world.New(b, p, large)
	healthy := newClient(b, w.URL, http.Header{"Authorization": {"Bearer " + w.Key}})
	taken, sent := 0, 0
	for b.Loop() {
		leave := enterSlowClients(b, w, longBody)
		for range healthyInTurn {
			err := healthy.sendOne(b.Context())
			if err == nil {
				taken++
			} else if sent == taken {
				b.Log("the first that is not: ", err)
			}
			sent++
		}
		leave()
	}
	report(b, figure{
		name: "healthy requests taken among 1,000 slow ones of 100 MB", unit: "%",
		value: 100 * float64(taken) / float64(sent), goal: goal{atLeast: 100},
	})
}

// enterSlowClients returns when each has sent its header and a first byte.
func enterSlowClients(b *testing.B, w *world.World, bodyBytes int) (leave func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	var all sync.WaitGroup
	entered := make(chan error, slowClients)
	for range slowClients {
		all.Go(func() { dribble(ctx, w, bodyBytes, entered) })
	}
	for range slowClients {
		if err := <-entered; err != nil {
			b.Fatal(err)
		}
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// dribble sends white space, which may stand before a message, until it is told to
// leave or the handler has had enough of it.
func dribble(ctx context.Context, w *world.World, bodyBytes int, entered chan<- error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(w.URL, "http://"))
	if err != nil {
		entered <- err
		return
	}
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n ",
		sendTarget, conn.RemoteAddr(), w.Key, bodyBytes)
	entered <- err
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for err == nil {
		select {
		case <-tick.C:
			_, err = conn.Write([]byte(" "))
		case <-ctx.Done():
			return
		}
	}
}

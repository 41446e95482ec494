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
			leave := enterSlowClients(b, w)
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

// enterSlowClients returns when each has sent its header and a first byte.
func enterSlowClients(b *testing.B, w *world.World) (leave func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	var all sync.WaitGroup
	entered := make(chan error, slowClients)
	for range slowClients {
		all.Go(func() { dribble(ctx, w, entered) })
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
func dribble(ctx context.Context, w *world.World, entered chan<- error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(w.URL, "http://"))
	if err != nil {
		entered <- err
		return
	}
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n ",
		sendTarget, conn.RemoteAddr(), w.Key)
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

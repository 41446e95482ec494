package test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/posthorn/posthorn/handler/local/host"
	"github.com/posthorn/posthorn/handler/test/world"
)

// Only the Functions host, on the same machine, may reach the handler, and there
// is one handler to a port.
func (p *product) testListen(t *testing.T) {
	w := newDeployment(t, p, world.Options{})
	if a := w.Do(t, http.MethodGet, "/", nil, "Authorization", ""); a.StatusCode != http.StatusNoContent {
		t.Errorf("the host's question was answered %s", a.Status)
	}
	port := strconv.Itoa(world.PortOf(t, w.URL))
	elsewhere := []string{"127.0.0.2", "::1"}
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range interfaces {
		if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLoopback() && !ip.IP.IsLinkLocalUnicast() {
			elsewhere = append(elsewhere, ip.IP.String())
		}
	}
	for _, host := range elsewhere {
		if conn, err := net.Dial("tcp", net.JoinHostPort(host, port)); err == nil {
			conn.Close()
			t.Errorf("it answers at %s", host)
		}
	}

	second := world.Run(t, w.Env, p.HandlerFile)
	if code, said := second.ExitCode(t), second.Stderr.String(); code != 1 || !strings.HasPrefix(said, "posthorn: ") || !strings.Contains(said, port) {
		t.Errorf("exit code %d, %q", code, said)
	}
	if a := w.Get(t, "/healthz"); a.StatusCode != http.StatusOK {
		t.Errorf("the first says %s", a.Status)
	}
}

// SIGTERM lets a request that has begun come to its end.
func (p *product) testDrain(t *testing.T) {
	w := newDeployment(t, p, world.Options{Emulator: []string{"-slow", "500ms"}})
	var all sync.WaitGroup
	all.Go(func() { w.MustSend(t, world.Message(world.To("slow@example.net"))) })
	world.Await(t, "the call to ACS", func(context.Context) bool { return len(w.ACS.Arrivals(t)) == 1 })
	w.Handler.Terminate(t)
	all.Wait()
	if code := w.Handler.ExitCode(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", world.PortOf(t, w.URL))); err == nil {
		t.Error("it still listens")
	}
	w.ACS.Message(t)
}

// A client that sends all before it looks, as the Functions host does, finds the answer,
// also where the host itself calls.
func (p *product) testEarlyAnswer(t *testing.T) {
	w := newDeployment(t, p, world.Options{})
	for path, want := range map[string]int{"/emails:send": http.StatusUnauthorized, "/dispatch": http.StatusBadRequest} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL+path, strings.NewReader(strings.Repeat(" ", 30_000_000)))
		if err != nil {
			t.Fatal(err)
		}
		res, err := host.NewTransport().RoundTrip(req)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != want || len(text) == 0 || err != nil {
			t.Errorf("%s: %s %q, %v", path, res.Status, text, err)
		}
	}
}

// A host that is killed leaves its handler behind, and the next one starts another
// beside it. Together they send each message once.
func (p *product) testTwoHandlers(t *testing.T) {
	w := newDeployment(t, p, world.Options{})
	left, next := w.World, w.Another(t)
	const messages = 10
	var all sync.WaitGroup
	for n := range messages {
		for _, handler := range []*world.World{left, next} {
			all.Go(func() {
				a := handler.Send(t, world.Message(), "Idempotency-Key", fmt.Sprint("twins-", n))
				if a.StatusCode != http.StatusAccepted && a.StatusCode != http.StatusConflict {
					t.Errorf("message %d: %s", n, a.Status)
				}
			})
		}
	}
	all.Wait()
	if sent := len(w.ACS.Messages(t)); sent != messages {
		t.Errorf("%d messages were sent, want %d", sent, messages)
	}
	left.Handler.Kill(t)
	next.MustSend(t, world.Message(), "Idempotency-Key", "twins-0")
	next.MustSend(t, world.Message(), "Idempotency-Key", "alone")
	if sent := len(w.ACS.Messages(t)); sent != messages+1 {
		t.Errorf("%d messages were sent after one of them was killed, want %d", sent, messages+1)
	}
}

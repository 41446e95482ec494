package test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Only the Functions host, on the same machine, may reach the handler, and there
// is one handler to a port.
func (p *product) testListen(t *testing.T) {
	w := newWorld(t, p, worldOptions{})
	if a := w.do(t, http.MethodGet, "/", nil, "Authorization", ""); a.StatusCode != http.StatusNoContent {
		t.Errorf("the host's question was answered %s", a.Status)
	}
	port := strconv.Itoa(portOf(t, w.url))
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

	second := run(t, w.env, p.handler)
	if code, said := second.exitCode(t), second.stderr.String(); code != 1 || !strings.HasPrefix(said, "posthorn: ") || !strings.Contains(said, port) {
		t.Errorf("exit code %d, %q", code, said)
	}
	if a := w.get(t, "/healthz"); a.StatusCode != http.StatusOK {
		t.Errorf("the first says %s", a.Status)
	}
}

// SIGTERM lets a request that has begun come to its end.
func (p *product) testDrain(t *testing.T) {
	w := newWorld(t, p, worldOptions{emulator: []string{"-slow", "500ms"}})
	var all sync.WaitGroup
	all.Go(func() { w.mustSend(t, message(to("slow@example.net"))) })
	await(t, "the call to ACS", func(context.Context) bool { return len(w.acs.arrivals(t)) == 1 })
	w.handler.terminate(t)
	all.Wait()
	if code := w.handler.exitCode(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", portOf(t, w.url))); err == nil {
		t.Error("it still listens")
	}
	w.acs.message(t)
}

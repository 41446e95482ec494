// Package dnstest is a small Internet of name servers for tests: a resolver, a registry
// that delegates, and the servers of zones, which may be late, lame or hostile. Packets
// go over pipes, so that a test may let time pass by itself, or over loopback.
package dnstest

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// Addresses of what every World has.
const (
	Resolver = "192.0.2.53:53"
	registry = "192.0.2.1:53"
)

// Behaviour is how a server answers.
type Behaviour int

// The behaviours.
const (
	Answers     Behaviour = iota
	Silent                // takes questions, and says nothing
	Unreachable           // there is no way to it
	Fails                 // SERVFAIL
	Refuses               // REFUSED
	Lame                  // answers as one who is not authoritative
	Garbage               // bytes that are no message
	WrongID               // the answer to another question's number
	OtherName             // records of another name, under another question
	Stray                 // the question is right, the records are of another name
	Cut                   // cuts its answers over UDP
	CutForGood            // cuts them, and closes TCP
	Floods                // many packets that answer nothing
)

// Server is one address of a zone's server.
type Server struct {
	Name, Address string // as 192.0.2.10
	Does          Behaviour
	Records       string // in place of the zone's; empty: the same
}

// Zone is a zone file and who serves it. NS and SOA need not be in it.
type Zone struct {
	Name      string
	Servers   []Server
	Records   string   // lines of a zone file; names in full or relative to the zone
	Delegated []string // the names that the registry gives; nil: those of Servers
	Bogus     bool     // its signatures are wrong: the resolver answers SERVFAIL unless told not to check
}

// World is all of it.
type World struct {
	zones map[string]*zone
	hosts map[string][]net.IP // addresses of server names
	ports map[string]string   // by address:53, once it listens on loopback
}

type zone struct {
	Zone
	servers map[string]served // by address:53
}

type served struct {
	does    Behaviour
	records []dns.RR
}

// New makes a World of zones. A zone without servers gets two that answer.
func New(t testing.TB, zones ...Zone) *World {
	t.Helper()
	w := &World{zones: map[string]*zone{}, hosts: map[string][]net.IP{}}
	for i, z := range zones {
		name := dns.CanonicalName(z.Name)
		if z.Servers == nil {
			for j := range 2 {
				z.Servers = append(z.Servers, Server{Name: "ns" + string(rune('1'+j)) + "." + z.Name, Address: net.IPv4(198, 18, byte(i), byte(j+1)).String()})
			}
		}
		one := &zone{z, map[string]served{}}
		for _, s := range z.Servers {
			text := z.Records
			if s.Records != "" {
				text = s.Records
			}
			one.servers[net.JoinHostPort(s.Address, "53")] = served{s.Does, parse(t, name, text, z.Servers)}
			host := dns.CanonicalName(s.Name)
			w.hosts[host] = append(w.hosts[host], net.ParseIP(s.Address))
		}
		w.zones[name] = one
	}
	return w
}

func parse(t testing.TB, origin, text string, servers []Server) (all []dns.RR) {
	t.Helper()
	if !strings.Contains(text, " NS ") {
		for _, s := range servers {
			text += "\n@ NS " + dns.Fqdn(s.Name)
		}
	}
	p := dns.NewZoneParser(strings.NewReader("$TTL 300\n@ SOA ns.invalid. host.invalid. 1 2 3 4 5\n"+text+"\n"), origin, "")
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		all = append(all, rr)
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// Dial is a way to the servers, over pipes or, after Listen, loopback.
func (w *World) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	does, known := w.behaviour(address)
	if !known || does == Unreachable {
		return nil, errors.New("network is unreachable")
	}
	if w.ports != nil {
		return new(net.Dialer).DialContext(ctx, network, w.ports[address])
	}
	if network == "tcp" && does == CutForGood {
		return nil, errors.New("connection refused")
	}
	near, far := net.Pipe()
	go w.serve(far, network, address)
	return near, nil
}

func (w *World) serve(conn net.Conn, network, address string) {
	defer conn.Close()
	packet := make([]byte, 4096) // of a question
	for {
		n, err := conn.Read(packet)
		if network == "tcp" && err == nil {
			// A pipe hands over what one Write wrote: the length and the message.
			if n < 2 || int(binary.BigEndian.Uint16(packet)) != n-2 {
				return
			}
			copy(packet, packet[2:n])
			n -= 2
		}
		m := new(dns.Msg)
		if err != nil || m.Unpack(packet[:n]) != nil {
			return
		}
		for _, out := range w.reply(address, network, m) {
			if network == "tcp" {
				out = append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...)
			}
			if _, err := conn.Write(out); err != nil {
				return
			}
		}
		if network == "tcp" {
			_, _ = io.Copy(io.Discard, conn)
			return
		}
	}
}

// Listen serves the World on loopback from now on, over UDP and TCP.
func (w *World) Listen(t testing.TB) {
	t.Helper()
	w.ports = map[string]string{}
	addresses := []string{Resolver, registry}
	for _, z := range w.zones {
		for address := range z.servers {
			addresses = append(addresses, address)
		}
	}
	for _, address := range addresses {
		w.ports[address] = ListenOn(t, "127.0.0.1:0", func(network string, m *dns.Msg) [][]byte { return w.reply(address, network, m) })
	}
}

// ListenOn serves what reply says on an address of loopback, over UDP and TCP, and
// returns where.
func ListenOn(t testing.TB, address string, reply func(network string, m *dns.Msg) [][]byte) string {
	t.Helper()
	for range 20 { // the port that UDP gets may be taken for TCP
		packets, err := net.ListenPacket("udp", address)
		if err != nil {
			t.Fatal(err)
		}
		streams, err := net.Listen("tcp", packets.LocalAddr().String())
		if err != nil {
			_ = packets.Close()
			continue
		}
		for network, s := range map[string]*dns.Server{"udp": {PacketConn: packets}, "tcp": {Listener: streams}} {
			s.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
				for _, out := range reply(network, m) {
					_, _ = w.Write(out)
				}
			})
			started := make(chan struct{})
			s.NotifyStartedFunc = func() { close(started) }
			go func() { _ = s.ActivateAndServe() }()
			<-started
			t.Cleanup(func() { _ = s.Shutdown() })
		}
		return packets.LocalAddr().String()
	}
	t.Fatal("no port is free for both UDP and TCP")
	return ""
}

// Reply is what the resolver of the World says.
func (w *World) Reply(network string, m *dns.Msg) [][]byte { return w.reply(Resolver, network, m) }

package dnstest

import (
	"bytes"
	"net"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

func (w *World) behaviour(address string) (does Behaviour, known bool) {
	for _, z := range w.zones {
		if s, ok := z.servers[address]; ok {
			return s.does, true
		}
	}
	return Answers, address == Resolver || address == registry
}

// reply is what an address sends back, packet by packet.
func (w *World) reply(address, network string, m *dns.Msg) [][]byte {
	if len(m.Question) != 1 {
		return nil
	}
	r := new(dns.Msg)
	r.SetReply(m)
	r.Compress = true
	does, _ := w.behaviour(address)
	switch address {
	case Resolver:
		r.RecursionAvailable = true
		w.resolve(r, m.CheckingDisabled)
	case registry:
		w.refer(r)
	default:
		w.authority(address, r)
	}
	return spoiled(does, network, r)
}

// spoiled packs an answer as a server with a behaviour does.
func spoiled(does Behaviour, network string, r *dns.Msg) [][]byte {
	switch does {
	case Silent:
		return nil
	case Fails, Refuses:
		r.Answer, r.Rcode = nil, map[Behaviour]int{Fails: dns.RcodeServerFailure, Refuses: dns.RcodeRefused}[does]
	case Lame:
		r.Authoritative = false
	case Garbage:
		return [][]byte{bytes.Repeat([]byte{0xc0, 0x0c}, 40), {1, 2, 3}}
	case WrongID:
		r.Id++
	case OtherName:
		r.Question[0].Name = "other.invalid."
	case Stray:
		for i, rr := range r.Answer {
			r.Answer[i] = dns.Copy(rr)
			r.Answer[i].Header().Name = "other.invalid."
		}
	case Cut, CutForGood:
		if network == "udp" {
			r.Answer, r.Truncated = nil, true
		}
	case Floods:
		r.Id++
		packed, _ := r.Pack()
		return slices.Repeat([][]byte{packed}, 50)
	}
	if network == "udp" && r.Len() > 1232 {
		r.Answer, r.Truncated = nil, true
	}
	packed, err := r.Pack()
	if err != nil {
		return nil
	}
	return [][]byte{packed}
}

// zoneOf is the zone that holds a name, but not one that only begins at it if above.
func (w *World) zoneOf(name string) *zone {
	for at := name; ; {
		if z := w.zones[at]; z != nil {
			return z
		}
		i, end := dns.NextLabel(at, 0)
		if end {
			return nil
		}
		at = at[i:]
	}
}

// authority answers for a zone's server.
func (w *World) authority(address string, r *dns.Msg) {
	name := dns.CanonicalName(r.Question[0].Name)
	z := w.zoneOf(name)
	for z != nil {
		if s, ok := z.servers[address]; ok {
			r.Authoritative = true
			fill(r, z, s, name)
			return
		}
		// Perhaps a server of a zone above: it delegates.
		if above := w.zoneOf(parent(dns.CanonicalName(z.Name))); above != nil {
			if _, ok := above.servers[address]; ok {
				w.delegate(r, z)
				return
			}
			z = above
			continue
		}
		break
	}
	r.Rcode = dns.RcodeRefused
}

func parent(name string) string {
	if i, end := dns.NextLabel(name, 0); !end {
		return name[i:]
	}
	return "."
}

// fill answers from records: CNAMEs within the zone are followed.
func fill(r *dns.Msg, z *zone, s served, name string) {
	for range 12 {
		exists, alias := false, ""
		for _, rr := range s.records {
			owner := dns.CanonicalName(rr.Header().Name)
			exists = exists || owner == name || strings.HasSuffix(owner, "."+name)
			if owner != name {
				continue
			}
			if rr.Header().Rrtype == r.Question[0].Qtype {
				r.Answer = append(r.Answer, rr)
			} else if c, ok := rr.(*dns.CNAME); ok {
				r.Answer, alias = append(r.Answer, rr), dns.CanonicalName(c.Target)
			}
		}
		if !exists {
			r.Rcode = dns.RcodeNameError
		}
		if alias == "" || !dns.IsSubDomain(dns.CanonicalName(z.Name), alias) {
			return
		}
		name = alias
	}
}

// refer answers as the registry of all TLDs: it delegates.
func (w *World) refer(r *dns.Msg) {
	name := dns.CanonicalName(r.Question[0].Name)
	var top *zone
	for at := name; at != "."; at = parent(at) {
		if z := w.zones[at]; z != nil {
			top = z
		}
	}
	if top != nil {
		w.delegate(r, top)
		return
	}
	r.Authoritative = true
	if dns.CountLabel(name) <= 1 {
		w.top(r, name)
		return
	}
	r.Rcode = dns.RcodeNameError
}

func (w *World) delegate(r *dns.Msg, z *zone) {
	names := z.Delegated
	if names == nil {
		for _, s := range z.Servers {
			names = append(names, s.Name)
		}
	}
	for _, n := range slices.Compact(slices.Clone(names)) {
		r.Ns = append(r.Ns, &dns.NS{Hdr: header(dns.CanonicalName(z.Name), dns.TypeNS), Ns: dns.Fqdn(n)})
		for _, ip := range w.hosts[dns.CanonicalName(n)] {
			if ip.To4() != nil {
				r.Extra = append(r.Extra, &dns.A{Hdr: header(dns.Fqdn(n), dns.TypeA), A: ip})
			}
		}
	}
}

func header(name string, kind uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: 300}
}

func (w *World) top(r *dns.Msg, name string) {
	if r.Question[0].Qtype == dns.TypeNS {
		r.Answer = append(r.Answer, &dns.NS{Hdr: header(name, dns.TypeNS), Ns: "registry.invalid."})
	}
}

// resolve answers as a resolver that checks signatures.
func (w *World) resolve(r *dns.Msg, unchecked bool) {
	kind, name := r.Question[0].Qtype, dns.CanonicalName(r.Question[0].Name)
	if name == "registry.invalid." {
		if kind == dns.TypeA {
			r.Answer = append(r.Answer, &dns.A{Hdr: header(name, kind), A: net.IPv4(192, 0, 2, 1)})
		}
		return
	}
	if ips, ok := w.hosts[name]; ok && (kind == dns.TypeA || kind == dns.TypeAAAA) {
		for _, ip := range ips {
			if four := ip.To4(); four != nil && kind == dns.TypeA {
				r.Answer = append(r.Answer, &dns.A{Hdr: header(name, kind), A: four})
			} else if four == nil && kind == dns.TypeAAAA {
				r.Answer = append(r.Answer, &dns.AAAA{Hdr: header(name, kind), AAAA: ip})
			}
		}
		return
	}
	for range 12 {
		z := w.zoneOf(name)
		if z == nil {
			if dns.CountLabel(name) <= 1 {
				w.top(r, name)
			} else {
				r.Rcode = dns.RcodeNameError
			}
			return
		}
		s, ok := z.honest()
		if !ok || z.Bogus && !unchecked {
			r.Answer, r.Rcode = nil, dns.RcodeServerFailure
			return
		}
		before := len(r.Answer)
		fill(r, z, s, name)
		if len(r.Answer) == before {
			return
		}
		c, alias := r.Answer[len(r.Answer)-1].(*dns.CNAME)
		if !alias || kind == dns.TypeCNAME || dns.CanonicalName(c.Target) == name {
			return
		}
		name, r.Rcode = dns.CanonicalName(c.Target), dns.RcodeSuccess
	}
	r.Answer, r.Rcode = nil, dns.RcodeServerFailure
}

// honest is the first server of a zone that answers a resolver.
func (z *zone) honest() (served, bool) {
	for _, one := range z.Servers {
		s := z.servers[net.JoinHostPort(one.Address, "53")]
		if s.does == Answers || s.does == Cut || s.does == Lame {
			return s, true
		}
	}
	return served{}, false
}

package dns

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	miekg "github.com/miekg/dns"
	"golang.org/x/net/publicsuffix"
)

const (
	maxNames     = 13 // names of servers that are looked up; a delegation that fits UDP has no more
	maxAddresses = 4  // of one name and one family
	maxParents   = 3  // servers of the parent that are asked
	maxMissed    = 3  // addresses of them that may be silent; then the parent is unknown
	maxSilence   = 2  // questions in a row without an answer; then a server is asked no more
)

// server is one address of an authoritative server.
type server struct {
	*Server
	mu      sync.Mutex
	silence int
	away    bool // no way to it from this computer
}

// delegation is what the parent's servers say of a zone.
type delegation struct {
	names []string
	glue  map[string][]string
	heard bool // whether any of them answered
}

// findZone finds the zone that holds the domain and the names of its servers, as
// the zone itself tells them. It climbs until a name has NS records.
func (c *check) findZone(ctx context.Context) (names []string, ok bool) {
	heard, broken := false, ""
	c.trouble = "names no servers of it"
	for name := c.domain.Name; name != ""; name = parent(name) {
		q := question{name: name, kind: miekg.TypeNS}
		got := c.lookup(ctx, q)
		if got.outcome == failed {
			q.cd = true
			if unchecked := c.lookup(ctx, q); unchecked.outcome >= absent {
				c.dnssecBroken(name)
				got = unchecked
			}
		}
		heard = heard || got.outcome >= absent
		if got.outcome == found {
			if names := servedBy(got.msg.Answer, name); len(names) > 0 {
				return c.choose(ctx, name, names, broken)
			}
		} else if got.outcome < absent {
			broken, c.trouble = name, got.trouble
		}
	}
	if heard {
		c.zoneUnknown()
		return nil, false
	}
	c.add(Finding{Level: Yellow, Code: "resolver-silent", blocks: true, Record: c.domain.Name, Sentence: "No resolver answers: " + listed(c.resolvers) + ".",
		Remedy: "Check the network, or name a resolver with --resolver HOST:PORT."})
	return nil, false
}

// choose takes the zone that climbing found, unless a name below it is delegated to
// servers that all fail, or it is one in which anybody registers.
func (c *check) choose(ctx context.Context, zone string, names []string, broken string) ([]string, bool) {
	open := zone != c.domain.Name && len(zone) <= len(registry(c.domain.Name))
	heard := true
	if open && broken == "" {
		for broken = c.domain.Name; parent(broken) != zone; {
			broken = parent(broken)
		}
		got := c.lookup(ctx, question{name: broken, kind: miekg.TypeNS})
		if got.msg != nil && got.msg.Rcode == miekg.RcodeNameError && len(got.msg.Answer) == 0 {
			broken = "" // else a CNAME may hide what stands there
		}
	}
	if broken != "" {
		d := c.delegated(ctx, broken, zone, names)
		if len(d.names) > 0 {
			c.zone = broken
			return d.names, true
		}
		heard = d.heard
	}
	switch {
	case open && !heard:
		c.zoneUnknown()
		return nil, false
	case open:
		c.add(Finding{Level: Red, Code: "domain-not-registered", Record: c.domain.Name, Sentence: c.domain.Name + " does not exist: the zone " + shown(zone) + " has no delegation for it.",
			Remedy: "Check the spelling. Otherwise register the domain, or renew it, and set its name servers at the registrar."})
		return nil, false
	}
	c.zone = zone
	return names, true
}

func (c *check) zoneUnknown() {
	c.add(Finding{Level: Yellow, Code: "zone-unknown", blocks: true, Record: c.domain.Name, Sentence: "The zone of " + c.domain.Name + " could not be found: a resolver " + c.trouble + ".",
		Remedy: "Run doctor again, or name another resolver with --resolver. If the error stays, its name servers may be down."})
}

// registry is the suffix under which a registry gives out names, without the private
// ones of the list, which are ordinary zones.
func registry(name string) string {
	suffix, icann := publicsuffix.PublicSuffix(name)
	for !icann && strings.Contains(suffix, ".") {
		suffix, icann = publicsuffix.PublicSuffix(parent(suffix))
	}
	return suffix
}

// delegated asks servers of the parent, named or to be found, for the delegation of a zone.
func (c *check) delegated(ctx context.Context, zone, above string, servers []string) delegation {
	for servers == nil {
		got := c.lookup(ctx, question{name: above, kind: miekg.TypeNS})
		if got.outcome == found {
			servers = servedBy(got.msg.Answer, above)
		}
		if above == "" {
			break
		}
		above = parent(above)
	}
	d, missed := delegation{glue: map[string][]string{}}, 0
	for _, name := range servers[:min(len(servers), maxParents)] {
		for _, address := range c.addresses(ctx, name, nil) {
			got := c.put(ctx, net.JoinHostPort(address, "53"), question{name: zone, kind: miekg.TypeNS})
			if got.outcome == silent {
				missed++
			}
			if missed == maxMissed {
				return d
			}
			if got.outcome < absent {
				continue
			}
			d.heard, d.names = true, servedBy(slices.Concat(got.msg.Answer, got.msg.Ns), zone)
			for _, rr := range got.msg.Extra {
				if kind := rr.Header().Rrtype; kind == miekg.TypeA || kind == miekg.TypeAAAA {
					host := canonical(rr.Header().Name)
					d.glue[host] = append(d.glue[host], value(rr))
				}
			}
			if len(d.names) > 0 {
				return d
			}
		}
	}
	return d
}

// addresses are those of a server's name, or what the parent says of them.
func (c *check) addresses(ctx context.Context, name string, glue []string) []string {
	var all []string
	for _, kind := range []uint16{miekg.TypeA, miekg.TypeAAAA} {
		values, _ := c.values(ctx, name, kind)
		all = append(all, values[:min(len(values), maxAddresses)]...)
	}
	if len(all) == 0 {
		all = glue[:min(len(glue), 2*maxAddresses)]
	}
	return all
}

// findServers finds the addresses of all servers that the zone and its parent name.
func (c *check) findServers(ctx context.Context, own []string) {
	d := c.delegated(ctx, c.zone, parent(c.zone), nil)
	names := slices.Concat(own, d.names)
	slices.Sort(names)
	names = slices.Compact(names)
	c.compareDelegation(own, d.names)
	many := len(names) > maxNames
	names = names[:min(len(names), maxNames)]
	lists := make([][]string, len(names))
	var group sync.WaitGroup
	for i, name := range names {
		group.Go(func() { lists[i] = c.addresses(ctx, name, d.glue[name]) })
	}
	group.Wait()
	for i, name := range names {
		for _, address := range lists[i] {
			if len(c.servers) == MaxServers {
				many = true
				break
			}
			c.servers = append(c.servers, &server{Server: &Server{Name: name, Address: address}})
		}
		if len(lists[i]) == 0 {
			c.servers = append(c.servers, &server{Server: &Server{Name: name, Trouble: "has no address"}})
		}
	}
	if many {
		c.servers = append(c.servers, &server{Server: &Server{Name: "further servers", Trouble: "were not asked"}})
		c.add(Finding{Level: Yellow, Code: "zone-many-servers", Record: c.zone, Sentence: "The zone " + shown(c.zone) + " has more servers than are asked here.",
			Remedy: "Use fewer name servers. What the others say is unknown."})
	}
}

// compareDelegation tells of servers that only the zone or only its parent names: of
// records in a zone that nobody asks.
func (c *check) compareDelegation(own, above []string) {
	if len(above) == 0 || slices.Equal(slices.Compact(slices.Sorted(slices.Values(own))), slices.Compact(slices.Sorted(slices.Values(above)))) {
		return
	}
	c.add(Finding{Level: Yellow, Code: "zone-delegation-differs", Record: c.zone,
		Sentence: "The parent of " + shown(c.zone) + " names other servers than the zone itself. Records may be in a zone that no resolver asks.",
		Remedy:   "Set the same name servers at the registrar and in the zone: " + listed(above) + " or " + listed(own) + ". Edit the records there.",
		Evidence: []Evidence{{"the parent", listed(above)}, {"the zone itself", listed(own)}}})
}

// dnssecBroken is told once.
func (c *check) dnssecBroken(name string) {
	for _, f := range c.report.Findings {
		if f.Code == "dnssec-broken" {
			return
		}
	}
	c.add(Finding{Level: Red, Code: "dnssec-broken", Record: name,
		Sentence: "DNSSEC is broken for " + shown(name) + ": a resolver that checks signatures answers SERVFAIL, and one that does not gets an answer.",
		Remedy:   "Compare the DS record at the registrar with the keys of the zone. Remove the DS record, or sign the zone again."})
}

// put asks one authoritative server, unless it was silent too often.
func (s *server) put(ctx context.Context, c *check, q question) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Address == "" || s.away || s.silence >= maxSilence || s.silence > 0 && !s.Answered {
		return answer{silent, nil, s.Trouble}
	}
	got := c.put(ctx, net.JoinHostPort(s.Address, "53"), q)
	s.away = got.outcome == unreachable
	if got.msg == nil {
		s.silence++
	} else {
		s.silence, s.Answered = 0, true
	}
	if got.trouble != "" {
		s.Trouble = got.trouble
	}
	return got
}

// blame notes what is wrong with a server.
func (s *server) blame(trouble string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Trouble = trouble
}

func (s *server) v6() bool {
	address, err := netip.ParseAddr(s.Address)
	return err == nil && address.Is6()
}

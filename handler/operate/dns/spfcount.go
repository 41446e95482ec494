package dns

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"

	"blitiri.com.ar/go/spf"
	miekg "github.com/miekg/dns"
)

// The limits of RFC 7208, section 4.6.4.
const (
	maxLookups = 10
	maxVoids   = 2
	// maxCounted is where counting ends.
	maxCounted = 40
)

// spfTree is what an SPF record leads to.
type spfTree struct {
	lookups, voids int
	names          []string // every record that was read, without the first
	networks       []string // ip4 and ip6 of the first record
	dead           []string // what leads nowhere, as the end of a sentence
	unknown        []string // names that gave no answer
}

// follow reads everything that an SPF record leads to, in the order of evaluation, as
// if nothing matched. path are the domains on the way.
func (c *check) follow(ctx context.Context, domain string, terms []spfTerm, path []string, t *spfTree) {
	before, _ := reached(terms)
	for _, term := range before {
		if t.lookups >= maxCounted {
			return
		}
		switch {
		case len(path) == 0 && (term.name == "ip4" || term.name == "ip6"):
			t.networks = append(t.networks, strings.ToLower(term.value))
		case term.name == "include" || term.modifier && term.name == "redirect":
			t.lookups++
			c.followRecord(ctx, term, domain, path, t)
		case term.name == "a" || term.name == "mx" || term.name == "exists":
			t.lookups++
			c.followAddress(ctx, term, domain, t)
		case term.name == "ptr":
			t.lookups++
		}
	}
}

func (c *check) followRecord(ctx context.Context, term spfTerm, domain string, path []string, t *spfTree) {
	name := term.target(domain)
	if name == "" {
		return // a macro: known to the receiver alone
	}
	if name == domain || slices.Contains(path, name) {
		t.dead = append(t.dead, "leads back to "+shown(name)+", in a ring")
		return
	}
	values, what := c.values(ctx, name, miekg.TypeTXT)
	if what < absent {
		t.unknown = append(t.unknown, name)
		return
	}
	if what == absent {
		t.voids++
	}
	values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return !isSPF(v) })
	switch len(values) {
	case 0:
		t.dead = append(t.dead, "has "+shown(term.text)+", and "+shown(name)+" has no SPF record")
		return
	case 1:
	default:
		t.dead = append(t.dead, "has "+shown(term.text)+", and "+shown(name)+" has several SPF records")
		return
	}
	t.names = append(t.names, name)
	terms, wrong := parseSPF(values[0])
	for _, w := range wrong {
		t.dead = append(t.dead, "includes "+shown(name)+", which "+w)
	}
	c.follow(ctx, name, terms, append(slices.Clone(path), domain), t)
}

func (c *check) followAddress(ctx context.Context, term spfTerm, domain string, t *spfTree) {
	name := term.target(domain)
	if name == "" {
		return
	}
	kinds := []uint16{miekg.TypeA, miekg.TypeAAAA}
	if term.name == "mx" {
		kinds = []uint16{miekg.TypeMX}
	}
	void := true
	for _, kind := range kinds {
		_, what := c.values(ctx, name, kind)
		if what < absent {
			t.unknown = append(t.unknown, name)
		}
		void = void && what == absent
	}
	if void {
		t.voids++
	}
}

// evaluate asks a library that receivers use for a second opinion: what becomes of mail
// from an address that nobody has.
func (c *check) evaluate(ctx context.Context, text string) (spf.Result, error) {
	nobody := net.IPv4(192, 0, 2, 1) // RFC 5737
	return spf.CheckHostWithSender(nobody, c.domain.Name, "postmaster@"+c.domain.Name, spf.WithContext(ctx),
		spf.WithResolver(spfResolver{c, text}))
}

// spfResolver gives the library what resolvers say, and of the domain itself one text.
type spfResolver struct {
	*check
	text string
}

func (r spfResolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if canonical(name) == r.domain.Name {
		return []string{r.text}, nil
	}
	return r.find(ctx, name, miekg.TypeTXT)
}

func (r spfResolver) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	hosts, err := r.find(ctx, name, miekg.TypeMX)
	var all []*net.MX
	for _, host := range hosts {
		all = append(all, &net.MX{Host: host})
	}
	return all, err
}

func (r spfResolver) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	four, err := r.find(ctx, host, miekg.TypeA)
	six, err6 := r.find(ctx, host, miekg.TypeAAAA)
	var all []net.IPAddr
	for _, text := range append(four, six...) {
		all = append(all, net.IPAddr{IP: net.ParseIP(text)})
	}
	if len(all) > 0 {
		return all, nil
	}
	if missing, ok := errors.AsType[*net.DNSError](err); ok && !missing.IsNotFound {
		return nil, err
	}
	return nil, err6
}

func (r spfResolver) LookupAddr(context.Context, string) ([]string, error) {
	return nil, &net.DNSError{Err: "no such host", IsNotFound: true} // nobody's address has no name
}

func (r spfResolver) find(ctx context.Context, name string, kind uint16) ([]string, error) {
	if _, ok := miekg.IsDomainName(name); !ok {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	values, what := r.values(ctx, name, kind)
	switch what {
	case found:
		return slices.Clone(values), nil
	case absent:
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return nil, &net.DNSError{Err: "no answer", Name: name, IsTemporary: true}
}

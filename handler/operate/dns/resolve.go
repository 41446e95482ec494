package dns

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"

	miekg "github.com/miekg/dns"
)

const (
	// maxChain is how many CNAMEs are followed from a name.
	maxChain = 8
	// maxValues is how many records of one answer are looked at: all that fit into one, or
	// a second SPF record could hide behind the first hundred.
	maxValues = 64 << 10 / 12
)

// check is the state of one Check.
type check struct {
	*Checker
	domain  Domain
	zone    string
	servers []*server
	report  *Report
	trouble string       // what a resolver says in place of the zone
	policy  *policyFound // of DMARC; nil if there is none that counts

	mu        sync.Mutex
	questions int
	known     map[question]answer // of resolvers
}

// spend takes one question out of MaxQuestions.
func (c *check) spend(ctx context.Context) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.questions++
	return c.questions <= MaxQuestions && ctx.Err() == nil
}

// put asks one address, within the bounds.
func (c *check) put(ctx context.Context, address string, q question) answer {
	if !c.spend(ctx) {
		return answer{silent, nil, "was not asked: the limit of questions or of time is reached"}
	}
	return c.ask(ctx, address, q)
}

// lookup asks the resolvers in turn, and remembers what they say.
func (c *check) lookup(ctx context.Context, q question) answer {
	q.name, q.rd = canonical(q.name), true
	c.mu.Lock()
	got, ok := c.known[q]
	c.mu.Unlock()
	if ok {
		return got
	}
	for _, r := range c.resolvers {
		if got = c.put(ctx, r, q); got.outcome >= absent {
			break
		}
	}
	c.mu.Lock()
	c.known[q] = got
	c.mu.Unlock()
	return got
}

// values are those of a kind that resolvers find under a name, whatever CNAMEs lie
// between. Its outcome is absent where there is none.
func (c *check) values(ctx context.Context, name string, kind uint16) ([]string, outcome) {
	for range maxChain {
		got := c.lookup(ctx, question{name: name, kind: kind})
		if got.outcome < absent {
			return nil, got.outcome
		}
		values, end := chain(got.msg.Answer, name, kind)
		switch {
		case len(values) > 0:
			return values, found
		case end == canonical(name) || got.msg.Rcode == miekg.RcodeNameError:
			return nil, absent
		}
		name = end
	}
	return nil, failed
}

// chain follows CNAMEs from a name through the records of one answer, and gives the
// values of a kind at the end, and where that is. A CNAME beside values, which no zone
// may have, is an end too.
func chain(records []miekg.RR, name string, kind uint16) (values []string, end string) {
	end = canonical(name)
	for range maxChain {
		next := ""
		for _, rr := range records {
			if canonical(rr.Header().Name) != end || rr.Header().Class != miekg.ClassINET {
				continue
			}
			if rr.Header().Rrtype == kind && len(values) < maxValues {
				values = append(values, value(rr))
			} else if alias, ok := rr.(*miekg.CNAME); ok {
				next = canonical(alias.Target)
			}
		}
		if next != "" && next != end {
			end = next
		}
		if len(values) > 0 || next == "" {
			break
		}
	}
	slices.Sort(values)
	return values, end
}

// servedBy are the names in the NS records of just one name.
func servedBy(records []miekg.RR, zone string) (names []string) {
	for _, rr := range records {
		if ns, ok := rr.(*miekg.NS); ok && canonical(ns.Hdr.Name) == zone && len(names) < maxValues {
			names = append(names, canonical(ns.Ns))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// value is what a record says: of TXT its bytes, joined; of names small letters.
func value(rr miekg.RR) string {
	switch rr := rr.(type) {
	case *miekg.TXT:
		return raw(strings.Join(rr.Txt, ""))
	case *miekg.CNAME:
		return canonical(rr.Target)
	case *miekg.NS:
		return canonical(rr.Ns)
	case *miekg.MX:
		return canonical(rr.Mx)
	case *miekg.A:
		return rr.A.String()
	case *miekg.AAAA:
		return rr.AAAA.String()
	}
	return ""
}

// raw undoes the escapes \" and \DDD that the library writes into the strings of TXT.
func raw(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		i++
		if i+2 < len(text) && digit(text[i]) && digit(text[i+1]) && digit(text[i+2]) {
			b.WriteByte((text[i]-'0')*100 + (text[i+1]-'0')*10 + text[i+2] - '0')
			i += 2
			continue
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// canonical is a name in small letters without its last dot; the root is "".
func canonical(name string) string {
	return strings.TrimSuffix(strings.ToLower(name), ".")
}

// parent is a name without its first label. The parent of a TLD is "", the root.
func parent(name string) string {
	if i, end := miekg.NextLabel(name, 0); !end {
		return name[i:]
	}
	return ""
}

// System names the resolvers of this computer, each HOST:PORT, on every system that
// Go's own resolver knows. It asks nothing of them.
func System(ctx context.Context) []string {
	var (
		mu        sync.Mutex
		resolvers []string
	)
	spy := &net.Resolver{PreferGo: true, Dial: func(_ context.Context, _, address string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		if !slices.Contains(resolvers, address) {
			resolvers = append(resolvers, address)
		}
		return nil, errUnreachable
	}}
	_, _ = spy.LookupTXT(ctx, "example.com.")
	return resolvers
}

package dns

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	miekg "github.com/miekg/dns"
)

// seen is what one authoritative server says to one question.
type seen struct {
	server  *server
	outcome outcome
	values  []string
	alias   string // the last CNAME between the name and the values
	trouble string
}

// view is what all authoritative servers say to one question.
type view struct {
	name string
	kind uint16
	seen []seen
}

// group is all servers that say the same.
type group struct {
	values   []string
	alias    string
	evidence []Evidence
}

// look asks every authoritative server at once.
func (c *check) look(ctx context.Context, name string, kind uint16) view {
	v := view{canonical(name), kind, make([]seen, len(c.servers))}
	var wait sync.WaitGroup
	for i, s := range c.servers {
		wait.Go(func() { v.seen[i] = c.see(ctx, s, question{name: v.name, kind: kind}) })
	}
	wait.Wait()
	return v
}

// see asks one server. Where a CNAME or a delegation leads away from it, resolvers are
// asked for the rest.
func (c *check) see(ctx context.Context, s *server, q question) seen {
	got := s.put(ctx, c, q)
	out := seen{server: s, outcome: got.outcome, trouble: got.trouble}
	if got.outcome < absent {
		return out
	}
	if !got.msg.Authoritative {
		if !c.refers(got.msg, q.name) {
			out.outcome, out.trouble = failed, "is not authoritative for the zone"
			s.blame(out.trouble)
			return out
		}
		out.values, out.outcome = c.values(ctx, q.name, q.kind)
		out.trouble = "delegates it; " + said(out)
		return out
	}
	values, end := chain(got.msg.Answer, q.name, q.kind)
	out.values, out.outcome = values, absent
	if len(values) > 0 {
		out.outcome = found
	}
	if end != q.name {
		out.alias = end
		if len(values) == 0 && got.msg.Rcode == miekg.RcodeSuccess {
			out.values, out.outcome = c.values(ctx, end, q.kind)
		}
	}
	if out.outcome < absent {
		out.trouble = "answers with a CNAME to " + shown(end) + ", where no answer comes from"
	}
	return out
}

// refers says whether a message hands a name over to a zone below.
func (c *check) refers(m *miekg.Msg, name string) bool {
	for _, rr := range m.Ns {
		owner := canonical(rr.Header().Name)
		if rr.Header().Rrtype == miekg.TypeNS && len(owner) > len(c.zone) && within(name, owner) {
			return true
		}
	}
	return false
}

// within says whether a name is a zone's own or below it.
func within(name, zone string) bool {
	return name == zone || zone == "" || strings.HasSuffix(name, "."+zone)
}

// said is an answer as evidence.
func said(s seen) string {
	switch {
	case s.outcome == absent && s.alias != "":
		return "CNAME " + shown(s.alias) + ", and nothing there"
	case s.outcome == absent:
		return "no record"
	case s.outcome != found:
		return s.trouble
	}
	all := []string{listed(s.values)}
	if s.alias != "" {
		all = append(all, "by CNAME "+shown(s.alias))
	}
	return strings.Join(all, ", ")
}

// groups are the servers that answered, by the values that count; most servers first.
func (v view) groups(counts func(string) bool) []group {
	var all []group
	for _, s := range v.seen {
		if s.outcome < absent {
			continue
		}
		var values []string
		for _, value := range s.values {
			if counts == nil || counts(value) {
				values = append(values, value)
			}
		}
		e := Evidence{s.server.Name + " " + s.server.Address, said(s)}
		i := slices.IndexFunc(all, func(g group) bool { return slices.Equal(g.values, values) && g.alias == s.alias })
		if i < 0 {
			all = append(all, group{values, s.alias, []Evidence{e}})
		} else {
			all[i].evidence = append(all[i].evidence, e)
		}
	}
	slices.SortStableFunc(all, func(a, b group) int { return len(b.evidence) - len(a.evidence) })
	return all
}

// unheard are the names of servers that told nothing: no address answered, or one
// answered with an error. Without IPv6 on this computer, servers that have no other address
// do not count.
func (v view) unheard() []Evidence {
	heard, faults, reached := map[string]bool{}, map[string]Evidence{}, false
	for _, s := range v.seen {
		heard[s.server.Name] = heard[s.server.Name] || s.outcome >= absent
		reached = reached || s.server.v6() && s.outcome != unreachable && !s.server.away
	}
	for _, s := range v.seen {
		if s.outcome >= absent || s.outcome != failed && heard[s.server.Name] || s.server.v6() && s.server.away && !reached {
			continue
		}
		faults[s.server.Name] = Evidence{strings.TrimSpace(s.server.Name + " " + s.server.Address), s.trouble}
	}
	var all []Evidence
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		all = append(all, faults[name])
	}
	return all
}

// judge adds what one says of the values of each group, and what follows from servers
// that differ or say nothing: then nothing is green.
func (c *check) judge(k Kind, v view, counts func(string) bool, one func(group) []Finding) {
	code := strings.ToLower(string(k))
	groups, unheard := v.groups(counts), v.unheard()
	if len(groups) == 0 {
		c.add(Finding{Level: Yellow, Code: code + "-unknown", Kind: k, Record: v.name, blocks: true,
			Sentence: fmt.Sprintf("%s of %s is unknown: no authoritative server answers.", k, shown(v.name)),
			Remedy:   blocked, Evidence: unheard})
		return
	}
	var all []Finding
	for _, g := range groups {
		if len(groups) > 1 && len(g.values) == 0 && g.alias == "" {
			continue // told below
		}
		for _, f := range one(g) {
			f.Kind, f.Record, f.Evidence = k, cmp.Or(f.Record, v.name), g.evidence
			if i := slices.IndexFunc(all, func(o Finding) bool { return o.Code == f.Code && o.Sentence == f.Sentence }); i >= 0 {
				all[i].Evidence = append(all[i].Evidence, f.Evidence...)
				continue
			}
			all = append(all, f)
		}
	}
	if len(groups) > 1 {
		all = append(all, differ(k, v, groups))
	}
	for _, f := range all {
		if f.Level == Green && (len(unheard) > 0 || len(groups) > 1) {
			f.Level, f.Code, f.blocks = Yellow, code+"-unsure", true
			f.Remedy = "Not every server says so. Run doctor again when all servers agree."
			f.Evidence = slices.Concat(f.Evidence, unheard)
		}
		c.add(f)
	}
	if len(unheard) > 0 {
		c.block(k, "Not every authoritative server answers: "+unheard[0].Server+" "+unheard[0].Answer+".")
	}
}

func differ(k Kind, v view, groups []group) Finding {
	var evidence []Evidence
	for _, g := range groups {
		for _, e := range g.evidence {
			what := seen{outcome: found, values: g.values, alias: g.alias}
			if len(g.values) == 0 {
				what.outcome = absent
			}
			evidence = append(evidence, Evidence{e.Server, said(what)})
		}
	}
	return Finding{Level: Yellow, Code: strings.ToLower(string(k)) + "-partial", Kind: k, Record: v.name, blocks: true,
		Sentence: fmt.Sprintf("The authoritative servers differ on %s of %s: %d of %d say the same.", k, shown(v.name), len(groups[0].evidence), len(evidence)),
		Remedy:   "Wait some minutes after a change, and run doctor again. If the difference stays, fix the transfer between the servers.", Evidence: evidence}
}

package window

import "cmp"

// rank orders who is next: the lowest is.
type rank struct {
	class Class
	least bool    // beyond its guaranteed share
	level float64 // what it used of its weight
}

func (r rank) compare(o rank) int {
	guaranteed := func(r rank) int {
		if r.least {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(r.class, o.class), cmp.Compare(guaranteed(r), guaranteed(o)), cmp.Compare(r.level, o.level))
}

// choose reserves for the next one, again and again, until it does not fit. Nobody
// overtakes one who only needs more room; whom a cap or his sender holds back is overtaken.
func (d *Draft) choose(wants []Want) [][]Grant {
	grants := make([][]Grant, len(wants))
	weights, capped := d.wantWeights(wants), make([]bool, len(wants))
	for {
		best, first := -1, rank{}
		for i, w := range wants {
			if capped[i] || len(grants[i]) == len(w.Calls) {
				continue
			}
			c := w.call(len(grants[i]))
			if r := d.rank(c, weights[c.Class]); best < 0 || r.compare(first) < 0 {
				best, first = i, r
			}
		}
		if best < 0 {
			return grants
		}
		c := wants[best].call(len(grants[best]))
		switch {
		case d.capFits(c) > d.at, d.Health.senderOpensAt(c.Sender) > d.at:
			capped[best] = true
		case d.fits(c) > d.at:
			return grants
		default:
			grants[best] = append(grants[best], d.grant(c))
		}
	}
}

// call is the ith call of w. Its class may be less urgent than the line's, if that is all
// its caller may use by now.
func (w Want) call(i int) Call {
	c := w.Calls[i]
	c.Caller, c.Class = w.Caller, max(c.Class, w.Class)
	return c
}

func (d *Draft) rank(c Call, w weights) rank {
	used := d.Callers.used(c.Caller, d.at)
	return rank{
		class: c.Class,
		least: c.Share == 0 || used+c.Cost > d.limits.PerHour*c.Share/100,
		level: float64(used) / w.of(c),
	}
}

// wantWeights are those of the callers who want something, by class.
func (d *Draft) wantWeights(wants []Want) map[Class]weights {
	shares := map[Class]map[string]int{}
	for _, w := range wants {
		if len(w.Calls) == 0 {
			continue
		}
		c := w.call(0)
		if shares[c.Class] == nil {
			shares[c.Class] = map[string]int{}
		}
		shares[c.Class][c.Caller] = c.Share
	}
	all := map[Class]weights{}
	for class, s := range shares {
		all[class] = split(s)
	}
	return all
}

// split gives those without a share what the shares leave.
func split(shares map[string]int) weights {
	left, others := 100, 0
	for _, s := range shares {
		left -= s
		if s == 0 {
			others++
		}
	}
	return weights{float64(max(left, 1)) / float64(max(others, 1))}
}

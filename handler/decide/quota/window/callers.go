package window

import (
	"maps"
	"strings"
	"time"
)

const (
	// CallersKept is how many callers' usage a row remembers; of more, the least is
	// forgotten.
	CallersKept = 256
	// capStep is how exactly the time of a caller's usage is kept, so that a row holds
	// that of many.
	capStep = 5 * time.Minute
)

// CallerUsage is what each caller used. A caller may have parts, see Call.
type CallerUsage map[string]Usage

// capWindow is a step more than an hour, so that no hour holds more than a cap, however it
// is aligned: a reservation counts from the beginning of its step.
func capWindow(limit int) window {
	return window{limit, time.Hour + capStep, func(at Instant) Instant { return at - at%Instant(capStep.Milliseconds()) }}
}

func (c CallerUsage) clone() CallerUsage {
	all := make(CallerUsage, len(c))
	for name, u := range c {
		all[name] = u.clone()
	}
	return all
}

// expire forgets callers of whom nothing counts any more.
func (c CallerUsage) expire(at Instant) {
	maps.DeleteFunc(c, func(caller string, _ Usage) bool { return c.used(caller, at) == 0 })
}

// whole is the caller of which one is a part, if it is.
func whole(caller string) (name string, part bool) {
	name, _, part = strings.Cut(caller, "/")
	return name, part
}

func (c CallerUsage) add(caller string, at Instant, cost int) {
	if caller == "" {
		return
	}
	if name, part := whole(caller); part {
		c.add(name, at, cost)
	}
	u, found := c[caller]
	if !found {
		c.forgetLeast(at)
	}
	u.add(capWindow(0), at, cost)
	c[caller] = u
}

func (c CallerUsage) forgetLeast(at Instant) {
	if len(c) < CallersKept {
		return
	}
	least, name := 0, ""
	for n := range c {
		if used := c.used(n, at); name == "" || used < least || used == least && n < name {
			least, name = used, n
		}
	}
	delete(c, name)
}

// used is what a caller used in the last hour, and up to a step more.
func (c CallerUsage) used(caller string, at Instant) int {
	_, tokens := c[caller].counting(capWindow(0), at)
	return tokens
}

// merge counts what another row counted.
func (c CallerUsage) merge(o CallerUsage) {
	for caller, u := range o {
		if _, found := c[caller]; !found {
			c.forgetLeast(u.Newest)
		}
		c[caller] = mergeUsages(c[caller], u)
	}
}

func (c CallerUsage) part(row, rows int) CallerUsage {
	p := make(CallerUsage, len(c))
	for caller, u := range c {
		p[caller] = u.part(row, rows)
	}
	return p
}

// percent is a part of n, at least 1 of what is not nothing.
func percent(n, p int) int { return max(min(n, 1), n*p/100) }

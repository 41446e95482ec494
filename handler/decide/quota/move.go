package quota

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// move brings the ledger from one layout into the next, or finishes what others
// began of it; any number may do so at once. First the old rows are closed, the
// first row first: it decides what the next layout is. A closed row never changes
// again but for where it leads, so all who go on compute the same new rows; the
// first of these is written last, and says that all are there.
func (l *Ledger) move(ctx context.Context, from, to layout) (layout, error) {
	old := make([]snapshot, from.Shards)
	for i := range old {
		var err error
		if old[i], err = l.close(ctx, from, i, to); err != nil {
			return layout{}, err
		}
		if i == 0 {
			to = *old[0].next
		}
	}
	if to.Generation != from.Generation+1 {
		return to, nil // the row of the ledger's name leads further
	}
	fresh := merge(old, from, to)
	for i := to.Shards - 1; i >= 0; i-- {
		if err := l.insert(ctx, to.row(l.name, i), fresh[i]); err != nil {
			return layout{}, err
		}
	}
	to = fresh[0].layout
	if from.Generation > 0 {
		if err := l.lead(ctx, to); err != nil {
			return layout{}, err
		}
	}
	return to, nil
}

// close makes sure that nothing is booked in a row any more.
func (l *Ledger) close(ctx context.Context, y layout, shard int, to layout) (snapshot, error) {
	return l.change(ctx, y.row(l.name, shard), y, func(b *ledger) bool {
		if b.next != nil {
			return false
		}
		b.layout, b.next = y, &to
		return true
	})
}

// lead lets the row of the ledger's name lead to a layout.
func (l *Ledger) lead(ctx context.Context, to layout) error {
	_, err := l.change(ctx, l.name, layout{}, func(b *ledger) bool {
		if b.next == nil || b.next.Generation >= to.Generation {
			return false
		}
		b.next = &to
		return true
	})
	return err
}

// change rewrites a row until it needs no more of it, and returns what is there.
func (l *Ledger) change(ctx context.Context, row string, y layout, change func(*ledger) bool) (snapshot, error) {
	var failed error
	for try, failures := 1, 0; failures < tries; try++ {
		seen, err := l.lookAt(ctx, row, y)
		if err != nil {
			return snapshot{}, errors.Join(err, failed)
		}
		b := seen.ledger.clone()
		if !change(&b) {
			return seen, nil
		}
		failed = l.write(ctx, &shard{name: row}, &seen, b)
		if !overtaken(failed) {
			failures++
		}
		if err := pause(ctx, 0, try, l.newID()); err != nil {
			return snapshot{}, errors.Join(err, failed)
		}
	}
	return snapshot{}, fmt.Errorf("quota ledger: its row %s could not be changed: %w", row, failed)
}

// merge is what the rows of from are in the layout to. Of every booking each new
// row takes its part, so that all together count what was counted before.
func merge(old []snapshot, from, to layout) []ledger {
	var used []usage
	all := ledger{layout: to, use: use{Callers: map[string][]int{}}}
	desks := map[int]*desk{}
	for _, s := range old {
		used = append(used, s.usage)
		all.health = all.health.worse(s.health)
		all.use.add(s.use)
		if all.pause == nil {
			all.pause = s.pause
		}
		for _, d := range s.desks {
			if d.forgetEmpty(); len(d.Lines) > 0 {
				desks[d.Shard] = &desk{Shard: d.Shard, Lines: slices.Clone(d.Lines), Ticket: d.Ticket}
				all.layout.Homes = max(all.layout.Homes, d.Shard+1)
			}
		}
	}
	all.usage = together(used)
	fresh := make([]ledger, to.Shards)
	for i := range fresh {
		fresh[i] = ledger{layout: all.layout, health: all.health, pause: all.pause, use: all.use.part(i, to.Shards), usage: all.usage.part(i, to.Shards)}
		for home := range max(from.Homes, all.layout.Homes) {
			if d := desks[home]; d != nil && home%to.Shards == i {
				fresh[i].desks = append(fresh[i].desks, *d)
			}
		}
	}
	return fresh
}

// worse is what two rows say of ACS, at its worst. A canary of either is not
// waited for.
func (h health) worse(o health) health {
	h.BackoffUntil = max(h.BackoffUntil, o.BackoffUntil)
	h.Probing, h.Ramp, h.CanaryAt = h.Probing || o.Probing, h.Ramp || o.Ramp, 0
	h.RampFrom, h.RampUsed = max(h.RampFrom, o.RampFrom), h.RampUsed+o.RampUsed
	h.Repeats, h.Fails = max(h.Repeats, o.Repeats), max(h.Fails, o.Fails)
	h.Lost, h.LostAt = max(h.Lost, o.Lost), max(h.LostAt, o.LostAt)
	return h
}

// add counts what another row counted.
func (u *use) add(o use) {
	newest := instant(max(u.At, o.At) * capBucket.Milliseconds())
	o = o.clone()
	o.turn(newest)
	u.turn(newest)
	for caller, counts := range o.Callers {
		if u.Callers[caller] == nil {
			u.forgetLeast()
			u.Callers[caller] = make([]int, capBuckets)
		}
		for i, n := range counts {
			u.Callers[caller][i] += n
		}
	}
}

// part is what one of several shards has of u.
func (u use) part(shard, shards int) use {
	u = u.clone()
	for _, counts := range u.Callers {
		for i, n := range counts {
			counts[i] = n*(shard+1)/shards - n*shard/shards
		}
	}
	return u
}

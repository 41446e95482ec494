package quota

import (
	"context"
	"errors"
	"time"
)

var (
	// ErrSeat says that another pump serves the shard.
	ErrSeat = errors.New("another pump has the seat")
	// ErrJoined says that somebody joined who may go before the pump would come
	// back: it keeps the seat, and looks again.
	ErrJoined = errors.New("somebody joined meanwhile")
)

// fewest is how many heads a pump lists at least.
const fewest = 4

// Shards is how many there are, those that only have old lines included.
func (l *Ledger) Shards() int { return l.known().Homes }

// Open takes the seat of a shard for pumpID, for SeatLife, if somebody may go.
// lines are those of whom; room is about how many tokens could be booked now, but
// at least a few. Otherwise ok is false, and next is when this tick must come
// again: zero if nothing waits, or another pump or tick sees to it.
func (l *Ledger) Open(ctx context.Context, shard int, pumpID string) (lines []LineView, room int, next time.Time, ok bool, err error) {
	a := l.at(ctx, shard, func(p *page) answer { return p.open(p.desk(shard), pumpID) })
	return a.lines, a.room, a.next, a.ok, a.err
}

func (p *page) open(d *desk, pumpID string) answer {
	if d.seated(p.at) && d.Pump != pumpID {
		return answer{}
	}
	var lines []LineView
	for _, n := range d.Lines {
		if at := p.goes(n); at > 0 && at <= p.at {
			lines = append(lines, n.view())
		}
	}
	if len(lines) > 0 {
		d.Pump, d.Until, d.TickAt, d.Fresh = pumpID, p.at.add(SeatLife), 0, false
		p.dirty = true
		return answer{lines: lines, room: max(p.free(), fewest), ok: true}
	}
	next := p.soonest(d)
	if next == 0 || (d.TickAt > p.at.add(tickEarly) && d.TickAt <= next.add(time.Second)) {
		return answer{}
	}
	d.Pump, d.TickAt, p.dirty = "", next, true
	return answer{next: next.time()}
}

// goes is when the head of n may go, 0 if it has none.
func (p *page) goes(n line) instant {
	if n.empty() {
		return 0
	}
	return max(p.room(n.call()), n.Due, p.at)
}

// soonest is when somebody at d may go, 0 if nobody waits.
func (p *page) soonest(d *desk) instant {
	var first instant
	for _, n := range d.Lines {
		first = sooner(first, p.goes(n))
	}
	return first
}

// sooner is the earlier of two times, of which 0 is none.
func sooner(a, b instant) instant {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// free is how many tokens could be booked now.
func (p *page) free() int {
	n := min(p.tally.free(p.limitsFor(High, p.at), p.at))
	switch h := p.health; {
	case h.room(p.limits, p.at, 1) > p.at:
		return 0
	case h.Probing:
		return min(n, 1)
	case h.ramping(p.at):
		return min(n, h.rampFree(p.limits, p.at))
	}
	return n
}

// Want is what a pump has read of a line.
type Want struct {
	Line
	// Calls are of the heads, in order; Line says their caller and class.
	Calls []Call
	// Complete says that these are all rows of the line that may go.
	Complete bool
	// NextDue is when the first row that may not go yet is due, zero if there is
	// none. Of Later lines.
	NextDue time.Time
}

// Take books for as many wants as fit: by class, then by guaranteed share, then by
// who used least of its weight, nobody beyond a cap, in order within a line. It
// renews the seat, counts what it took as gone, and corrects what the ledger
// thinks of lines seen whole. grants[i] are those of wants[i].Calls, as far as
// they go. next is when more may go, zero if nothing waits. It is ErrSeat if
// another pump has the seat, else Unavailable; then tokens may be spent.
func (l *Ledger) Take(ctx context.Context, shard int, pumpID string, wants []Want) (grants [][]Grant, next time.Time, err error) {
	for _, w := range wants {
		for _, c := range w.Calls {
			if c.Cost < 1 {
				return nil, time.Time{}, l.check(c)
			}
		}
	}
	a := l.at(ctx, shard, func(p *page) answer { return p.takeFor(p.desk(shard), pumpID, wants) })
	for _, g := range a.grants {
		l.stats.taken.Add(int64(len(g)))
	}
	return a.grants, a.next, a.err
}

func (p *page) takeFor(d *desk, pumpID string, wants []Want) answer {
	if d.Pump != pumpID {
		return answer{err: ErrSeat}
	}
	p.dirty = true
	grants := p.choose(wants)
	var next instant
	seen := map[Line]bool{}
	for i, w := range wants {
		seen[w.Line] = true
		next = sooner(next, p.correct(d, w, grants[i]))
	}
	d.forgetEmpty()
	for _, n := range d.Lines {
		if !seen[n.name()] {
			next = sooner(next, p.goes(n))
		}
	}
	d.Until, d.Fresh = p.at.add(SeatLife), false
	return answer{grants: grants, next: next.time()}
}

// correct makes the line of w what the pump saw, less what it took, and says when
// its next may go; 0 if there is none.
func (p *page) correct(d *desk, w Want, grants []Grant) instant {
	n := d.line(w.Line)
	cost, left := 0, 0
	for i, c := range w.Calls {
		n.Share, n.Cap = c.Share, c.Cap
		if i < len(grants) {
			cost += c.Cost
		} else {
			left += c.Cost
		}
	}
	rest := len(w.Calls) - len(grants)
	if len(grants) > 0 && n.Waiting == 0 { // what was not counted, need not be counted off
		n.Waiting, n.Cost = len(grants), cost
	}
	n.take(len(grants), cost)
	joining := n.Joined > 0 && p.at < n.Joined.add(JoinGrace)
	if w.Complete && !joining && !w.Later {
		n.Waiting, n.Cost = rest, left
	}
	if !w.Complete {
		rest++
	}
	n.Waiting, n.Cost = max(n.Waiting, rest), max(n.Cost, left, rest)
	look := p.at.add(max(2*time.Second, p.at.sub(n.Joined))) // for rows on their way
	if w.Later {
		return p.correctLater(n, w, rest, joining, look)
	}
	if rest == 0 && n.Waiting > 0 {
		return look
	}
	return p.goes(*n)
}

// correctLater sets when the first of a later line is due.
func (p *page) correctLater(n *line, w Want, rest int, joining bool, look instant) instant {
	due := instant(0)
	if !w.NextDue.IsZero() {
		due = instantOf(w.NextDue)
	}
	switch {
	case rest > 0:
		n.Due = min(max(n.Due, 1), p.at)
	case joining && n.Waiting > 0 && n.Due > p.at:
		n.Due = sooner(n.Due, due)
	case joining && n.Waiting > 0 && due == 0:
		n.Due = look
	default:
		n.Due = due
	}
	if n.Due == 0 {
		n.Waiting, n.Cost = 0, 0
	}
	n.Waiting = max(n.Waiting, min(1, int(n.Due)))
	return p.goes(*n)
}

// Rest gives the seat back, and counts on the tick for at, that the pump then
// sends; at zero: nothing waits. It is ErrJoined, and the seat is kept, if somebody
// joined who may go sooner; ErrSeat if another pump has it.
func (l *Ledger) Rest(ctx context.Context, shard int, pumpID string, at time.Time) error {
	return l.at(ctx, shard, func(p *page) answer {
		d := p.desk(shard)
		if d.Pump != pumpID {
			return answer{err: ErrSeat}
		}
		p.dirty = true
		var tick instant
		if !at.IsZero() {
			tick = max(instantOf(at), p.at)
		}
		if first := p.soonest(d); d.Fresh && first > 0 && (tick == 0 || first.add(time.Second) < tick) {
			d.Fresh, d.Until = false, p.at.add(SeatLife)
			return answer{err: ErrJoined}
		}
		d.Pump, d.Until, d.TickAt, d.Fresh = "", 0, tick, false
		return answer{}
	}).err
}

// Overdue lists the shards that need a tick now: somebody waits, nobody has the
// seat, and no tick is on its way. found are the lines that the timer saw in the
// table: what the ledger does not know of, it learns.
func (l *Ledger) Overdue(ctx context.Context, found map[int][]LineView) (shards []int, err error) {
	if y := l.known(); !y.same(l.limits.first()) {
		l.leave(y) // a change was too early when it was last thought of
	}
	for shard := range l.Shards() {
		a := l.at(ctx, shard, func(p *page) answer {
			d := p.desk(shard)
			for _, v := range found[shard] {
				p.learn(d, v)
			}
			return answer{ok: p.soonest(d) > 0 && !d.seated(p.at) && !d.ticking(p.at)}
		})
		if a.err != nil {
			err = errors.Join(err, a.err)
		}
		if a.ok {
			shards = append(shards, shard)
		}
	}
	return shards, err
}

// learn takes over a line that the ledger does not know.
func (p *page) learn(d *desk, v LineView) {
	if n := d.find(v.Line); (n != nil && !n.empty()) || len(d.Lines) >= LinesKept {
		return
	}
	n := d.line(v.Line)
	n.Waiting = max(v.Waiting, 1)
	n.Cost = n.Waiting
	if v.Later {
		n.Due = p.at
		if !v.NextDue.IsZero() {
			n.Due = max(1, instantOf(v.NextDue))
		}
	}
	p.dirty = true
}

package quota

import (
	"context"
	"errors"
	"slices"
	"time"
)

var (
	// ErrLeaseTaken says that another pump serves the shard.
	ErrLeaseTaken = errors.New("another pump has the seat")
	// ErrJoined says that somebody joined who may go before the pump would come
	// back: it keeps the seat, and looks again.
	ErrJoined = errors.New("somebody joined meanwhile")
)

// fewest is how many heads a pump lists at least.
const fewest = 4

// Shards is how many there are, those that only have old lines included.
func (l *Ledger) Shards() int { return l.known().Homes }

// Opening is what a pump finds at a shard.
type Opening struct {
	// OK says that it has the seat, and something is to be done now in Lines. Room is
	// about how many tokens could be booked, but at least a few. Probing says that just
	// one call may go, by which is seen how ACS is.
	OK      bool
	At      time.Time // the earliest that it can be by storage's clock, just read
	Lines   []LineView
	Room    int
	Probing bool
	// Refused is the sender whose call should not be that one, if another's may; 0: none.
	// BackedOff are the senders that ACS refuses while it takes others, and until when.
	Refused   uint32
	BackedOff map[uint32]time.Time
	// Kept says that nothing is to be done now, and it has kept the seat.
	Kept bool
	// Next is when more is to be done if it is not OK. If the seat is not Kept, its tick
	// must come then: zero if nothing waits, or another pump or tick sees to it.
	Next time.Time
}

// Open takes the seat of a shard for pumpID, for SeatLife, if something is to be done
// there. A busy pump has messages of these lines in its hands, and keeps the seat that
// it has: another would take them for waiting. An error is Unavailable, and then it may
// have the seat.
func (l *Ledger) Open(ctx context.Context, shard int, pumpID string, busy bool) (Opening, error) {
	a := l.at(ctx, shard, func(p *page) answer {
		a := p.open(p.desk(shard), pumpID, busy)
		a.opening.At = p.at.time()
		return a
	})
	return a.opening, a.err
}

func (p *page) open(d *desk, pumpID string, busy bool) answer {
	if d.seated(p.at) && d.Pump != pumpID {
		return answer{}
	}
	if lines := p.worthALook(d); len(lines) > 0 {
		d.Pump, d.Until, d.TickAt, d.Fresh = pumpID, p.at.add(LeaseLife), 0, false
		p.dirty = true
		return answer{opening: Opening{
			OK: true, Lines: lines, Room: max(p.free(), fewest), Probing: p.health.Probing && p.pause == nil,
			Refused: p.health.Refused, BackedOff: p.health.backedOff(p.at),
		}}
	}
	next := p.soonest(d)
	if busy && d.Pump == pumpID {
		if d.Until < p.at.add(LeaseLife/2) {
			d.Until, p.dirty = p.at.add(LeaseLife), true
		}
		return answer{opening: Opening{Kept: true, Next: next.time()}}
	}
	if next == 0 || (d.TickAt > p.at.add(tickEarly) && d.TickAt <= next.add(time.Second)) {
		return answer{}
	}
	d.Pump, d.TickAt, p.dirty = "", next, true
	return answer{opening: Opening{Next: next.time()}}
}

// worthALook are the lines for which something is to be done now: those with something
// held first, then by who goes next, since a pump may not look at all.
func (p *page) worthALook(d *desk) []LineView {
	var due []line
	classes := map[Class]weights{}
	for _, n := range d.Lines {
		if at := p.goes(d, n); at > 0 && at <= p.at {
			due = append(due, n)
			classes[n.Class] = p.weights(n.call())
		}
	}
	held := func(n line) bool { return n.Look > 0 && n.Look <= p.at }
	slices.SortStableFunc(due, func(a, b line) int {
		switch {
		case held(a) == held(b):
			return p.rank(a.call(), classes[a.Class]).compare(p.rank(b.call(), classes[b.Class]))
		case held(a):
			return -1
		}
		return 1
	})
	lines := make([]LineView, len(due))
	for i, n := range due {
		lines[i] = n.view()
		lines[i].Held = held(n)
	}
	return lines
}

// goes is when something of n may be done: its head may go, or one that is held is
// to be looked at. It is 0 if nothing of it is known.
func (p *page) goes(d *desk, n line) (at instant) {
	if !n.empty() && (n.Later && n.Due > 0 || !n.Later && d.ready(n) > 0) {
		at = max(p.room(n.call()), n.Due, p.at)
	}
	if n.Look > 0 {
		at = sooner(at, max(n.Look, p.at))
	}
	return at
}

// soonest is when somebody at d may go, 0 if nobody waits.
func (p *page) soonest(d *desk) instant {
	var first instant
	for _, n := range d.Lines {
		first = sooner(first, p.goes(d, n))
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
	n := min(p.usage.free(p.limitsFor(High, p.at), p.at))
	switch h := p.health; {
	case p.opens(1) > p.at:
		return 0
	case h.Probing:
		return min(n, 1)
	case h.ramping(p.at):
		return min(n, h.rampFree(p.limits, p.at))
	}
	return n
}

// Want is what a pump has read of a line. What is in its own hands it has not read.
type Want struct {
	Line
	// Calls are of the heads that need nothing but room, in order; Line says their
	// caller and class.
	Calls []Call
	// Held are those beside them that pause or are in doubt, and what they cost. Next is
	// when the first of them is to be looked at: not zero if there are any.
	Held, HeldCost int
	Next           time.Time
	// Scheduled are those that are not due yet, and NextDue is when the first of them
	// is; zero if there is none. Of Later lines.
	Scheduled int
	NextDue   time.Time
	// Complete says that these are all rows of the line.
	Complete bool
	// Asked are those whose fate the pump is asking for now: they are in its hands.
	Asked int
	// Seen are the tickets of all that it has read.
	Seen []int64
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
		return answer{err: ErrLeaseTaken}
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
			next = sooner(next, p.goes(d, n))
		}
	}
	d.Until, d.Fresh = p.at.add(LeaseLife), false
	return answer{grants: grants, next: next.time()}
}

// correct makes the line of w what the pump saw, less what it took, and says when
// something of it is to be done next; 0 if there is nothing.
func (p *page) correct(d *desk, w Want, grants []Grant) instant {
	n := d.line(w.Line)
	cost, left := 0, 0
	for i, c := range w.Calls {
		n.has(c)
		if i < len(grants) {
			cost += c.Cost
		} else {
			left += c.Cost
		}
	}
	d.arrived(w.Seen...)
	rest, missed := len(w.Calls)-len(grants), d.missed(w.Line, p.at)
	n.take(len(grants)+w.Asked, cost+w.Asked)
	if w.Complete {
		n.Waiting = rest + w.Held + w.Scheduled + len(missed)
		n.Cost = left + w.HeldCost + w.Scheduled + len(missed)
	} else {
		n.Waiting, n.Cost = max(n.Waiting, rest+w.Held+1), max(n.Cost, left+w.HeldCost+1)
	}
	n.Held, n.HeldCost, n.Look = w.Held, w.HeldCost, p.looksAgain(*n, w)
	if !w.Complete && len(w.Calls)+w.Asked == 0 { // nobody knows what is behind those
		n.Held, n.HeldCost = n.Waiting, n.Cost
	}
	p.await(n, w, rest, missed)
	if n.Look == 0 && (n.Held > 0 || n.Waiting > 0 && p.goes(d, *n) == 0) { // nothing waits that nobody looks at
		n.Look = p.at.add(latestLook).wholeSecond()
	}
	return p.goes(d, *n)
}

// looksAgain is when something of those of w that are held is to be done, or may be of
// those behind them.
func (p *page) looksAgain(n line, w Want) (look instant) {
	if !w.Next.IsZero() {
		look = max(1, instantOf(w.Next)).wholeSecond()
	}
	if w.Complete {
		return look
	}
	if n.Look > p.at {
		look = sooner(look, n.Look)
	}
	if w.Asked > 0 { // those behind may be in doubt, too
		look = sooner(look, p.at.add(soonestLook).wholeSecond())
	}
	return look
}

// await sets when a line is to be looked at for those that were missed and, if it is
// a later one, when its first is due.
func (p *page) await(n *line, w Want, rest int, missed []coming) {
	due := instant(0)
	if !w.NextDue.IsZero() {
		due = max(1, instantOf(w.NextDue))
	}
	for _, c := range missed {
		switch {
		case c.Held && c.Due > p.at:
			n.Look = sooner(n.Look, c.Due.wholeSecond())
		case w.Later && c.Due > p.at:
			due = sooner(due, c.Due)
		default:
			n.Look = sooner(n.Look, p.at.add(min(max(p.at.sub(c.At), soonestLook), latestLook)).wholeSecond())
		}
	}
	switch {
	case !w.Later:
		return
	case rest > 0, !w.Complete && due == 0 && w.Held == 0: // or more of them, further back
		due = p.at
	}
	n.Due = due
	n.Waiting = max(n.Waiting, min(1, int(n.Due)))
}

// Rest gives the seat back, and counts on the tick for at, that the pump then
// sends; at zero: nothing waits. It is ErrJoined, and the seat is kept, if somebody
// joined who may go sooner; ErrSeat if another pump has it.
func (l *Ledger) Rest(ctx context.Context, shard int, pumpID string, at time.Time) error {
	return l.at(ctx, shard, func(p *page) answer {
		d := p.desk(shard)
		if d.Pump != pumpID {
			return answer{err: ErrLeaseTaken}
		}
		p.dirty = true
		var tick instant
		if !at.IsZero() {
			tick = max(instantOf(at), p.at)
		}
		if first := p.soonest(d); d.Fresh && first > 0 && (tick == 0 || first.add(time.Second) < tick) {
			d.Fresh, d.Until = false, p.at.add(LeaseLife)
			return answer{err: ErrJoined}
		}
		d.Pump, d.Until, d.TickAt, d.Fresh = "", 0, tick, false
		return answer{}
	}).err
}

// Overdue lists the shards that need a tick now: somebody waits, nobody has the
// seat, and no tick is on its way. found are the lines that the timer saw in the
// table, nil if it did not look: what the ledger does not know of, it learns, and what
// is not there, it forgets.
func (l *Ledger) Overdue(ctx context.Context, found map[int][]LineView) (shards []int, err error) {
	if y := l.known(); y.Shards != l.limits.first().Shards {
		l.leave(y) // a change was too early when it was last thought of
	}
	for shard := range l.Shards() {
		a := l.at(ctx, shard, func(p *page) answer {
			d := p.desk(shard)
			if found != nil {
				p.unlearn(d, found[shard])
			}
			for _, v := range found[shard] {
				p.learn(d, v)
			}
			first := p.soonest(d)
			return answer{ok: first > 0 && !d.seated(p.at) && !d.awaits(first, p.at)}
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

// unlearn forgets the lines that are not in the table, unless somebody of them is on
// the way there.
func (p *page) unlearn(d *desk, found []LineView) {
	d.Lines = slices.DeleteFunc(d.Lines, func(n line) bool {
		gone := !slices.ContainsFunc(found, func(v LineView) bool { return v.Line == n.name() }) &&
			!slices.ContainsFunc(d.Coming, func(c coming) bool { return c.name() == n.name() && p.at < c.At.add(JoinGrace) })
		p.dirty = p.dirty || gone
		return gone
	})
}

// learn takes over a line that the ledger does not know, and that its head is held. One
// that waits for room is looked at now, since behind its head somebody may wait for
// reasons of his own of whom the ledger was not told.
func (p *page) learn(d *desk, v LineView) {
	n := d.find(v.Line)
	if n == nil && len(d.Lines) >= LinesKept {
		return
	}
	if n == nil || p.goes(d, *n) == 0 {
		n = d.line(v.Line)
		n.Waiting = max(v.Waiting, 1)
		n.Cost, p.dirty = n.Waiting, true
		if v.Later {
			n.Due = p.at
			if !v.NextDue.IsZero() {
				n.Due = max(1, instantOf(v.NextDue))
			}
		}
	}
	if look := max(instantOf(v.Look), p.at).wholeSecond(); v.Held && p.goes(d, *n) > look {
		n.Look, p.dirty = look, true
	}
	if n.Look == 0 && n.Due <= p.at {
		n.Look, p.dirty = p.at.wholeSecond(), true
	}
}

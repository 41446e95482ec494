package window

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

var (
	// ErrLeaseTaken says that another dispatcher serves the shard.
	ErrLeaseTaken = errors.New("another dispatcher has the lease")
	// ErrJoined says that somebody joined who may go before the dispatcher would come
	// back: it keeps the lease, and looks again.
	ErrJoined = errors.New("somebody joined meanwhile")
)

// fewest is how many messages a dispatcher lists at least.
const fewest = 4

// Opening is what a dispatcher finds at a shard.
type Opening struct {
	// OK says that it has the lease, and something is to be done now in Lines. Room is
	// about how many tokens could be reserved, but at least a few. Probing says that just
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
	// Kept says that nothing is to be done now, and it has kept the lease.
	Kept bool
	// Next is when more is to be done if it is not OK. If the lease is not Kept, its wake-up
	// message must come then: zero if nothing waits, or another dispatcher or wake-up
	// message sees to it.
	Next time.Time
}

// Open gives the lease of a shard to a dispatcher, for LeaseLife, if something is to be done
// there. A busy one has messages of these lines in its hands, and keeps the lease that it
// has: another would take them for waiting.
func (d *Draft) Open(shard int, dispatcher string, busy bool) Opening {
	o := d.open(d.queue(shard), dispatcher, busy)
	o.At = d.at.Time()
	return o
}

func (d *Draft) open(q *Queue, dispatcher string, busy bool) Opening {
	if q.leased(d.at) && q.Dispatcher != dispatcher {
		return Opening{}
	}
	if lines := d.dueLines(q); len(lines) > 0 {
		q.Dispatcher, q.LeaseEnd, q.WakeUpAt, q.JoinedSince = dispatcher, d.at.Add(LeaseLife), 0, false
		d.Changed = true
		return Opening{
			OK: true, Lines: lines, Room: max(d.free(), fewest), Probing: d.Health.Probing && d.Pause == nil,
			Refused: d.Health.Refused, BackedOff: d.Health.backedOffSenders(d.at),
		}
	}
	next := d.nextDue(q)
	if busy && q.Dispatcher == dispatcher {
		if q.LeaseEnd < d.at.Add(LeaseLife/2) {
			q.LeaseEnd, d.Changed = d.at.Add(LeaseLife), true
		}
		return Opening{Kept: true, Next: next.Time()}
	}
	if next == 0 || (q.WakeUpAt > d.at.Add(wakeUpEarly) && q.WakeUpAt <= next.Add(time.Second)) {
		return Opening{}
	}
	q.Dispatcher, q.WakeUpAt, d.Changed = "", next, true
	return Opening{Next: next.Time()}
}

// dueLines are the lines for which something is to be done now: those with something
// held first, then by who goes next, since a dispatcher may not look at all.
func (d *Draft) dueLines(q *Queue) []LineView {
	var due []lineState
	classes := map[Class]weights{}
	for _, n := range q.Lines {
		if at := d.dueAt(q, n); at > 0 && at <= d.at {
			due = append(due, n)
			classes[n.Class] = d.weights(n.call())
		}
	}
	held := func(n lineState) bool { return n.Look > 0 && n.Look <= d.at }
	slices.SortStableFunc(due, func(a, b lineState) int {
		switch {
		case held(a) == held(b):
			return d.rank(a.call(), classes[a.Class]).compare(d.rank(b.call(), classes[b.Class]))
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

// dueAt is when something of n may be done: its first message may go, or one that is held is
// to be looked at. It is 0 if nothing of it is known.
func (d *Draft) dueAt(q *Queue, n lineState) (at Instant) {
	if !n.empty() && (n.Later && n.Due > 0 || !n.Later && q.ready(n) > 0) {
		at = max(d.fits(n.call()), n.Due, d.at)
	}
	if n.Look > 0 {
		at = sooner(at, max(n.Look, d.at))
	}
	return at
}

// nextDue is when somebody in q may go, 0 if nobody waits.
func (d *Draft) nextDue(q *Queue) Instant {
	var first Instant
	for _, n := range q.Lines {
		first = sooner(first, d.dueAt(q, n))
	}
	return first
}

// sooner is the earlier of two times, of which 0 is none.
func sooner(a, b Instant) Instant {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// free is how many tokens could be reserved now.
func (d *Draft) free() int {
	l := d.limitsFor(High, d.at)
	n := min(d.Usage.free(minute(l.PerMinute), d.at), d.Usage.free(hour(l.PerHour), d.at))
	switch h := d.Health; {
	case d.opensAt(1) > d.at:
		return 0
	case h.Probing:
		return min(n, 1)
	case h.ramping(d.at):
		return min(n, h.rampFree(d.limits, d.at))
	}
	return n
}

// Want is what a dispatcher has read of a line. What is in its own hands it has not read.
type Want struct {
	Line
	// Calls are of the first messages that need nothing but room, in order; Line says their
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
	// Asked are those whose fate the dispatcher is asking for now: they are in its hands.
	Asked int
	// Seen are the tickets of all that it has read.
	Seen []int64
}

// Take reserves for as many wants as fit, renews the lease, counts what it took as gone,
// and corrects what is counted of lines that were seen whole. grants[i] are those of
// wants[i].Calls, as far as they go; next is when more may go, zero if nothing waits. The
// error is ErrLeaseTaken.
func (d *Draft) Take(shard int, dispatcher string, wants []Want) (grants [][]Grant, next time.Time, err error) {
	q := d.queue(shard)
	if q.Dispatcher != dispatcher {
		return nil, time.Time{}, ErrLeaseTaken
	}
	d.Changed = true
	grants = d.choose(wants)
	var first Instant
	seen := map[Line]bool{}
	for i, w := range wants {
		seen[w.Line] = true
		first = sooner(first, d.correct(q, w, grants[i]))
	}
	q.dropEmptyLines()
	for _, n := range q.Lines {
		if !seen[n.Line] {
			first = sooner(first, d.dueAt(q, n))
		}
	}
	q.LeaseEnd, q.JoinedSince = d.at.Add(LeaseLife), false
	return grants, first.Time(), nil
}

// Rest gives the lease back, and counts on the wake-up message for at; at zero, nothing
// waits. It is ErrJoined, and the lease is kept, if somebody joined who may go sooner;
// ErrLeaseTaken if another dispatcher has it.
func (d *Draft) Rest(shard int, dispatcher string, at time.Time) error {
	q := d.queue(shard)
	if q.Dispatcher != dispatcher {
		return ErrLeaseTaken
	}
	d.Changed = true
	wakeUp := InstantOf(at)
	if wakeUp > 0 {
		wakeUp = max(wakeUp, d.at)
	}
	if first := d.nextDue(q); q.JoinedSince && first > 0 && (wakeUp == 0 || first.Add(time.Second) < wakeUp) {
		q.JoinedSince, q.LeaseEnd = false, d.at.Add(LeaseLife)
		return ErrJoined
	}
	q.Dispatcher, q.LeaseEnd, q.WakeUpAt, q.JoinedSince = "", 0, wakeUp, false
	return nil
}

// Overdue says that a shard needs a wake-up message now: something is to be done, nobody
// has the lease, and no such message is on its way. With looked, found are the lines that
// are in the table: the rest is forgotten, and what is new is learnt.
func (d *Draft) Overdue(shard int, looked bool, found []LineView) bool {
	q := d.queue(shard)
	if looked {
		d.unlearn(q, found)
	}
	for _, v := range found {
		d.learn(q, v)
	}
	first := d.nextDue(q)
	return first > 0 && !q.leased(d.at) && !q.awaitsWakeUp(first, d.at)
}

// correct makes the line of w what the dispatcher saw, less what it took, and says when
// something of it is to be done next; 0 if there is nothing.
func (d *Draft) correct(q *Queue, w Want, grants []Grant) Instant {
	n := q.lineFor(w.Line)
	cost, left := 0, 0
	for i, c := range w.Calls {
		n.setTerms(c)
		if i < len(grants) {
			cost += c.Cost
		} else {
			left += c.Cost
		}
	}
	q.arrived(w.Seen...)
	rest, missed := len(w.Calls)-len(grants), q.missed(w.Line, d.at)
	n.remove(len(grants)+w.Asked, cost+w.Asked)
	if w.Complete {
		n.Waiting = rest + w.Held + w.Scheduled + len(missed)
		n.Cost = left + w.HeldCost + w.Scheduled + len(missed)
	} else {
		n.Waiting, n.Cost = max(n.Waiting, rest+w.Held+1), max(n.Cost, left+w.HeldCost+1)
	}
	n.Held, n.HeldCost, n.Look = w.Held, w.HeldCost, d.looksAgain(*n, w)
	if !w.Complete && len(w.Calls)+w.Asked == 0 { // nobody knows what is behind those
		n.Held, n.HeldCost = n.Waiting, n.Cost
	}
	d.await(n, w, rest, missed)
	if n.Look == 0 && (n.Held > 0 || n.Waiting > 0 && d.dueAt(q, *n) == 0) { // nothing waits that nobody looks at
		n.Look = d.at.Add(latestLook).WholeSecond()
	}
	return d.dueAt(q, *n)
}

// looksAgain is when something of those of w that are held is to be done, or may be of
// those behind them.
func (d *Draft) looksAgain(n lineState, w Want) (look Instant) {
	look = InstantOf(w.Next).WholeSecond()
	if w.Complete {
		return look
	}
	if n.Look > d.at {
		look = sooner(look, n.Look)
	}
	if w.Asked > 0 { // those behind may be in doubt, too
		look = sooner(look, d.at.Add(soonestLook).WholeSecond())
	}
	return look
}

// await sets when a line is to be looked at for those that were missed and, if it is
// a later one, when its first is due.
func (d *Draft) await(n *lineState, w Want, rest int, missed []arrival) {
	due := InstantOf(w.NextDue)
	for _, c := range missed {
		switch {
		case c.Held && c.Due > d.at:
			n.Look = sooner(n.Look, c.Due.WholeSecond())
		case w.Later && c.Due > d.at:
			due = sooner(due, c.Due)
		default:
			n.Look = sooner(n.Look, d.at.Add(min(max(d.at.Sub(c.At), soonestLook), latestLook)).WholeSecond())
		}
	}
	switch {
	case !w.Later:
		return
	case rest > 0, !w.Complete && due == 0 && w.Held == 0: // or more of them, further back
		due = d.at
	}
	n.Due = due
	n.Waiting = max(n.Waiting, min(1, int(n.Due)))
}

// unlearn forgets the lines that are not in the table, unless somebody of them is on
// the way there.
func (d *Draft) unlearn(q *Queue, found []LineView) {
	q.Lines = slices.DeleteFunc(q.Lines, func(n lineState) bool {
		gone := !slices.ContainsFunc(found, func(v LineView) bool { return v.Line == n.Line }) &&
			!slices.ContainsFunc(q.Arriving, func(c arrival) bool { return c.Line == n.Line && d.at < c.At.Add(JoinGrace) })
		d.Changed = d.Changed || gone
		return gone
	})
}

// learn takes over a line that the ledger does not know, and that its first message is held.
// A line that waits for room is looked at now: behind its first, a message may wait for
// reasons of its own that the ledger was not told.
func (d *Draft) learn(q *Queue, v LineView) {
	n := q.find(v.Line)
	if n == nil && len(q.Lines) >= LinesKept {
		return
	}
	if n == nil || d.dueAt(q, *n) == 0 {
		n = q.lineFor(v.Line)
		n.Waiting = max(v.Waiting, 1)
		n.Cost, d.Changed = n.Waiting, true
		if v.Later {
			n.Due = cmp.Or(InstantOf(v.NextDue), d.at)
		}
	}
	if look := max(InstantOf(v.Look), d.at).WholeSecond(); v.Held && d.dueAt(q, *n) > look {
		n.Look, d.Changed = look, true
	}
	if n.Look == 0 && n.Due <= d.at {
		n.Look, d.Changed = d.at.WholeSecond(), true
	}
}
